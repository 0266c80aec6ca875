"""
Stores by their address.

``memory:``, ``sqlite:PATH`` or ``sqlite:///ABSOLUTE/PATH``, ``etcd://HOST:PORT/PREFIX`` or ``etcds://HOST:PORT/PREFIX``;
``airscrew.state.etcd.address`` tells what else the last two may say.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airscrew.idl.errors import UsageError
from airscrew.state.store import LeaseStore

if TYPE_CHECKING:
    from airscrew.state.lock import EngineLock
    from airscrew.state.sqlite import SqliteOptions


@asynccontextmanager
async def open_store(
    url: str,
    *,
    now: Callable[[], float] = time.monotonic,
    lock: EngineLock | None = None,
    options: SqliteOptions | None = None,
) -> AsyncIterator[LeaseStore]:
    """
    Open the store of an address and close it when the block ends.

    Args:
        url: The address.
        now: The clock that leases end by, in seconds; those of etcd end by etcd's.
        lock: The lock of a store in a file, when the caller holds it already.
        options: How to keep a store in a file.

    Raises:
        UsageError: There is no such kind of store, or its path is no good.
        StoreError: It cannot be opened; see ``SqliteStore.open`` and ``EtcdStore.open``.
    """
    path = store_path(url)
    if path is not None:
        from airscrew.state.sqlite import SqliteStore

        async with SqliteStore.open(path, now=now, lock=lock, options=options) as store:
            yield store
        return
    if _is_etcd(url):
        from airscrew.state.etcd.address import EtcdAddress

        address = EtcdAddress.parse(url)
        from airscrew.state.etcd.store import EtcdStore

        async with EtcdStore.open(address) as etcd:
            yield etcd
        return
    from airscrew.state.memory import MemoryStore

    memory = MemoryStore(now=now)
    try:
        yield memory
    finally:
        memory.close()


def store_path(url: str) -> Path | None:
    """
    Return the file of a store's address, and None for one that has none.

    Raises:
        UsageError: There is no such kind of store, or its path is no good.
    """
    kind, separator, rest = url.partition(":")
    match kind if separator else "":
        case "memory" if rest in ("", "//"):
            return None
        case "sqlite":
            return _sqlite_path(url, rest)
        case "etcd" | "etcds":
            from airscrew.state.etcd.address import EtcdAddress

            EtcdAddress.parse(url)
            return None
        case _:
            raise UsageError(f"no such store: {without_secrets(url)!r}; name sqlite:PATH, etcd://HOST:PORT or memory:")


def _is_etcd(url: str) -> bool:
    return url.startswith(("etcd:", "etcds:"))


def without_secrets(url: str) -> str:
    """Return an address without the user and password that it may hold."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else url


def _sqlite_path(url: str, rest: str) -> Path:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host or not path:
            raise UsageError(f"no path in {url!r}: write sqlite:PATH, or sqlite:///PATH for an absolute one")
        rest = slash + path
    if not rest or rest.endswith("/"):
        raise UsageError(f"no file in {url!r}: write sqlite:PATH")
    from airscrew.state.lock import absolute

    return absolute(rest)
