"""Two engines over one store: who may go, who is woken, and that what the store refuses is not passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from airscrew.engine.clock import LoopClock
from airscrew.engine.config import Quota
from airscrew.engine.quotas import Asker, Hold, Pools, QuotaDesk, following
from airscrew.engine.quotas.desk import PATIENCE_SECONDS
from airscrew.engine.quotas.line import Waiting
from airscrew.engine.quotas.views import read_quotas
from airscrew.engine.testing.virtual_time import elapse, run_virtual
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.state import keys
from airscrew.state.memory import MemoryStore
from airscrew.state.records import Place, TokenHolder, encode
from airscrew.state.store import Compare, Delete, Operation, Put, prefix_end

pytestmark = pytest.mark.virtual_time(limit_seconds=10_000)

FEW = {"few": Quota(limit=2, namespace=2)}


def name_of(name: str) -> ExecutionId:
    namespace, _, own = name.rpartition("/")
    return ExecutionId(namespace or "default", own)


@dataclass
class Member:
    """An engine, as far as quotas go: it writes what a commit writes."""

    store: MemoryStore
    pools: Pools
    clock: LoopClock = field(default_factory=LoopClock)
    woken: list[str] = field(default_factory=list)
    places: dict[str, Place | None] = field(default_factory=dict)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: int = 0
    desk: QuotaDesk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = QuotaDesk(
            store=self.store,
            pools=self.pools,
            clock=self.clock,
            wake=lambda execution: self.woken.append(execution.name),
            spread=lambda: 0.0,
        )

    def look(self, name: str, units: int = 1) -> Hold:
        asker = Asker(
            execution=name_of(name),
            executor="x",
            own=("few", units),
            project="",
            labels={},
            place=self.places.get(name),
        )
        return self.desk.look(asker, self.clock.now())

    async def try_to_go(self, name: str, units: int = 1) -> bool:
        """Take a turn with one that is to be started."""
        hold = self.look(name, units)
        key, line = AttemptKey(f"key-{name}"), keys.quota_line_key(name_of(name))
        if not hold.tokens:
            if hold.place != self.places.get(name):
                self.places[name] = hold.place
                await self.store.txn([], [Put(line, encode(hold.place))])
            return False
        names = [keys.quota_token_key(token) for token in hold.tokens]
        self.desk.reserve(name_of(name), hold.tokens)
        holder = encode(TokenHolder(execution=str(name_of(name)), key=key))
        operations: list[Operation] = [Put(one, holder) for one in names]
        result = await self.store.txn([Compare(one, 0) for one in names], [*operations, Delete(line)])
        await self.desk.settle(name_of(name), hold.tokens, "", result.revision if result.succeeded else 0)
        self.refused += not result.succeeded
        if result.succeeded:
            self.held[name] = hold.tokens
            self.places.pop(name, None)
        return result.succeeded

    async def end(self, name: str) -> None:
        tokens = self.held.pop(name)
        await self.store.txn([], [Delete(keys.quota_token_key(token)) for token in tokens])


class Counting(dict[ExecutionId, Waiting]):
    """Counts how often somebody in a line is looked at."""

    looked_up = 0

    @override
    def __getitem__(self, execution: ExecutionId) -> Waiting:
        self.looked_up += 1
        return super().__getitem__(execution)


@asynccontextmanager
async def members(count: int, quotas: dict[str, Quota] | None = None) -> AsyncIterator[list[Member]]:
    store, pools = MemoryStore(), Pools(quotas or FEW)
    async with AsyncExitStack() as stack:
        found = [Member(store, pools) for _ in range(count)]
        for one in found:
            await stack.enter_async_context(following(one.desk))
        await elapse(PATIENCE_SECONDS + 1)
        yield found


async def test_a_release_wakes_those_who_can_go_and_nobody_else() -> None:
    async with members(1) as (one,):
        assert [await one.try_to_go(name) for name in "abcde"] == [True, True, False, False, False]
        await elapse(1)

        await one.end("a")
        await elapse(1)
        assert one.woken == ["c"]
        await one.end("b")
        await elapse(1)
        assert one.woken == ["c", "d"]


async def test_who_leaves_the_line_lets_the_next_one_know() -> None:
    async with members(1) as (one,):
        await one.try_to_go("a")
        assert [await one.try_to_go("large", 2), await one.try_to_go("small")] == [False, False]

        one.desk.leave(name_of("large"))

        assert one.woken == ["small"]


async def test_a_release_at_one_engine_wakes_who_is_first_in_the_line_of_all() -> None:
    async with members(2) as (one, other):
        assert await one.try_to_go("a")
        assert await one.try_to_go("b")
        await elapse(1)
        assert not await other.try_to_go("first")
        await elapse(1)
        assert not await one.try_to_go("second")
        await elapse(1)

        await one.end("a")
        await elapse(1)

        assert (one.woken, other.woken) == ([], ["first"])
        assert not await one.try_to_go("second"), "it overtakes nobody"
        assert await other.try_to_go("first")


async def test_those_of_an_engine_that_is_gone_are_waited_for_in_patience_and_not_for_ever() -> None:
    async with members(1) as (one,):
        await one.try_to_go("a")
        await one.try_to_go("b")
        gone = Place(pool="few", since=1.0)
        await one.store.txn([], [Put(keys.quota_line_key(name_of("gone")), encode(gone))])
        await elapse(1)
        await one.end("a")
        await elapse(1)

        assert "others are first" in one.look("c").reason
        assert one.woken == []
        await elapse(2 * PATIENCE_SECONDS)
        assert one.woken == ["c"]
        assert await one.try_to_go("c")


@pytest.mark.parametrize("free", [0, 1])
async def test_a_look_looks_at_few_others_however_many_wait_here_and_elsewhere(free: int) -> None:
    count = 300
    async with members(2, {"few": Quota(limit=2)}) as (one, other):
        for at in range(2):
            assert await other.try_to_go(f"first{at}")
        for at in range(count):
            await other.try_to_go(f"other{at}")
            await one.try_to_go(f"ours{at}")
        if free:
            await other.end("first0")
        await elapse(PATIENCE_SECONDS + 1)
        lines = (one.desk.line, one.desk.ours)
        for line in lines:
            line._by_execution = Counting(line._by_execution)
        for at in range(1, count):
            assert not one.look(f"ours{at}").tokens

    assert sum(line._by_execution.looked_up for line in lines) <= 4 * count


async def test_who_stands_aside_keeps_the_place_and_keeps_nobody_waiting() -> None:
    async with members(2, {"few": Quota(limit=1)}) as (one, other):
        assert await one.try_to_go("a")
        for name in ("b", "c"):
            await elapse(1)
            await one.try_to_go(name)
        place = one.places["b"]
        assert place is not None
        one.desk.leave(name_of("b"))
        aside = one.places["b"] = msgspec.structs.replace(place, aside=True)
        await one.store.txn([], [Put(keys.quota_line_key(name_of("b")), encode(aside))])
        await elapse(1)

        waits_at = [name_of("b") in member.desk.line for member in (one, other)]
        hold = one.look("b")

    assert waits_at == [False, False]
    assert hold.place == place
    assert [waiting.execution.name for waiting in one.desk.line.admitted(lambda _: 2)] == ["b", "c"]


async def test_two_engines_that_choose_the_same_token_lose_a_try_and_no_more() -> None:
    async with members(2, {"few": Quota(limit=1)}) as (one, other):
        first, second = one.look("a"), other.look("b")
        assert first.tokens == second.tokens == ("few/0",)

        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(one.try_to_go("a")), group.create_task(other.try_to_go("b"))]
        assert [one.result() for one in tries] == [True, False]
        assert other.refused == 1
        assert other.look("b").reason == "waits for quota few: 1 of 1 used"


async def test_a_list_after_a_compaction_tells_what_the_watch_did_not() -> None:
    async with members(1) as (one,):
        await one.try_to_go("a")
        await one.try_to_go("b")
        await one.try_to_go("c")
        await elapse(1)
        again = Member(one.store, one.pools, places=dict(one.places))
        await one.store.compact((await one.store.range("a", "b")).revision)
        async with following(again.desk):
            assert again.look("c").reason == "waits for quota few (namespace default): 2 of 2 used"


async def test_what_nobody_can_read_counts_as_taken() -> None:
    async with members(1, {"few": Quota(limit=1)}) as (one,):
        await one.store.txn([], [Put("quota-token/few/0", b"\xff"), Put("quota-line/00/bad", b"\xff")])
        await elapse(1)

        assert one.look("a").reason == "waits for quota few: 1 of 1 used"
        [view] = await read_quotas(one.store, one.pools)
        assert (view.used, view.waiting) == (1, 0)


async def test_an_engine_knows_how_its_pools_stand_for_those_who_measure_it() -> None:
    async with members(2) as (one, other):
        for name in "abc":
            await one.try_to_go(name)
        await elapse(1)

        for engine in (one, other):
            [state] = engine.desk.states()
            assert (state.pool, state.limit, state.used, state.waiting) == ("few", 2, 2, 1)
            assert engine.clock.now() - state.oldest_wait_since == 1.0


async def test_people_see_pools_and_the_shares_that_are_in_use_or_waited_for() -> None:
    async with members(1, {"few": Quota(limit=2, namespace=1), "idle": Quota(limit=5)}) as (one,):
        await one.try_to_go("team-a/a")
        await one.try_to_go("team-a/b")
        views = await read_quotas(one.store, one.pools)

    assert [(view.pool, view.scope, view.limit, view.used, view.waiting) for view in views] == [
        ("few", "", 2, 1, 1),
        ("few", "namespace team-a", 1, 1, 1),
        ("idle", "", 5, 0, 0),
    ]
    assert views[0].oldest_wait_since > 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("go"), st.integers(0, 2), st.sampled_from(["a/1", "a/2", "a/3", "b/1", "b/2"])),
        st.tuples(st.just("end"), st.integers(0, 2), st.integers(0, 4)),
        st.tuples(st.just("sleep"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_no_limit_is_passed_whatever_engines_do_and_however_far_they_are_behind(
    program: list[tuple[str, int, object]],
) -> None:
    """Each look goes by what an engine knows; it learns of the others only when it sleeps."""
    run_virtual(_go(program))


async def _go(program: list[tuple[str, int, object]]) -> None:
    limits = {"few": 3, "few/namespace=a": 2, "few/namespace=b": 2}
    async with members(3, {"few": Quota(limit=3, namespace=2)}) as engines:
        for step, at, what in program:
            engine = engines[at]
            name = f"{what}-{at}"
            if step == "go" and name not in engine.held:
                await engine.try_to_go(name)
            elif step == "end" and isinstance(what, int) and what < len(engine.held):
                await engine.end(list(engine.held)[what])
            elif step == "sleep":
                await elapse(0.5)
            page = await engine.store.range(keys.QUOTA_TOKENS, prefix_end(keys.QUOTA_TOKENS))
            taken = [item.key.removeprefix(keys.QUOTA_TOKENS).rpartition("/")[0] for item in page.items]
            assert all(taken.count(scope) <= limit for scope, limit in limits.items()), taken
        await _all_come_to_their_turn(engines)


async def _all_come_to_their_turn(engines: list[Member]) -> None:
    for _ in range(80):
        await elapse(PATIENCE_SECONDS / 2)
        for engine in engines:
            for name in list(engine.held):
                await engine.end(name)
            for name in list(engine.places):
                await engine.try_to_go(name)
        if not any(engine.places for engine in engines):
            return
    raise AssertionError(f"some never go: {[engine.places for engine in engines]}")
