"""
What the store in a file does beyond the port: group commit, upkeep, and its lock.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
from typing_extensions import override

from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.errors import CompactedError, LeaseOverError, StoreBusyError, TooLargeError
from airscrew.state.following import read_all
from airscrew.state.lock import EngineLock
from airscrew.state.sqlite import Seam, SqliteOptions, SqliteStore
from airscrew.state.store import (
    Compare,
    Delete,
    DeleteRange,
    Event,
    LeaseStore,
    Operation,
    Put,
    Store,
    TxnResult,
    prefix_end,
)

_: type[LeaseStore] = SqliteStore


class CountingSeam(Seam):
    """Counts how often something goes to the disk, and keeps the connections."""

    def __init__(self) -> None:
        self.commits = 0
        self.connections: list[sqlite3.Connection] = []

    @override
    def connect(self, path: Path) -> sqlite3.Connection:
        self.connections.append(super().connect(path))
        return self.connections[-1]

    @override
    def commit(self, write: Callable[[], object]) -> None:
        self.commits += 1
        write()


async def write(store: Store, count: int, prefix: str = "k", size: int = 10) -> TxnResult:
    """Write keys from so many callers at once."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(put(store, f"{prefix}{n:04}", b"x" * size)) for n in range(count)]
    return tasks[-1].result()


async def put(store: Store, key: str, value: bytes = b"1", mod_revision: int = 0) -> TxnResult:
    return await store.txn([Compare(key, mod_revision)], [Put(key, value)])


async def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    seam = CountingSeam()
    async with SqliteStore.open(tmp_path / "store.db", inline=True, seam=seam):
        writer = seam.connections[0]

        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_many_callers_share_a_commit(tmp_path: Path) -> None:
    seam = CountingSeam()
    async with SqliteStore.open(tmp_path / "store.db", seam=seam) as store:
        await write(store, 1000)

        assert seam.commits <= 10
        assert (await store.status()).revision == 1000


async def test_transactions_of_one_group_see_one_another_and_keep_their_own_revisions(tmp_path: Path) -> None:
    seam = CountingSeam()
    async with SqliteStore.open(tmp_path / "store.db", inline=True, seam=seam) as store:
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(call)
                for call in (
                    store.txn([Compare("a", 0)], [Put("a", b"1")]),
                    store.txn([Compare("a", 0)], [Put("a", b"2")]),
                    store.txn([Compare("a", 1)], [Put("a", b"3"), Put("b", b"3")]),
                    store.txn([], [DeleteRange("a", "b")]),
                    store.txn([Compare("a", 0)], [Put("a", b"5")]),
                )
            ]

        answers = [(call.result().succeeded, call.result().revision) for call in calls]
        assert answers == [(True, 1), (False, 1), (True, 2), (True, 3), (True, 4)]
        assert seam.commits == 1
        found = await store.get("a")
        assert found is not None
        assert (found.value, found.create_revision) == (b"5", 4)


