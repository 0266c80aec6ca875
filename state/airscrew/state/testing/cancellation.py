"""
Checks of guarantee 6: cancelled calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airscrew.state.store import Compare, Put, Store, TxnResult
from airscrew.state.testing.tools import Check, MakeStore, expect, expect_equal, history, put


async def a_cancelled_transaction_happens_whole_or_not_at_all(make_store: MakeStore) -> None:
    """Cancelled after ever more turns of the loop; the ones beside it are not disturbed."""
    async with make_store() as store:
        before = (await store.status()).revision
        for turns in range(12):
            beside = await _cancel_after(store, turns)
            expect(beside.succeeded, f"the transaction beside a cancelled one failed, after {turns} turns")
        last = await put(store, ("cancel/end", b""))
        events = await history(store, "cancel/", before + 1, last.revision)
        for turns in range(12):
            a, b = await store.get(f"cancel/{turns}/a"), await store.get(f"cancel/{turns}/b")
            expect_equal(a is None, b is None, f"whether both writes of cancelled transaction {turns} happened")
            told = sum(event.key.startswith(f"cancel/{turns}/") for event in events)
            expect_equal(told, 0 if a is None else 2, f"the events of cancelled transaction {turns}")


async def _cancel_after(store: Store, turns: int) -> TxnResult:
    writes = [Put(f"cancel/{turns}/a", b"1"), Put(f"cancel/{turns}/b", b"1")]
    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(_txn(store, [Compare(writes[0].key, 0)], writes))
        beside = group.create_task(_txn(store, (), [Put(f"beside/{turns}", b"1")]))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled.cancel()
    return beside.result()


async def _txn(store: Store, compares: Sequence[Compare], operations: Sequence[Put]) -> TxnResult:
    return await store.txn(compares, operations)


async def a_cancelled_read_or_watch_disturbs_nobody(make_store: MakeStore) -> None:
    """The store answers as before."""

    async def watch(store: Store, revision: int) -> None:
        async for _ in store.watch("calm/", "calm0", from_revision=revision):
            pass

    async def read(store: Store) -> None:
        while True:
            await store.get("calm/a")
            await store.range("calm/", "calm0")
            await asyncio.sleep(0)

    async with make_store() as store:
        result = await put(store, ("calm/a", b"1"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch(store, result.revision + 1)), group.create_task(read(store))]
            for n in range(10):
                await put(store, ("calm/a", b"%d" % n))
            for task in tasks:
                task.cancel()
        last = await put(store, ("calm/a", b"end"))
        events = await history(store, "calm/", last.revision, last.revision)
        expect_equal([event.value for event in events], [b"end"], "the events after a cancelled watch")


CHECKS: Sequence[Check] = (
    a_cancelled_transaction_happens_whole_or_not_at_all,
    a_cancelled_read_or_watch_disturbs_nobody,
)
