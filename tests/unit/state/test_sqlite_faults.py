"""
What a failing disk does to the store in a file: nothing acknowledged is lost, and nobody is told a lie.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from airscrew.state.errors import CompactedError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.sqlite import Seam, SqliteOptions, SqliteStore
from airscrew.state.store import Compare, DeleteRange, Event, Put, Store, TxnResult

BROKEN = sqlite3.OperationalError("disk I/O error")
FULL = sqlite3.OperationalError("database or disk is full")


class Faults(Seam):
    """A disk that fails when told so: before it writes, or after."""

    def __init__(self) -> None:
        self.before: sqlite3.Error | None = None
        self.after: sqlite3.Error | None = None
        self.connecting: sqlite3.Error | None = None
        self.commits = 0

    @override
    def connect(self, path: Path) -> sqlite3.Connection:
        if self.connecting is not None:
            raise self.connecting
        return super().connect(path)

    @override
    def commit(self, write: Callable[[], object]) -> None:
        self.commits += 1
        if self.before is not None:
            raise self.before
        write()
        if self.after is not None:
            raise self.after


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture(params=[True, False], ids=["inline", "thread"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, faults: Faults) -> AsyncIterator[SqliteStore]:
    inline: bool = request.param
    async with SqliteStore.open(tmp_path / "store.db", inline=inline, seam=faults) as opened:
        yield opened


@asynccontextmanager
async def reopened(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(path, inline=True) as opened:
        yield opened


async def attempt(store: Store, *keys: str) -> TxnResult | StoreError:
    try:
        return await store.txn((), [Put(key, b"1") for key in keys])
    except StoreError as error:
        return error


async def attempt_many(store: Store, count: int) -> Sequence[TxnResult | StoreError]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(store, f"many/{n}")) for n in range(count)]
    return [task.result() for task in tasks]


async def test_a_write_that_failed_before_the_disk_has_not_happened(store: SqliteStore, faults: Faults) -> None:
    kept = await attempt(store, "kept")
    faults.before = BROKEN
    lost = await attempt(store, "lost")
    faults.before = None

    assert isinstance(lost, StoreUnavailableError)
    assert await store.get("lost") is None
    assert await store.get("kept") is not None
    assert isinstance(kept, TxnResult)
    assert await attempt(store, "next") == TxnResult(True, kept.revision + 1)


async def test_a_write_whose_answer_was_lost_is_found_by_reading_and_told_by_watches(
    store: SqliteStore, faults: Faults
) -> None:
    await attempt(store, "before")
    watch = store.watch("a", "z", from_revision=2)
    faults.after = BROKEN
    answer = await attempt(store, "happened")
    faults.after = None

    assert isinstance(answer, StoreUnavailableError)
    found = await store.get("happened")
    assert found is not None
    assert found.mod_revision == 2
    assert list(await anext(watch)) == [Event("happened", b"1", 2)]
    assert await attempt(store, "next") == TxnResult(True, 3)
    assert list(await anext(watch)) == [Event("next", b"1", 3)]


async def test_a_watch_that_waits_is_told_of_a_write_whose_answer_was_lost(store: SqliteStore, faults: Faults) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(anext_of(store, 1))
        await asyncio.sleep(0)
        faults.after = BROKEN
        await attempt(store, "happened")
        faults.after = None

    assert waiting.result() == [Event("happened", b"1", 1)]


async def anext_of(store: Store, revision: int) -> list[Event]:
    return list(await anext(store.watch("a", "z", from_revision=revision)))


async def test_all_callers_of_a_failed_group_are_answered(store: SqliteStore, faults: Faults) -> None:
    faults.before = BROKEN
    answers = await attempt_many(store, 50)
    faults.before = None

    assert all(isinstance(answer, StoreUnavailableError) for answer in answers)
    assert (await store.status()).revision == 0
    assert all(isinstance(answer, TxnResult) for answer in await attempt_many(store, 50))


async def test_a_compare_judged_upon_a_write_that_failed_is_no_answer(store: SqliteStore, faults: Faults) -> None:
    faults.before = BROKEN
    async with asyncio.TaskGroup() as group:
        group.create_task(attempt(store, "a"))
        compared = group.create_task(compare(store, "a"))

    assert isinstance(compared.result(), StoreUnavailableError)


async def compare(store: Store, key: str) -> TxnResult | StoreError:
    try:
        return await store.txn([Compare(key, 0)], ())
    except StoreError as error:
        return error


async def test_a_full_disk_refuses_writes_and_keeps_what_it_has(
    store: SqliteStore, faults: Faults, tmp_path: Path
) -> None:
    await attempt(store, "kept")
    faults.before = FULL
    answers = await attempt_many(store, 10)
    assert all(isinstance(answer, StoreFullError) for answer in answers)
    assert await store.get("kept") is not None
    assert len((await store.range("a", "z")).items) == 1

    faults.before = None

    assert await attempt(store, "again") == TxnResult(True, 2)
    assert str(tmp_path / "store.db") in str(answers[0])


async def test_a_file_that_cannot_be_opened_again_is_tried_with_every_request(
    store: SqliteStore, faults: Faults
) -> None:
    await attempt(store, "kept")
    faults.before = BROKEN
    faults.connecting = sqlite3.OperationalError("unable to open database file")
    for _ in range(3):
        assert isinstance(await attempt(store, "a"), StoreUnavailableError)
        with pytest.raises(StoreUnavailableError):
            await store.get("cold")

    faults.before = faults.connecting = None

    assert await store.get("kept") is not None
    assert isinstance(await attempt(store, "a"), TxnResult)


async def test_a_key_in_memory_is_not_told_while_the_file_cannot_be_opened(store: SqliteStore, faults: Faults) -> None:
    await attempt(store, "a")
    faults.after = BROKEN
    faults.connecting = sqlite3.OperationalError("unable to open database file")
    assert isinstance(await attempt(store, "a"), StoreUnavailableError)

    with pytest.raises(StoreUnavailableError):
        await store.get("a")

    faults.after = faults.connecting = None
    found = await store.get("a")
    assert found is not None
    assert found.mod_revision == 2


async def test_a_lease_that_could_not_be_granted_is_not_alive(store: SqliteStore, faults: Faults) -> None:
    faults.before = FULL
    with pytest.raises(StoreFullError):
        await store.grant_lease(10)
    faults.before = None

    lease = await store.grant_lease(10)

    assert await store.keep_alive(lease) == 10


async def test_what_was_asked_before_the_end_is_written(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group, SqliteStore.open(tmp_path / "store.db") as store:
        tasks = [group.create_task(attempt(store, f"k{n}")) for n in range(300)]
        await asyncio.sleep(0)

    assert all(isinstance(task.result(), TxnResult) for task in tasks)
    async with reopened(tmp_path / "store.db") as again:
        assert len((await again.range("k", "l")).items) == 300


async def test_a_closed_store_refuses_everything(tmp_path: Path) -> None:
    async with reopened(tmp_path / "store.db") as store:
        await attempt(store, "a")

    calls = (store.get("a"), store.range("a", "b"), store.txn((), ()), store.status(), store.compact(1))
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="is closed"):
            await call
    with pytest.raises(StoreUnavailableError, match="is closed"):
        await anext(store.watch("a", "b", from_revision=1))


async def test_a_file_at_its_limit_refuses_writes_and_takes_them_again_when_there_is_room(tmp_path: Path) -> None:
    options = SqliteOptions(max_bytes=1_000_000)
    async with SqliteStore.open(tmp_path / "store.db", inline=True, options=options) as store:
        written = await fill(store)
        keys = [item.key for item in (await store.range("k", "l")).items]
        assert keys == [f"k{n:03}" for n in range(written)]

        await store.txn((), [DeleteRange("k", "l")])

        assert (await store.range("k", "l")).items == []
        await store.txn((), [Put("k", b"x" * 50_000)])


async def test_history_is_given_up_before_a_write_is_refused(tmp_path: Path) -> None:
    options = SqliteOptions(max_bytes=1_000_000)
    async with SqliteStore.open(tmp_path / "store.db", inline=True, options=options) as store:
        for n in range(100):
            await store.txn((), [Put("k", b"%d" % n * 25_000)])

        found = await store.get("k")
        assert found is not None
        assert found.value == b"99" * 25_000
        with pytest.raises(CompactedError):
            await anext(store.watch("k", "l", from_revision=1))


async def fill(store: SqliteStore) -> int:
    """Write until there is no room and return how many keys were written."""
    for n in range(1000):
        try:
            await store.txn((), [Put(f"k{n:03}", b"x" * 50_000)])
        except StoreFullError:
            return n
    raise AssertionError("the file has no limit")
