"""
Objects of the API server: made, read, listed, watched, deleted.

Answers stay bytes; whoever asked decodes the fields that it reads. When the API server asks for patience (429 with
Retry-After), what may be sent twice is sent once more after that time, and a creation says so to whoever asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes.api.connection import Connection, Reply, StreamRefusedError
from airscrew.plugins.kubernetes.api.discovery import Discovery
from airscrew.plugins.kubernetes.api.errors import ApiError, read_status, refusal_of
from airscrew.plugins.kubernetes.api.kinds import Kind

PAGE = 500
WATCH_SECONDS = 290
IDLE_SECONDS = 100.0
"""Bookmarks come about once a minute: a stream without a word for longer is dead."""

PATIENCE_SECONDS = 20.0
"""The longest that a request waits because the API server asks it to; for longer whoever asked comes again."""

BUSY = 429
GONE = 410
NOT_FOUND = 404
CONFLICT = 409


class HistoryGoneError(Exception):
    """The place to watch on from is compacted: list again."""


class _ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMetadata = _ListMetadata()
    items: tuple[msgspec.Raw, ...] | None = ()


class _Change(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _ListMetadata = _ListMetadata()


_list_decoder = msgspec.json.Decoder(_List)
_change_decoder = msgspec.json.Decoder(_Change)
_bookmark_decoder = msgspec.json.Decoder(_Bookmark)


@dataclass(frozen=True, slots=True)
class Listing:
    """
    A list, whole.

    Attributes:
        items: The objects, as JSON.
        version: To watch on from.
    """

    items: Sequence[msgspec.Raw]
    version: str


@dataclass(frozen=True, slots=True)
class Change:
    """
    What a watch tells.

    Attributes:
        item: The object as it is now, or as it was last; empty for a bookmark.
        is_deleted: Whether it is gone.
        version: To watch on from.
    """

    item: msgspec.Raw | None
    is_deleted: bool
    version: str


@dataclass(frozen=True, slots=True)
class ObjectClient:
    """
    Works on objects of one kind.

    Attributes:
        connection: The way to the API server.
        kind: Which kind; without a plural or a version it is looked up at its first use.
        discovery: Looks it up.
    """

    connection: Connection
    kind: Kind
    discovery: Discovery | None = None

    async def known(self) -> Kind:
        """
        Return the kind with all that belongs to it.

        Raises:
            PermanentError: The cluster does not have it.
            ApiError: The API server does not say.
            OSError: It could not be asked.
        """
        return self.kind if self.discovery is None else await self.discovery.resolve(self.kind)

    async def create(self, namespace: str, manifest: bytes) -> Reply:
        """Make an object; the answer is told whatever it is."""
        return await self.connection.request("POST", (await self.known()).path(namespace), body=manifest)

    async def get(self, namespace: str, name: str) -> bytes | None:
        """
        Read an object; None when it is not there.

        Raises:
            ApiError: The API server does not say.
            OSError: It could not be asked.
        """
        reply = await self._ask("GET", (await self.known()).path(namespace, name))
        if reply.status == NOT_FOUND:
            return None
        return _good(reply, f"{self.kind.kind} {namespace}/{name} cannot be read").body

    async def read_part(self, namespace: str, name: str, part: str, query: Mapping[str, str]) -> bytes | None:
        """
        Read a part of an object, as its ``log``; None when it is not there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        reply = await self._ask("GET", (await self.known()).path(namespace, name, part), query=query)
        if reply.status == NOT_FOUND:
            return None
        return _good(reply, f"the {part} of {self.kind.kind} {namespace}/{name} cannot be read").body

    async def delete(self, namespace: str, name: str, uid: str, *, grace: int | None = None) -> bytes | None:
        """
        Delete an object, and what it owns, if it is the one with this UID.

        Returns:
            It as it is now, when it is still going; None when it is gone, or is another one.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        options: dict[str, object] = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        path = (await self.known()).path(namespace, name)
        reply = await self._ask("DELETE", path, body=msgspec.json.encode(options))
        if reply.status in {NOT_FOUND, CONFLICT}:
            return None
        return _good(reply, f"{self.kind.kind} {namespace}/{name} cannot be deleted").body

    async def let_go(
        self,
        namespace: str,
        name: str,
        uid: str,
        finalizers: Sequence[str],
        metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> bool:
        """
        Write which finalizers an object keeps, if it is the one with this UID.

        Args:
            namespace: Of the object.
            name: Of the object.
            uid: Of the object.
            finalizers: Those that stay.
            metadata: Labels and annotations that it gets.

        Returns:
            Whether it was there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        change = {"metadata": {**(metadata or {}), "uid": uid, "finalizers": list(finalizers) or None}}
        path, body = (await self.known()).path(namespace, name), msgspec.json.encode(change)
        reply = await self._ask("PATCH", path, body=body, kind="application/merge-patch+json")
        if reply.status in {NOT_FOUND, CONFLICT}:
            return False
        _good(reply, f"the finalizer of {self.kind.kind} {namespace}/{name} cannot be removed")
        return True

    async def list(self, namespace: str, selector: str) -> Listing:
        """
        List objects by their labels, page by page, as of one moment.

        Args:
            namespace: Empty for all.
            selector: Which labels.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        while True:
            try:
                return await self._list_once(namespace, selector)
            except HistoryGoneError:
                continue  # the moment of the first page is compacted: a new one begins

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> Reply:
        """Send what may be sent twice; once more when the API server is busy and says for how long."""
        reply = await self.connection.request(method, path, query=query, body=body, kind=kind)
        if reply.status == BUSY and reply.retry_after is not None and reply.retry_after <= PATIENCE_SECONDS:
            await asyncio.sleep(reply.retry_after)
            reply = await self.connection.request(method, path, query=query, body=body, kind=kind)
        return reply

    async def _list_once(self, namespace: str, selector: str) -> Listing:
        items: list[msgspec.Raw] = []
        query = {"labelSelector": selector, "limit": str(PAGE)}
        while True:
            reply = await self._ask("GET", (await self.known()).path(namespace), query=query)
            if reply.status == GONE and "continue" in query:
                raise HistoryGoneError
            page = _list_decoder.decode(_good(reply, f"{self.kind.plural} cannot be listed").body)
            items += page.items or ()
            if not page.metadata.continue_:
                return Listing(items, page.metadata.resource_version)
            query["continue"] = page.metadata.continue_

    async def newest(self, namespace: str) -> str:
        """
        Return the version to watch on from now, without a look at what is there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        reply = await self._ask("GET", (await self.known()).path(namespace), query={"limit": "1"})
        return _list_decoder.decode(_good(reply, f"{self.kind.plural} cannot be listed").body).metadata.resource_version

    async def watch(self, namespace: str, selector: str, version: str, *, fields: str = "") -> AsyncIterator[Change]:
        """
        Tell what changes from a list's version on; ends when the server ends it.

        Args:
            namespace: Empty for all.
            selector: Which labels; empty for all.
            version: Of the list.
            fields: Which fields; empty for all.

        Raises:
            HistoryGoneError: The version is too old: list again.
            ApiError: The API server refuses.
            OSError: The connection did not come about, or broke: watch on from the last version.
        """
        query = {
            "watch": "1",
            **({"labelSelector": selector} if selector else {}),
            **({"fieldSelector": fields} if fields else {}),
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            async for line in self.connection.stream(
                (await self.known()).path(namespace), query=query, idle=IDLE_SECONDS
            ):
                for change in _changes(line, self.kind):
                    yield change
        except StreamRefusedError as error:
            if error.reply.status == GONE:
                raise HistoryGoneError from error
            _good(error.reply, f"{self.kind.plural} cannot be watched")


def _changes(line: bytes, kind: Kind) -> Iterator[Change]:
    """Read a line of a watch; one that cannot be read tells nothing."""
    try:
        change = _change_decoder.decode(line)
        version = _bookmark_decoder.decode(change.object).metadata.resource_version
    except BAD_JSON:
        return
    match change.type:
        case "ADDED" | "MODIFIED":
            yield Change(change.object, is_deleted=False, version=version)
        case "DELETED":
            yield Change(change.object, is_deleted=True, version=version)
        case "BOOKMARK":
            yield Change(None, is_deleted=False, version=version)
        case "ERROR":
            status = read_status(change.object)
            if status.code == GONE:
                raise HistoryGoneError
            raise ApiError(f"the watch of {kind.plural} ended", status.code, status.message)
        case _:
            return


def _good(reply: Reply, what: str) -> Reply:
    if not reply.is_good:
        raise ApiError(what, reply.status, refusal_of(reply).message, reply.retry_after or 0.0)
    return reply
