from __future__ import annotations

import asyncio

import pytest

from airscrew.state.errors import CompactedError, StoreUnavailableError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Event, LeaseStore, Put

_: type[LeaseStore] = MemoryStore


async def test_history_is_bounded() -> None:
    store = MemoryStore(keep_revisions=100)

    for n in range(500):
        await store.txn((), [Put("a", b"%d" % n)])

    status = await store.status()
    assert 100 <= status.revision - status.compacted <= 110
    with pytest.raises(CompactedError):
        await anext(store.watch("a", "b", from_revision=1))


@pytest.mark.virtual_time
async def test_a_lease_ends_by_the_loops_timer_while_nobody_asks() -> None:
    store = MemoryStore(now=asyncio.get_running_loop().time)
    lease = await store.grant_lease(30)
    written = await store.txn((), [Put("a", b"1", lease)])

    batch = await anext(store.watch("a", "b", from_revision=written.revision + 1))

    assert batch == [Event("a", None, written.revision + 1)]
    store.close()


async def test_closing_ends_watches() -> None:
    store = MemoryStore()
    store.close()

    with pytest.raises(StoreUnavailableError):
        await anext(store.watch("a", "b", from_revision=1))
