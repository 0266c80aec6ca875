"""
Members over one store in memory and virtual time: who comes, goes, is paused, and what each then has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import pytest

from airscrew.engine.testing.virtual_time import elapse
from airscrew.state import keys
from airscrew.state.beside import running_beside
from airscrew.state.errors import LeaseOverError, ShardLostError, StoreBusyError, StoreFullError, StoreUnavailableError
from airscrew.state.fencing import FencedStore
from airscrew.state.lease_lock import hold_engine
from airscrew.state.members import UNITS, Held, Life, Member, Membership, join
from airscrew.state.members.joining import LEASE_SECONDS
from airscrew.state.members.registration import Registration
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Delete, LeaseStore, Page, Put

pytestmark = pytest.mark.virtual_time

EPOCH = 1_000_000.0


@dataclass
class Work(Held):
    """Notes what it is told; ``slow`` is how long calls under way take to return."""

    slow: float = 0.0
    units: set[str] = field(default_factory=set)
    given: dict[str, bool] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def gained(self, unit: str, *, given: bool) -> None:
        self.units.add(unit)
        self.given[unit] = given
        self.log.append(f"gained {unit}")

    async def let_go(self, unit: str) -> None:
        returned = asyncio.Event()
        asyncio.get_running_loop().call_later(self.slow, returned.set)
        await returned.wait()
        self.units.discard(unit)

    def lost(self, unit: str) -> None:
        self.units.discard(unit)
        self.log.append(f"lost {unit}")

    def told_time(self, time: float) -> None:
        self.times.append(time)


class Line:
    """One member's way to the store, which can be cut."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.is_cut = False
        self.is_full = False
        self.is_slow = False
        self.read_seconds = 0.0
        self.old_answer: Page | None = None
        self.is_late = False
        self.travelling = list[Callable[[], Awaitable[object]]]()

    async def arrive(self, which: int) -> None:
        """Let a request that is under way come to the store; who sent it gave it up long ago."""
        with suppress(LeaseOverError):
            await self.travelling[which]()

    def __getattr__(self, name: str) -> object:
        method = getattr(self.store, name)
        if name == "watch":
            return method

        async def call(*args: object, **kwargs: object) -> object:
            if self.is_cut:
                raise StoreUnavailableError("cut, on purpose")
            if self.is_full and name == "txn":
                raise StoreFullError("no room, on purpose")
            if self.is_late and name == "txn":
                self.travelling.append(lambda: method(*args, **kwargs))
                raise StoreUnavailableError("no answer, on purpose")
            if name == "get":
                await elapse(self.read_seconds)
            if self.old_answer is not None and name in {"get", "range"}:
                return self.old_answer if name == "range" else None
            if self.is_slow and name == "grant_lease":
                lease = await method(*args, **kwargs)
                await elapse(2 * LEASE_SECONDS)
                return lease
            return await method(*args, **kwargs)

        return call


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore(now=asyncio.get_running_loop().time)


@pytest.fixture(autouse=True)
def closed(store: MemoryStore) -> Iterator[None]:
    yield
    store.close()


def loop_time() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def member(
    store: LeaseStore, name: str, work: Work | None = None, now: Callable[[], float] = lambda: EPOCH + loop_time()
) -> AsyncIterator[Membership]:
    async with join(store, Member(id=name), monotonic=loop_time, now=now) as membership:
        if work is not None:
            await membership.begin(work, {"echo": 1})
        yield membership


async def owners(store: MemoryStore) -> dict[str, str]:
    page = await store.range("members/claim/", "members/claim0")
    return {item.key.rpartition("/")[2]: item.value.decode() for item in page.items}


async def test_the_first_member_has_everything_when_it_has_begun(store: MemoryStore) -> None:
    work = Work()
    async with member(store, "a", work) as a:
        assert a.owned == work.units == set(UNITS)


async def test_a_second_member_is_given_its_share_and_nobody_has_what_another_has(store: MemoryStore) -> None:
    first, second = Work(), Work()
    async with member(store, "a", first) as a, member(store, "b", second) as b:
        await elapse(1)

        assert not a.owned & b.owned
        assert a.owned | b.owned == set(UNITS)
        assert (first.units, second.units) == (a.owned, b.owned)
        assert all(second.given.values())


