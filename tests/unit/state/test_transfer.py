from __future__ import annotations

import io
import json
from typing import cast

import pytest
from typing_extensions import override

from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Compare, Delete, Operation, Page, Put, TxnResult
from airscrew.state.transfer import UNFINISHED_KEY, export_store, import_store

CONTENT = {
    "record/a": b'{"phase":"Running","\xc3\xa9":1}',
    "template/b": bytes(range(256)),
    "empty": b"",
    "odd/\0\U0001f6e9": b"x",
}


async def filled(content: dict[str, bytes]) -> MemoryStore:
    store = MemoryStore()
    for key, value in content.items():
        await store.txn((), [Put(key, value)])
    return store


async def content_of(store: MemoryStore) -> dict[str, bytes]:
    page = await store.range("\0", "\U0010ffff", limit=10_000)
    return {item.key: item.value for item in page.items}


async def exported(store: MemoryStore) -> io.BytesIO:
    stream = io.BytesIO()
    await export_store(store, stream)
    stream.seek(0)
    return stream


async def test_what_is_exported_is_imported() -> None:
    stream = await exported(await filled(CONTENT))
    target = MemoryStore()

    lines = await import_store(target, stream)

    assert lines == len(CONTENT)
    assert await content_of(target) == CONTENT


async def test_json_values_are_legible_in_an_export() -> None:
    stream = await exported(await filled({"record/a": b'{"phase":"Running"}'}))

    header, line, trailer = stream.read().splitlines()

    assert json.loads(header)["format"] == "airscrew-state"
    assert json.loads(line) == {"key": "record/a", "text": '{"phase":"Running"}'}
    assert json.loads(trailer)["lines"] == 1


async def test_many_and_large_keys_are_imported_in_several_transactions() -> None:
    content = {f"k{n:04}": b"x" * 100 for n in range(350)} | {f"large{n}": bytes([n]) * 900_000 for n in range(4)}
    stream = await exported(await filled(content))
    target = MemoryStore()

    await import_store(target, stream)

    assert await content_of(target) == content


class BusyStore:
    """A store that somebody writes to between two pages of an export."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.get = store.get
        self.watch = store.watch

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        del limit
        page = await self._store.range(start, end, limit=2)
        n = page.revision
        await self._store.txn((), [Put("a", b"late %d" % n), Put(f"new{n}", b"1"), Delete("b")])
        return page


async def test_an_export_under_way_is_the_state_of_one_revision() -> None:
    store = await filled(dict.fromkeys("abcdef", b"early"))
    stream = io.BytesIO()

    await export_store(cast(MemoryStore, BusyStore(store)), stream)

    stream.seek(0)
    target = MemoryStore()
    await import_store(target, stream)
    found = await content_of(target)
    last = max(int(key[3:]) for key in found if key.startswith("new"))
    assert found["a"] == b"late %d" % last
    assert "b" not in found
    assert {"c", "d", "e", "f"} <= set(found)


async def test_keys_with_a_lease_stay_out() -> None:
    store = await filled({"a": b"1"})
    await store.txn((), [Put("member", b"1", await store.grant_lease(60))])

    stream = await exported(store)

    assert b"member" not in stream.getvalue()


def damaged(data: bytes) -> list[tuple[bytes, str]]:
    lines = data.splitlines(keepends=True)
    return [
        (b"", "no export of a store"),
        (b"hello\n", "no export of a store"),
        (b'{"format":"other","version":1,"revision":1}\n', "but 'other'"),
        (b'{"format":"airscrew-state","version":9,"revision":1}\n', "version 9"),
        (b"".join(lines[:-1]), "cut off after line"),
        (b"".join(lines[:2]), "cut off after line 2"),
        (b"".join(lines[:1]), "cut off after line 1"),
        (data[: len(data) // 2], "cut off"),
        (b"".join([*lines[:2], *lines[3:]]), "does not match"),
        (data.replace(b"Running", b"Walking"), "does not match"),
        (b"".join([lines[0], b"{]\n", *lines[2:]]), "damaged in line 2"),
    ]


async def test_a_damaged_export_is_refused_before_anything_is_written() -> None:
    data = (await exported(await filled(CONTENT))).getvalue()
    for broken, words in damaged(data):
        target = MemoryStore()

        with pytest.raises(UsageError) as caught:
            await import_store(target, io.BytesIO(broken))

        assert words in str(caught.value)
        assert await content_of(target) == {}


async def test_a_store_that_is_not_empty_is_not_imported_into() -> None:
    stream = await exported(await filled(CONTENT))
    target = await filled({"mine": b"1"})

    with pytest.raises(UsageError, match="not empty, it holds 'mine'"):
        await import_store(target, stream)

    assert await content_of(target) == {"mine": b"1"}


class FailingStore:
    """A store that fails from its n-th transaction on."""

    def __init__(self, store: MemoryStore, transactions: int) -> None:
        self._store = store
        self._left = transactions
        self.get = store.get
        self.range = store.range

    async def txn(self, compares: list[Compare], operations: list[Operation]) -> TxnResult:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailableError("gone")
        return await self._store.txn(compares, operations)


async def test_an_interrupted_import_goes_on_with_the_same_file_alone() -> None:
    content = {f"k{n:04}": b"%d" % n for n in range(350)}
    stream = await exported(await filled(content))
    other = await exported(await filled(CONTENT))
    target = MemoryStore()
    with pytest.raises(StoreUnavailableError):
        await import_store(cast(MemoryStore, FailingStore(target, 3)), stream)
    assert UNFINISHED_KEY in await content_of(target)

    with pytest.raises(UsageError, match="interrupted import of another file"):
        await import_store(target, other)
    with pytest.raises(UsageError, match="interrupted"):
        await exported(target)
    stream.seek(0)
    await import_store(target, stream)

    assert await content_of(target) == content


class Pipe(io.BytesIO):
    """A stream that can be read only once."""

    @override
    def seekable(self) -> bool:
        return False


async def test_an_export_is_imported_from_a_pipe() -> None:
    data = (await exported(await filled(CONTENT))).getvalue()
    target = MemoryStore()

    await import_store(target, Pipe(data))

    assert await content_of(target) == CONTENT