async def test_one_refused_request_leaves_the_others_of_its_group_alone(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        async with asyncio.TaskGroup() as group:
            good = group.create_task(store.txn((), [Put("a", b"1")]))
            bad = group.create_task(outcome(store.txn((), [Put("b", bytes(2_000_000))])))
            also = group.create_task(store.txn((), [Put("c", b"1")]))

        assert isinstance(bad.result(), TooLargeError)
        assert (good.result().revision, also.result().revision) == (1, 2)


async def outcome(call: Coroutine[None, None, TxnResult]) -> object:
    try:
        return await call
    except (TooLargeError, LeaseOverError) as error:
        return error


async def test_a_transaction_of_the_largest_size_and_a_wide_delete_are_written_in_pieces(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db") as store:
        await write(store, 1500)

        result = await store.txn((), [DeleteRange("k", "l"), *(Put(f"z{n}", b"1") for n in range(100))])

        assert (await store.range("k", "l")).items == []
        events = await anext(store.watch("k", "zz", from_revision=result.revision))
        assert len(events) == 1600
    async with SqliteStore.open(tmp_path / "store.db") as store:
        assert len((await store.range("a", "zz", limit=2000)).items) == 100
        assert len(await anext(store.watch("k", "zz", from_revision=result.revision))) == 1600


async def test_a_transaction_cancelled_while_it_waits_never_happens(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(put(store, "a"))
            await asyncio.sleep(0)
            task.cancel()

        assert await store.get("a") is None
        assert (await store.status()).revision == 0


async def test_a_transaction_cancelled_on_its_way_to_the_disk_happens(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(put(store, "a"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

        assert await store.get("a") is not None


async def test_rows_that_fell_out_of_memory_are_read_from_the_file(tmp_path: Path) -> None:
    options = SqliteOptions(cache_bytes=10_000)
    async with SqliteStore.open(tmp_path / "store.db", inline=True, options=options) as store:
        await write(store, 200, size=200)
        found = [await store.get(f"k{n:04}") for n in range(200)]
        async with asyncio.TaskGroup() as group:
            for item in found:
                assert item is not None
                group.create_task(put(store, item.key, b"2", item.mod_revision))
        assert {item.value for item in (await store.range("k", "l")).items} == {b"2"}


@pytest.mark.virtual_time
async def test_old_history_goes_in_pauses_and_live_keys_stay(tmp_path: Path) -> None:
    options = SqliteOptions(keep_revisions=500)
    async with SqliteStore.open(tmp_path / "store.db", inline=True, options=options) as store:
        async with asyncio.TaskGroup() as group:
            for n in range(1600):
                group.create_task(store.txn((), step(n)))

        await elapse(1)

        status = await store.status()
        kept = status.revision - status.compacted
        assert 500 <= kept < 1500
        with pytest.raises(CompactedError):
            await anext(store.watch("a", "z", from_revision=status.compacted))
        values = [item.value for item in (await store.range("k", "l")).items]
        assert values == [b"%d" % n for n in range(1590, 1600)]
        events = [event async for event in all_events(store, status.compacted + 1)]
        assert len(events) == kept * 3


def step(n: int) -> list[Operation]:
    return [Put(f"k{n % 10}", b"%d" % n), Delete(f"gone{n - 1}"), Put(f"gone{n}", b"")]


async def all_events(store: Store, revision: int) -> AsyncIterator[Event]:
    last = (await store.status()).revision
    async for batch in store.watch("a", "z", from_revision=revision):
        for event in batch:
            yield event
        if batch[-1].revision == last:
            return


async def test_history_is_bounded_when_pauses_never_come(tmp_path: Path) -> None:
    options = SqliteOptions(keep_revisions=100, idle_seconds=60)
    async with SqliteStore.open(tmp_path / "store.db", inline=True, options=options) as store:
        for n in range(100):
            await write_again(store, 128, n)

        status = await store.status()

        assert status.revision == 12_800
        assert status.revision - status.compacted < 12_000


async def write_again(store: Store, count: int, value: int) -> None:
    """Write the same keys from so many callers at once."""
    async with asyncio.TaskGroup() as group:
        for n in range(count):
            group.create_task(store.txn((), [Put(f"k{n}", b"%d" % value)]))


@pytest.mark.virtual_time
async def test_the_files_size_returns_after_deletes(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        await write(store, 1000, size=20_000)
        full = await store.status()
        result = await store.txn((), [DeleteRange("k", prefix_end("k"))])

        await store.compact(result.revision)
        await elapse(5)

        empty = await store.status()
        assert full.size_bytes > 20_000_000
        assert empty.size_bytes < 2_000_000
        assert empty.in_use_bytes < 200_000
        assert (await put(store, "k")).revision == result.revision + 1


@pytest.mark.virtual_time
async def test_superseded_values_go_with_the_history(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        for _ in range(3):
            await write(store, 50, size=20_000)
            await store.txn((), [DeleteRange("k", "l")])
        await write(store, 50, size=20_000)
        async with asyncio.TaskGroup() as group:
            for n in range(50):
                group.create_task(store.txn((), [Put(f"k{n:04}", b"small")]))

        await store.compact((await store.status()).revision)
        await elapse(1)

        assert (await store.status()).in_use_bytes < 200_000
        assert [item.value for item in (await store.range("k", "l")).items] == [b"small"] * 50


@pytest.mark.virtual_time
async def test_what_stays_between_deletes_is_moved_together(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        await write(store, 8000, size=300)
        lease = await store.grant_lease(60)
        await store.txn((), [Put("leased", b"x", lease=lease)])
        full = await store.status()
        kept = [item for item in (await read_all(store, "k"))[0] if int(item.key[1:]) % 2]
        for n in range(0, 8000, 100):
            await store.txn((), [Delete(f"k{key:04}") for key in range(n, n + 100, 2)])

        await store.compact((await store.status()).revision)
        await elapse(5)

        assert (await store.status()).in_use_bytes < 0.6 * full.in_use_bytes
        assert (await read_all(store, "k"))[0] == kept
        await store.revoke_lease(lease)
        assert await store.get("leased") is None

    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        assert (await read_all(store, "k"))[0] == kept


@pytest.mark.virtual_time
async def test_the_revision_of_a_delete_that_is_swept_is_not_used_again(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        await put(store, "a")
        last = await store.txn((), [Delete("a")])
        await store.compact(last.revision)
        await elapse(1)

    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        assert (await store.status()).revision == last.revision
        assert (await store.range("a", "b")).revision == last.revision
        assert (await put(store, "a")).revision == last.revision + 1


async def test_a_lease_that_ends_in_a_group_is_over_for_the_rest_of_the_group(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        lease = await store.grant_lease(60)
        await store.txn((), [Put("a", b"1", lease)])
        async with asyncio.TaskGroup() as group:
            before = group.create_task(store.txn((), [Put("b", b"1", lease)]))
            group.create_task(store.revoke_lease(lease))
            after = group.create_task(outcome(store.txn((), [Put("c", b"1", lease)])))

        assert before.result().succeeded
        assert isinstance(after.result(), LeaseOverError)
        assert (await store.range("a", "d")).items == []


@pytest.mark.virtual_time
async def test_a_lease_ends_by_the_loops_timer_while_nobody_asks(tmp_path: Path) -> None:
    now = asyncio.get_running_loop().time
    async with SqliteStore.open(tmp_path / "store.db", inline=True, now=now) as store:
        lease = await store.grant_lease(30)
        written = await store.txn((), [Put("a", b"1", lease)])

        batch = await anext(store.watch("a", "b", from_revision=written.revision + 1))

        assert list(batch) == [Event("a", None, written.revision + 1)]
        assert 30 <= now() < 31


async def test_a_store_is_open_once(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "store.db", inline=True):
        with pytest.raises(StoreBusyError):
            async with SqliteStore.open(tmp_path / "store.db", inline=True):
                pass

    async with SqliteStore.open(tmp_path / "store.db", inline=True) as store:
        assert (await put(store, "a")).succeeded


async def test_a_store_is_opened_under_a_lock_that_is_held_already(tmp_path: Path) -> None:
    with EngineLock(tmp_path / "store.db") as lock:
        async with SqliteStore.open(tmp_path / "store.db", inline=True, lock=lock) as store:
            assert (await put(store, "a")).succeeded
        assert lock.is_held

        with pytest.raises(ValueError, match="is not the lock of"):
            async with SqliteStore.open(tmp_path / "other.db", inline=True, lock=lock):
                pass


async def test_a_body_that_raises_still_closes_the_store(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_within(tmp_path / "store.db")

    async with SqliteStore.open(tmp_path / "store.db") as store:
        assert await store.get("a") is not None


async def fail_within(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await put(store, "a")
        raise ZeroDivisionError