async def test_a_unit_is_given_away_only_when_its_calls_have_returned(store: MemoryStore) -> None:
    first, second = Work(slow=30.0), Work()
    async with member(store, "a", first) as a, member(store, "b", second) as b:
        await elapse(29)
        assert not b.owned
        assert a.owned == set(UNITS)

        await elapse(2)
        assert b.owned


async def test_a_unit_that_was_anothers_in_between_is_lost_and_begun_anew(store: MemoryStore) -> None:
    work, key = Work(), keys.claim_key("00")
    async with member(store, "a", work) as a:
        before = [*a.compares("00")]
        mine = await store.get(key)
        assert mine is not None
        await store.txn([], [Put(key, b'{"owner":"b"}')])
        await store.txn([], [Put(key, mine.value)])
        await elapse(0.1)

        assert work.log[-2:] == ["lost 00", "gained 00"]
        assert [*a.compares("00")] != before


async def test_who_leaves_gives_all_away_before_it_goes(store: MemoryStore) -> None:
    first, second = Work(), Work()
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(member(store, "a", first))
        async with member(store, "b", second):
            await elapse(1)
            assert await a.leave(10.0)
            await elapse(0.1)

            assert not first.units
            assert second.units == set(UNITS)
            assert all(second.given.values())


async def test_the_last_one_leaves_everything_to_whoever_comes(store: MemoryStore) -> None:
    async with member(store, "a", Work()) as a:
        assert await a.leave(10.0)
    work = Work()
    async with member(store, "b", work):
        assert work.units == set(UNITS)


async def test_what_a_killed_member_had_is_taken_when_its_lease_is_over(store: MemoryStore) -> None:
    line, work = Line(store), Work()
    async with member(line, "a", Work()), member(store, "b", work):
        await elapse(1)
        line.is_cut = True  # it says nothing any more, as one that was killed
        await elapse(10)
        assert work.units != set(UNITS)
        await elapse(10)

        assert work.units == set(UNITS)
        assert not all(work.given.values())


async def test_a_member_is_certain_only_while_nobody_can_have_taken_what_it_has(store: MemoryStore) -> None:
    line = Line(store)
    async with member(line, "a", Work()) as a:
        await elapse(60)
        assert a.is_certain
        line.is_cut = True
        lease_over = None
        for _ in range(30):
            await elapse(1)
            is_there = await store.get(keys.member_key("a")) is not None
            assert is_there or not a.is_certain
            lease_over = lease_over or not is_there
        assert lease_over


async def test_a_member_whose_lease_ends_while_the_store_is_full_comes_back_when_there_is_room(
    store: MemoryStore,
) -> None:
    line, work = Line(store), Work()
    async with member(line, "a", work) as a:
        line.is_cut = True
        await elapse(20)
        line.is_cut, line.is_full = False, True
        await elapse(20)
        assert not a.is_certain, "its key is not in the store: anybody may take over"
        line.is_full = False
        await elapse(20)

        assert a.is_certain
        assert work.units == set(UNITS)


async def test_a_member_that_leaves_a_full_store_says_that_it_could_not_give_all_away(store: MemoryStore) -> None:
    line = Line(store)
    async with member(line, "a", Work()) as a:
        line.is_full = True

        assert not await a.leave(10.0)


async def test_a_member_cut_off_writes_nothing_after_another_has_taken_over(store: MemoryStore) -> None:
    line, first, second = Line(store), Work(), Work()
    async with member(line, "a", first) as a:
        unit = next(iter(a.owned))
        fenced = FencedStore(store, a.unit(unit))
        line.is_cut = True
        await elapse(20)
        await fenced.txn([], [Put("x", b"nobody came: still its own")])
        async with member(store, "b", second):
            await elapse(20)
            assert second.units == set(UNITS)

            with pytest.raises(ShardLostError):
                await fenced.txn([], [Put("x", b"late")])

            found = await store.get("x")
            assert found is not None
            assert found.value == b"nobody came: still its own"


async def test_a_member_cut_off_for_long_comes_back_and_has_what_nobody_took(store: MemoryStore) -> None:
    line, work = Line(store), Work()
    async with member(line, "a", work) as a:
        line.is_cut = True
        await elapse(300)
        assert not a.is_certain
        line.is_cut = False
        await elapse(5)

        assert a.is_certain
        assert a.owned == set(UNITS)
        assert work.units == set(UNITS)


