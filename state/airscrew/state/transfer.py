"""
A whole store as a file of JSON lines, out and in.

The first line names the format, each that follows is a key with its value (``text`` where it is UTF-8, else
``base64``) or a key without one, which is deleted again, and the last line counts and sums them up. A store
can be exported while others write to it: what changed meanwhile follows the list, so that the end is the state
of one revision. Keys with a lease belong to someone who is alive there, and stay out.

Revisions and history are not taken along: an imported store begins its own. An import checks the whole file
before it writes, and writes only to an empty store. One that was interrupted leaves a mark; it goes on when
it is called again with the same file, and nobody should use the store before.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO, cast

import msgspec

from airscrew.idl.errors import UsageError
from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.errors import StoreError
from airscrew.state.store import Compare, Delete, Event, KeyValue, Operation, Put, Store

UNFINISHED_KEY = "import/unfinished"
"""Marks a store whose import has not ended; its value is the sum of the file."""

FORMAT = "airscrew-state"
VERSION = 1

_FIRST, _END = "\0", "\U0010ffff\U0010ffff"
_BATCH_OPERATIONS = 100
_BATCH_BYTES = 1_000_000
_SPOOL_BYTES = 16 * 1024 * 1024


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    version: int
    revision: int


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    key: str
    text: str | None = None
    base64: bytes | None = None

    @property
    def operation(self) -> Operation:
        """What it does to the store."""
        if self.text is not None:
            return Put(self.key, self.text.encode())
        return Delete(self.key) if self.base64 is None else Put(self.key, self.base64)


class _Trailer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lines: int
    sha256: str


_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_trailer = msgspec.json.Decoder(_Trailer).decode


async def export_store(store: Store, stream: BinaryIO) -> int:
    """
    Write all keys to a stream, as of one revision.

    Returns:
        The number of lines between the first and the last.

    Raises:
        CompactedError: The store was written to faster than it could be read; try again.
    """
    digest = hashlib.sha256()
    lines = -1
    async for line in _export_lines(store):
        data = _encode(line) + b"\n"
        digest.update(data)
        stream.write(data)
        lines += 1
    stream.write(_encode(_Trailer(lines=lines, sha256=digest.hexdigest())) + b"\n")
    return lines


async def import_store(store: Store, stream: BinaryIO) -> int:
    """
    Write the keys of an exported stream to an empty store.

    Idempotent by the stream's content: when it was interrupted, call it again.

    Returns:
        The number of lines that were carried out.

    Raises:
        UsageError: The stream is no export, or is damaged or cut off, or the store is not empty; nothing was written.
        StoreError: The store failed, or someone else wrote to it; call again with the same stream.
    """
    if stream.seekable():
        return await _import(store, stream)
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:  # it is read twice
        shutil.copyfileobj(stream, spool)
        spool.seek(0)
        return await _import(store, cast("BinaryIO", spool))


async def _import(store: Store, stream: BinaryIO) -> int:
    """Check a stream, then carry it out."""
    begin = stream.tell()
    trailer = _verify(stream)
    stream.seek(begin)
    revision = await _mark(store, trailer.sha256.encode())
    mark = Compare(UNFINISHED_KEY, revision)
    for operations in _batches(stream, trailer.lines):
        await _must(store, mark, operations)
    await _must(store, mark, [Delete(UNFINISHED_KEY)])
    return trailer.lines


async def _export_lines(store: Store) -> AsyncIterator[_Header | _Entry]:
    """Yield the header, the list page by page, and what changed while it was read."""
    page = await store.range(_FIRST, _END)
    first = page.revision
    yield _Header(format=FORMAT, version=VERSION, revision=first)
    while True:
        for item in page.items:
            _refuse_unfinished(item)
            if not item.lease:
                yield _entry(item.key, item.value)
        if not page.more:
            break
        page = await store.range(page.next_start, _END)
    if page.revision > first:
        async for event in _events(store, first + 1, page.revision):
            value = event.value if event.value is not None and await _is_exported(store, event.key) else None
            yield _entry(event.key, value)


async def _events(store: Store, first: int, last: int) -> AsyncIterator[Event]:
    async for batch in store.watch(_FIRST, _END, from_revision=first):
        for event in batch:
            if event.revision <= last:
                yield event
        if batch[-1].revision >= last:
            return


async def _is_exported(store: Store, key: str) -> bool:
    """Tell whether a key that was written has no lease; an event does not say."""
    item = await store.get(key)
    return item is not None and not item.lease


def _refuse_unfinished(item: KeyValue) -> None:
    if item.key == UNFINISHED_KEY:
        raise UsageError("the store holds an import that was interrupted: finish it before you export")


def _entry(key: str, value: bytes | None) -> _Entry:
    if value is None:
        return _Entry(key=key)
    try:
        return _Entry(key=key, text=value.decode())
    except UnicodeDecodeError:
        return _Entry(key=key, base64=value)


def _verify(stream: BinaryIO) -> _Trailer:
    """Read a stream to its end and return its last line, or refuse it."""
    digest = hashlib.sha256()
    number, line = 1, stream.readline()
    _check_header(line)
    while following := stream.readline():
        digest.update(line)
        if number > 1:
            _check_entry(number, line)
        number, line = number + 1, following
    return _check_trailer(line, number, digest.hexdigest())


def _check_header(line: bytes) -> None:
    try:
        header = _decode_header(line)
    except BAD_JSON as error:
        raise UsageError("this is no export of a store: its first line does not say so") from error
    if header.format != FORMAT:
        raise UsageError(f"this is no export of a store but {header.format!r}")
    if header.version > VERSION:
        raise UsageError(
            f"the export has version {header.version}, this airscrew reads up to {VERSION}: use a newer one"
        )


def _check_entry(number: int, line: bytes) -> None:
    try:
        _decode_entry(line)
    except BAD_JSON as error:
        raise UsageError(f"the export is damaged in line {number}: {error}; nothing was imported") from error


def _check_trailer(line: bytes, number: int, digest: str) -> _Trailer:
    try:
        trailer = _decode_trailer(line)
    except BAD_JSON as error:
        raise UsageError(f"the export is cut off after line {number}; nothing was imported") from error
    if trailer.lines != number - 2 or trailer.sha256 != digest:
        raise UsageError("the export is damaged: its sum does not match; nothing was imported")
    return trailer


async def _mark(store: Store, digest: bytes) -> int:
    """Claim an empty store, or one that this very import has begun, and return the mark's revision."""
    mark = await store.get(UNFINISHED_KEY)
    if mark is not None:
        if mark.value != digest:
            raise UsageError("the store holds an interrupted import of another file: import that, or into a new store")
        return mark.mod_revision
    page = await store.range(_FIRST, _END, limit=1)
    if page.items:
        raise UsageError(f"the store is not empty, it holds {page.items[0].key!r}: import into a new one")
    result = await store.txn([Compare(UNFINISHED_KEY, 0)], [Put(UNFINISHED_KEY, digest)])
    if not result.succeeded:
        raise StoreError("another import has just begun in the same store")
    return result.revision


def _batches(stream: BinaryIO, lines: int) -> Iterator[list[Operation]]:
    """Group the entries as transactions take them: no key twice, not too many, not too large."""
    stream.readline()
    operations: dict[str, Operation] = {}
    size = 0
    for _ in range(lines):
        line = stream.readline()
        entry = _decode_entry(line)
        size += len(line)
        if entry.key in operations or len(operations) >= _BATCH_OPERATIONS or (size > _BATCH_BYTES and operations):
            yield list(operations.values())
            operations.clear()
            size = len(line)
        operations[entry.key] = entry.operation
    if operations:
        yield list(operations.values())


async def _must(store: Store, mark: Compare, operations: list[Operation]) -> None:
    result = await store.txn([mark], operations)
    if not result.succeeded:
        raise StoreError("someone else finished or removed this import while it ran: look at what the store holds")
