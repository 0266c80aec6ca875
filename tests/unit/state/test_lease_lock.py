"""
The engine's lock by lease, over the store in memory and virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.errors import LeaseOverError, StoreBusyError, StoreFullError, StoreUnavailableError
from airscrew.state.holder import Holder, myself
from airscrew.state.lease_lock import ENGINE_KEY, TERM_KEY, hold_engine
from airscrew.state.memory import MemoryStore
from airscrew.state.room import BoundedStore
from airscrew.state.store import Compare, LeaseStore, Put

pytestmark = pytest.mark.virtual_time

STRANGER = msgspec.json.encode(Holder(host="elsewhere", pid=7, boot="b", space="s", started="1"))


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore(now=asyncio.get_running_loop().time)


@pytest.fixture(autouse=True)
def closed(store: MemoryStore) -> Iterator[None]:
    yield
    store.close()


async def test_one_engine_at_a_time(store: MemoryStore) -> None:
    async with hold_engine(store) as held:
        await held.txn((), [Put("a", b"1")])

        with pytest.raises(StoreBusyError, match="in use by another airscrew process"):
            async with hold_engine(store):
                pass

    async with hold_engine(store):
        pass


async def test_the_lock_lives_as_long_as_its_holder(store: MemoryStore) -> None:
    async with hold_engine(store, seconds=15):
        await elapse(3600)

        assert await store.get(ENGINE_KEY) is not None

    assert await store.get(ENGINE_KEY) is None


async def test_the_lock_of_a_holder_that_is_not_heard_of_ends(store: MemoryStore) -> None:
    lease = await store.grant_lease(15)
    await store.txn((), [Put(ENGINE_KEY, STRANGER, lease)])

    with pytest.raises(StoreBusyError, match="process 7 on elsewhere"):
        async with hold_engine(store):
            pass
    await elapse(16)

    async with hold_engine(store):
        pass


async def test_a_holder_of_this_machine_that_is_gone_is_not_waited_for(store: MemoryStore) -> None:
    gone = msgspec.structs.replace(myself(), pid=2**22 + 1, started="1")
    lease = await store.grant_lease(15)
    await store.txn((), [Put(ENGINE_KEY, msgspec.json.encode(gone), lease)])

    async with hold_engine(store):
        found = await store.get(ENGINE_KEY)

    assert found is not None
    assert msgspec.json.decode(found.value, type=Holder) == myself()


async def test_a_lease_that_ended_while_nobody_came_is_taken_again(store: MemoryStore) -> None:
    async with hold_engine(store, seconds=15) as held:
        found = await store.get(ENGINE_KEY)
        assert found is not None
        await store.revoke_lease(found.lease)

        await elapse(20)

        assert await store.get(ENGINE_KEY) is not None
        assert (await held.txn((), [Put("a", b"1")])).succeeded


async def test_an_engine_whose_lock_was_taken_stops_and_writes_nothing(store: MemoryStore) -> None:
    async def be_an_engine() -> None:
        async with hold_engine(store, seconds=15) as held:
            await taken_over(store)
            with pytest.raises(StoreBusyError):
                await held.txn((), [Put("a", b"late")])
            await elapse(3600)

    with pytest.raises(StoreBusyError):
        await be_an_engine()

    assert await store.get("a") is None


async def taken_over(store: LeaseStore) -> None:
    """What a second engine does when the first one is not heard of."""
    engine, lease = await store.get(ENGINE_KEY), await store.grant_lease(1000)
    assert engine is not None
    await store.revoke_lease(engine.lease)
    await store.txn((), [Put(ENGINE_KEY, STRANGER, lease), Put(TERM_KEY, STRANGER)])


async def test_a_conflict_of_the_engines_own_is_no_loss(store: MemoryStore) -> None:
    async with hold_engine(store) as held:
        result = await held.txn([Compare("a", 5)], [Put("a", b"1")])

    assert not result.succeeded


async def test_the_held_store_passes_on_whether_room_is_short(store: MemoryStore) -> None:
    async with hold_engine(store) as held:
        assert isinstance(held, BoundedStore)
        assert not held.is_short_of_room()

        store.is_short_of_room = lambda: True  # type: ignore[attr-defined]

        assert held.is_short_of_room()


async def test_what_the_body_raises_comes_out_as_it_is(store: MemoryStore) -> None:
    with pytest.raises(LookupError, match="of the body"):
        async with hold_engine(store):
            raise LookupError("of the body")


async def test_a_store_that_is_away_for_long_costs_nothing_but_time(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(lease: int) -> float:
        raise StoreUnavailableError(f"no answer for {lease}")

    async with hold_engine(store, seconds=15) as held:
        with monkeypatch.context() as patch:
            patch.setattr(store, "keep_alive", away)
            await elapse(600)
        await elapse(20)

        assert await store.get(ENGINE_KEY) is not None
        assert (await held.txn((), [Put("a", b"1")])).succeeded


async def test_a_store_that_is_full_when_the_lease_has_ended_costs_nothing_but_time(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(seconds: float) -> int:
        raise StoreFullError("no room")

    async with hold_engine(store, seconds=15) as held:
        lease = (await store.get(ENGINE_KEY)).lease  # type: ignore[union-attr]
        with monkeypatch.context() as patched:
            patched.setattr(store, "grant_lease", full)
            await store.revoke_lease(lease)
            await elapse(60)
        await elapse(10)

        assert await store.get(ENGINE_KEY) is not None
        assert (await held.txn((), [Put("a", b"1")])).succeeded


async def test_a_holder_that_stood_still_while_it_took_its_lock_again_tries_once_more(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def over(seconds: float) -> int:
        lease = await MemoryStore.grant_lease(store, seconds)
        await store.revoke_lease(lease)
        return lease

    async with hold_engine(store, seconds=15) as held:
        lease = (await store.get(ENGINE_KEY)).lease  # type: ignore[union-attr]
        with monkeypatch.context() as patched:
            patched.setattr(store, "grant_lease", over)
            await store.revoke_lease(lease)
            await elapse(10)
        await elapse(10)

        assert await store.get(ENGINE_KEY) is not None
        assert (await held.txn((), [Put("a", b"1")])).succeeded


async def test_a_lease_of_the_lock_is_an_ordinary_one(store: MemoryStore) -> None:
    async with hold_engine(store):
        found = await store.get(ENGINE_KEY)

    assert found is not None
    with pytest.raises(LeaseOverError):
        await store.keep_alive(found.lease)