async def test_a_member_that_comes_back_after_a_take_over_gets_its_share_again(store: MemoryStore) -> None:
    line, first, second = Line(store), Work(), Work()
    async with member(line, "a", first) as a, member(store, "b", second) as b:
        await elapse(1)
        before = a.owned
        line.is_cut = True
        await elapse(30)
        assert b.owned == set(UNITS)
        line.is_cut = False
        await elapse(5)

        assert a.owned == first.units == before
        assert b.owned == second.units == set(UNITS) - before


async def test_the_leader_is_one_unit_among_others(store: MemoryStore) -> None:
    async with member(store, "a", Work()) as a, member(store, "b", Work()) as b, member(store, "c", Work()) as c:
        await elapse(1)

        assert sum(one.owns("leader") for one in (a, b, c)) == 1


async def test_members_and_an_engine_that_does_not_share_keep_each_other_out(store: MemoryStore) -> None:
    async with member(store, "a", Work()):
        with pytest.raises(StoreBusyError, match=r"engines that share it \(member a\)"):
            async with hold_engine(store):
                pass
    async with hold_engine(store):
        with pytest.raises(StoreBusyError, match="does not share it"):
            async with member(store, "b", Work()):
                pass


async def test_an_engine_that_takes_the_store_for_itself_fences_members_that_were_away(store: MemoryStore) -> None:
    line = Line(store)

    async def be_away_while_another_engine_comes() -> None:
        async with member(line, "a", Work()) as a:
            fenced = FencedStore(store, a.unit("00"))
            line.is_cut = True
            await elapse(20)
            async with hold_engine(store):
                with pytest.raises(ShardLostError):
                    await fenced.txn([], [Put("x", b"late")])
                assert await store.get("x") is None
                line.is_cut = False
                await elapse(20)

    with pytest.raises(StoreBusyError, match="does not share it"):
        await be_away_while_another_engine_comes()


async def test_who_joins_learns_the_time_of_those_who_are_there(store: MemoryStore) -> None:
    async with member(store, "a", Work()):
        await elapse(30)
        async with member(store, "b", now=lambda: 7.0) as b:
            assert await b.hear_time(5.0) == pytest.approx(EPOCH + 30, abs=0.1)
            await elapse(10)
            assert b.told_time() == pytest.approx(EPOCH + 40, abs=0.1)


async def test_the_time_is_told_as_it_is_when_it_is_written_however_long_it_is_read_before(store: MemoryStore) -> None:
    line = Line(store)
    async with member(line, "a", Work()), member(store, "b") as b:
        line.is_cut = True
        await elapse(2 * LEASE_SECONDS)
        line.is_cut, line.read_seconds = False, 3.0
        b.heard_time = None
        await elapse(LEASE_SECONDS)

        assert b.told_time() == pytest.approx(EPOCH + loop_time(), abs=0.1)


async def test_who_is_alone_waits_for_nobodys_time(store: MemoryStore) -> None:
    async with member(store, "a") as a:
        before = loop_time()
        assert await a.hear_time(5.0) is None
        assert loop_time() == before


async def test_a_member_whose_key_was_deleted_by_hand_puts_it_again(store: MemoryStore) -> None:
    async with member(store, "a", Work()) as a:
        found = await store.get(keys.member_key("a"))
        assert found is not None
        await store.revoke_lease(found.lease)
        await elapse(6)

        assert a.is_certain
        assert await store.get(keys.member_key("a")) is not None
        with pytest.raises(LeaseOverError):
            await store.keep_alive(found.lease)


async def test_members_come_and_go_and_each_unit_always_has_one_owner_at_most(store: MemoryStore) -> None:
    works = [Work(slow=0.5 * number) for number in range(4)]
    async with AsyncExitStack() as stack:
        all_of_them = [await stack.enter_async_context(member(store, f"m{n}", work)) for n, work in enumerate(works)]
        for _ in range(12):
            await elapse(0.5)
            assert sum(len(one.owned) for one in all_of_them) <= len(UNITS)
        await all_of_them[1].leave(30.0)
        await elapse(5)
        assert set().union(*(work.units for work in works)) == set(UNITS)
        assert sum(len(work.units) for work in works) == len(UNITS)


