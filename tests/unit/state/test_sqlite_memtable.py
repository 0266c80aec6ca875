"""
What was written since the index was brought up to date is found in front of it, and survives the process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typing_extensions import override

from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.sqlite import Seam, SqliteOptions, SqliteStore
from airscrew.state.sqlite.memtable import DELETED, Memtable
from airscrew.state.store import Delete, DeleteRange, Put, Store

NEVER = SqliteOptions(flush_writes=1_000_000)
OFTEN = SqliteOptions(flush_writes=4)


def indexed(path: Path) -> list[str]:
    """Read the keys that the index in the file has."""
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM kv ORDER BY key")]


async def live(store: Store) -> dict[str, bytes]:
    return {item.key: item.value for item in (await store.range("a", "z")).items}


async def write(store: Store) -> dict[str, bytes]:
    """Write, replace and delete, alone and by ranges."""
    await store.txn((), [Put(f"k{n}", b"1") for n in range(8)])
    await store.txn((), [Put("k0", b"2"), Delete("k1"), Put("j", b"1")])
    await store.txn((), [DeleteRange("k5", "k7")])
    await store.txn((), [Put("k6", b"3")])
    return {"j": b"1", "k0": b"2", "k2": b"1", "k3": b"1", "k4": b"1", "k6": b"3", "k7": b"1"}


def test_a_memtable_has_its_keys_in_order_and_knows_what_is_gone() -> None:
    newer = Memtable([("b", 20), ("a", 10)], 3)
    assert newer.span("a", "c") == [("a", 10), ("b", 20)]

    newer.update({"b": None, "ab": (30, b"", 4, 0)}, 4, writes=3)

    assert newer.span("a", "c") == [("a", 10), ("ab", 30), ("b", DELETED)]
    assert newer.span("aa", "b") == [("ab", 30)]
    assert (newer.get("ab"), newer.get("b"), newer.get("c")) == (30, DELETED, None)


def test_a_memtable_forgets_only_when_the_index_has_all_of_it() -> None:
    newer = Memtable([("a", 10)], 3)

    newer.forget(2)
    assert newer.span("a", "b") == [("a", 10)]
    assert newer.writes == 1
    newer.forget(3)
    assert newer.span("a", "b") == []
    assert (newer.revision, newer.writes) == (3, 0)


@pytest.mark.parametrize("options", [NEVER, OFTEN], ids=["in memory", "in the index"])
async def test_what_is_found_is_the_same_wherever_it_is(tmp_path: Path, options: SqliteOptions) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore.open(path, options=options) as store:
        wanted = await write(store)
        lease = await store.grant_lease(60)
        await store.txn((), [Put("leased", b"1", lease), Put("k0", b"4", lease)])
        await store.txn((), [Put("k0", b"5")])

        assert await live(store) == {**wanted, "k0": b"5", "leased": b"1"}
        pages = [await store.range(start, "z", limit=3) for start in ("a", "k3", "k7")]
        assert [[item.key for item in page.items] for page in pages] == [
            ["j", "k0", "k2"],
            ["k3", "k4", "k6"],
            ["k7", "leased"],
        ]
        assert [page.more for page in pages] == [True, True, False]
        await store.revoke_lease(lease)
        assert await live(store) == {**wanted, "k0": b"5"}  # it is no longer the lease's

    async with SqliteStore.open(path, options=options) as store:
        assert await live(store) == {**wanted, "k0": b"5"}
        assert [await store.get(key) for key in ("k1", "k5", "leased")] == [None, None, None]


@pytest.mark.parametrize("keys", [99, 3], ids=["of many keys", "of the same keys"])
async def test_writes_leave_the_index_alone_until_there_are_many(tmp_path: Path, keys: int) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore.open(path, inline=True, options=SqliteOptions(flush_writes=101)) as store:
        for n in range(99):
            await store.txn((), [Put(f"k{n % keys:03}", b"1")])
        await turns()
        assert indexed(path) == []

        await store.txn((), [Delete("k001"), Put("k099", b"1")])
        await turns()

        assert indexed(path) == [f"k{n:03}" for n in (*range(keys), 99) if n != 1]


class ThirdFails(Seam):
    """A disk that fails at the third commit, before it writes or after."""

    def __init__(self, error: sqlite3.Error, when: str) -> None:
        self.error, self.when = error, when
        self.commits = 0

    @override
    def commit(self, write: Callable[[], object]) -> None:
        self.commits += 1
        if self.commits == 3 and self.when == "before":
            raise self.error
        write()
        if self.commits == 3:
            raise self.error


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("text", ["disk I/O error", "database or disk is full"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_flush_that_fails_loses_nothing_and_is_done_again(tmp_path: Path, text: str, when: str) -> None:
    path, seam = tmp_path / "store.db", ThirdFails(sqlite3.OperationalError(text), when)
    async with SqliteStore.open(path, inline=True, seam=seam, options=SqliteOptions(flush_writes=8)) as store:
        await store.txn((), [Put(f"k{n}", b"1") for n in range(7)])
        await store.txn((), [Put("k7", b"1"), Delete("k0")])
        await turns()
        assert seam.commits == 3  # the flush that failed

        await store.txn((), [Put("k8", b"1")])
        await turns()

        assert list(await live(store)) == [f"k{n}" for n in range(1, 9)]
    assert set(indexed(path)) >= {f"k{n}" for n in range(1, 8)}
    async with SqliteStore.open(path, inline=True) as store:
        assert list(await live(store)) == [f"k{n}" for n in range(1, 9)]


@pytest.mark.virtual_time
async def test_a_delete_that_the_index_has_not_heard_of_outlives_its_history(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore.open(path, inline=True, options=OFTEN) as store:
        await store.txn((), [Put(f"k{n}", b"1") for n in range(8)])
        await elapse(1)
        last = await store.txn((), [Delete("k3"), Put("k4", b"2")])
        assert "k3" in indexed(path)

        await store.compact(last.revision)
        await elapse(1)

    async with SqliteStore.open(path, inline=True) as store:
        assert [item.key for item in (await store.range("k", "l")).items] == [f"k{n}" for n in range(8) if n != 3]
        assert await store.get("k3") is None
        found = await store.get("k4")
        assert found is not None
        assert found.value == b"2"
