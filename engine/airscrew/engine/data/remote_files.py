"""
Files in object stores, through obstore; its requests run in threads of its own and never block the loop.

Guarantees:

1. A write is whole or not there, for everybody: the stores show no part of an object.
2. Nothing is remembered of listings or files: what others wrote is seen.
3. Each error is one of ``data.errors``. Each request is made once; who calls tries again.
4. Whatever is asked about ends at a slash: deleting below ``a`` leaves ``ab`` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airscrew.engine.data.errors import FileMissingError, LocationError, SizeExceededError, shown
from airscrew.engine.data.local_files import Entry
from airscrew.engine.data.remote_errors import classify
from airscrew.engine.data.remote_stores import RemoteStores
from airscrew.engine.data.remote_uri import Place, parse_remote

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

AT_ONCE = 1000
"""Objects that are listed, and deleted, by one request."""


class RemoteFiles:
    """
    Reads and writes objects; ``close`` it at the end.

    Args:
        timeout: Seconds that a request may take.
    """

    def __init__(self, *, timeout: float) -> None:
        self._stores = RemoteStores(timeout=timeout)

    def close(self) -> None:
        """Let go of all connections."""
        self._stores.close()

    async def read(self, uri: str, limit: int) -> bytes:
        """
        Read a whole file.

        Raises:
            FileMissingError: There is no such file.
            SizeExceededError: It is larger than the limit.
        """
        import obstore

        place = _file(uri)
        with self._asked(place) as store:
            found = await obstore.get_async(store, place.key)
            size = found.meta["size"]
            if size > limit:
                raise SizeExceededError(uri, size, limit)
            return bytes(await found.bytes_async())

    async def write(self, uri: str, data: bytes) -> None:
        """Write a whole file."""
        import obstore

        place = _file(uri)
        with self._asked(place, writes=True) as store:
            await obstore.put_async(store, place.key, data, use_multipart=False)  # one request: all or nothing

    async def exists(self, uri: str) -> bool:
        """Tell whether there is such a file."""
        import obstore

        place = _file(uri)
        try:
            with self._asked(place) as store:
                await obstore.head_async(store, place.key)
        except FileMissingError:
            return False
        return True

    async def entries(self, uri: str) -> list[Entry]:
        """List the files right below a location by name; none when there is nothing."""
        import obstore

        place, base = parse_remote(uri), uri.rstrip("/")
        with self._asked(place, lists=True) as store:
            listing = await obstore.list_with_delimiter_async(  # pyright: ignore[reportUnknownMemberType] - Arrow, untyped
                store, place.key or None
            )
        named = [(one["path"].rpartition("/")[2], one["size"]) for one in listing["objects"]]
        return [Entry(name, f"{base}/{name}", size) for name, size in sorted(named) if name]

    async def entries_below(self, uri: str) -> list[Entry]:
        """List the files below a location by their paths from there; none when there is nothing."""
        place, base = parse_remote(uri), uri.rstrip("/")
        prefix = f"{place.key}/" if place.key else ""
        with self._asked(place, lists=True) as store:
            found = [one async for chunk in _all_below(store, prefix) for one in chunk]
        named = sorted((one["path"].removeprefix(prefix), one["size"]) for one in found)
        return [Entry(name, f"{base}/{name}", size) for name, size in named if name]

    async def delete(self, uri: str) -> None:
        """Delete a file; nothing happens when there is none."""
        place = _file(uri)
        with self._asked(place) as store:
            await _delete(store, [place.key])

    async def delete_below(self, uri: str) -> None:
        """
        Delete all files below a location, however deep.

        Raises:
            LocationError: It is a whole bucket.
        """
        place = _file(uri)
        with self._asked(place, lists=True) as store:
            async for chunk in _all_below(store, f"{place.key}/"):
                await _delete(store, [one["path"] for one in chunk])

    @contextmanager
    def _asked(self, place: Place, *, lists: bool = False, writes: bool = False) -> Generator[ObjectStore]:
        """Give the store for a place; errors that come out are classified, and tell nothing of the library's own."""
        try:
            yield self._stores.store(place.container)
        except Exception as error:  # noqa: BLE001 - not chained: its text may hold a signature
            raise classify(error, place, lists=lists, writes=writes) from None


def _all_below(store: ObjectStore, prefix: str) -> AsyncIterator[Sequence[ObjectMeta]]:
    import obstore

    return obstore.list(  # pyright: ignore[reportUnknownMemberType] - Arrow, untyped
        store, prefix or None, chunk_size=AT_ONCE
    )


async def _delete(store: ObjectStore, keys: list[str]) -> None:
    import obstore

    try:
        await obstore.delete_async(store, keys)
    except FileNotFoundError:
        if len(keys) == 1:
            return
        for key in keys:  # one of them went away since
            await _delete(store, [key])


def _file(uri: str) -> Place:
    place = parse_remote(uri)
    if not place.key:
        raise LocationError(f"{shown(uri)} is {place.container} itself: name something in it")
    return place