def test_states_of_a_member_are_what_operators_read() -> None:
    assert [life.value for life in Life] == ["joining", "active", "leaving"]


async def test_a_lease_that_ends_before_the_key_is_put_is_tried_again(store: MemoryStore) -> None:
    work, line = Work(), Line(store)
    async with member(line, "a", work) as a:
        line.is_slow = True
        await store.txn([], [Delete(keys.member_key("a"))])
        await store.revoke_lease(1)
        await elapse(4 * LEASE_SECONDS)
        assert not a.is_certain

        line.is_slow = False
        await elapse(4 * LEASE_SECONDS)
        assert a.is_certain
        assert a.owned == work.units == set(UNITS)


async def test_what_came_back_while_it_was_being_given_away_is_worked_on(store: MemoryStore) -> None:
    first, second, key = Work(slow=20.0), Work(), keys.claim_key("00")
    async with member(store, "a", first) as a, member(store, "b", second):
        await elapse(1)
        mine = await store.get(key)
        assert mine is not None
        assert a.owned == set(UNITS)
        await store.txn([], [Put(keys.member_key("b"), msgspec.json.encode(Member(id="b", life=Life.LEAVING)))])
        await store.txn([], [Put(key, b'{"owner":"nobody"}')])
        await store.txn([], [Put(key, mine.value)])
        await elapse(30)

        assert a.owned == set(UNITS)
        assert first.units == set(UNITS)


@pytest.mark.parametrize("which", [0, 1], ids=["the key itself", "a word that is told with it"])
async def test_a_put_of_a_members_key_that_comes_late_does_not_bring_it_under_a_lease_that_nobody_keeps(
    store: MemoryStore, which: int
) -> None:
    line = Line(store)
    registration = Registration(line, Member(id="a"), seconds=LEASE_SECONDS, monotonic=loop_time, now=loop_time)
    await registration.begin()
    found = await store.get(keys.member_key("a"))
    assert found is not None
    await store.revoke_lease(found.lease)
    async with running_beside(lease=registration.keep(nothing)):
        line.is_late = True
        await elapse(LEASE_SECONDS / 3 + 0.1)
        with pytest.raises(StoreUnavailableError):
            await registration.publish(Life.ACTIVE)
        line.is_late = False
        await elapse(2.0)
        assert registration.is_certain
        await line.arrive(which)
        await elapse(4 * LEASE_SECONDS)

        assert registration.is_certain
        assert await store.get(keys.member_key("a")) is not None


async def nothing() -> None:
    pass


async def test_what_a_member_says_while_its_key_is_put_again_is_told(store: MemoryStore) -> None:
    line = Line(store)
    registration = Registration(line, Member(id="a"), seconds=LEASE_SECONDS, monotonic=loop_time, now=loop_time)
    await registration.begin()
    found = await store.get(keys.member_key("a"))
    assert found is not None
    await store.revoke_lease(found.lease)
    line.is_slow = True
    async with running_beside(lease=registration.keep(nothing)), asyncio.TaskGroup() as group:
        await elapse(LEASE_SECONDS / 2)
        line.is_slow = False
        group.create_task(registration.publish(Life.LEAVING))
        await elapse(4 * LEASE_SECONDS)

        found = await store.get(keys.member_key("a"))
        assert found is not None
        assert msgspec.json.decode(found.value, type=Member).life is Life.LEAVING


async def test_an_old_answer_that_a_claim_is_not_there_does_not_undo_the_claim_that_was_made_meanwhile(
    store: MemoryStore,
) -> None:
    line = Line(store)
    async with member(line, "a", Work()) as a:
        line.old_answer = Page(items=(), more=False, revision=1)
        await a.check("00")
        line.old_answer = None

        assert a.owned == set(UNITS)
        await a.check("00")


async def test_a_claim_that_was_deleted_by_hand_is_taken_again(store: MemoryStore) -> None:
    async with member(store, "a", Work()) as a:
        await store.txn([], [Delete(keys.claim_key("00"))])
        with suppress(ShardLostError):
            await a.check("00")
        await elapse(1)

        assert a.owned == set(UNITS)
