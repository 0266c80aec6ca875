"""
An engine that has some of the executions: what it writes and calls while it has them, is not certain, or has lost them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from tests.support.engine_kit import Rig, name_of
from tests.support.scripted import Count, success
from typing_extensions import override

from airscrew.engine.controller.ownership import Ownership
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.executor import Findable, Found, Idempotent, TaskContext, TaskStatus
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.ids import ExecutionId
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.errors import ShardLostError
from airscrew.state.records import Options, Request, Stage, decode
from airscrew.state.store import Compare, Put

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)

FENCE = "members/claim/of-the-test"


@dataclass
class Owner(Ownership):
    """
    Has everything until ``take_away``; another engine's claim is a write to one key.

    Attributes:
        rig: The rest.
        certain: Whether it may call.
        is_lost: Whether it has learned that another engine has everything.
    """

    rig: Rig
    certain: bool = True
    is_lost: bool = False
    revision: int = 0
    schema: int = 1

    @property
    @override
    def is_certain(self) -> bool:
        return self.certain

    @override
    def owns(self, execution: ExecutionId) -> bool:
        return not self.is_lost

    @override
    def compares(self, execution: ExecutionId) -> Sequence[Compare]:
        if self.is_lost:
            raise ShardLostError("xx")
        return [Compare(FENCE, self.revision)]

    @override
    async def check(self, execution: ExecutionId) -> None:
        found = await self.rig.store.get(FENCE)
        if (found.mod_revision if found else 0) != self.revision:
            self.is_lost = True
            raise ShardLostError("xx")

    async def take_away(self) -> None:
        """Be another engine, which takes over without this one knowing."""
        await self.rig.store.inner.txn([], [Put(FENCE, b"another")])


def shared(rig: Rig) -> Owner:
    owner = rig.owner = Owner(rig)
    return owner


async def requests(rig: Rig) -> dict[str, Request]:
    return {keys.request_of(key): decode(value, Request) for key, value in (await rig.below(keys.REQUESTS)).items()}


class TestFormerOwner:
    async def test_writes_nothing(self) -> None:
        rig = Rig()
        owner = shared(rig)
        await rig.submit()
        async with rig.engine():
            await elapse(5)
            before = await rig.below("record/")
            await owner.take_away()
            rig.executor.ends["a"] = success
            await elapse(600)

        assert await rig.below("record/") == before
        assert (await rig.record()).phase is Phase.RUNNING

    async def test_calls_nothing_once_it_knows(self) -> None:
        rig = Rig()
        owner = shared(rig)
        await rig.submit()
        async with rig.engine():
            await elapse(5)
            await owner.take_away()
            rig.executor.ends["a"] = success
            await elapse(20)
            calls = len(rig.executor.calls)
            await elapse(3600)

        assert len(rig.executor.calls) == calls

    async def test_asks_the_new_owner_to_sweep_after_a_start_that_was_under_way(self) -> None:
        rig = Rig()
        owner = shared(rig)
        going: list[Callable[[], None]] = []

        async def start(context: TaskContext[Count], template: object) -> TaskStatus[Count]:
            gate = asyncio.Event()
            going.append(gate.set)
            await gate.wait()
            return TaskStatus.running(Count(job=context.key))

        rig.executor.start_task = start  # type: ignore[method-assign]
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            await owner.take_away()
            going[0]()
            await elapse(1)

        found = await requests(rig)
        assert set(found) == {"submit", "sweep-0"}
        assert (found["sweep-0"].uid, found["sweep-0"].attempt) == (f"{'a':0>32}", 0)
        assert (await rig.record()).stage is Stage.STARTING


class TestUncertainty:
    async def test_no_call_begins_while_another_engine_may_have_taken_over(self) -> None:
        rig = Rig()
        owner = shared(rig)
        owner.certain = False
        await rig.submit()
        async with rig.engine():
            await elapse(120)
            assert rig.executor.calls == []

            owner.certain = True
            await elapse(3)
            assert rig.executor.count("start_task") == 1

    async def test_a_start_whose_inputs_took_long_to_read_is_not_begun_then(self) -> None:
        rig = Rig()
        owner = shared(rig)
        read = rig.data.template

        async def read_for_long(options: Options) -> object:
            owner.certain = False
            return await read(options)

        rig.data.template = read_for_long  # type: ignore[method-assign]
        await rig.submit()
        async with rig.engine():
            await elapse(30)
            assert rig.executor.calls == []

            rig.data.template = read  # type: ignore[method-assign]
            owner.certain = True
            await elapse(3)
            assert rig.executor.count("start_task") == 1

    async def test_a_check_waits_until_it_is_certain_again_and_nothing_is_lost(self) -> None:
        rig = Rig()
        owner = shared(rig)
        await rig.submit()
        async with rig.engine():
            await elapse(5)
            owner.certain = False
            rig.executor.ends["a"] = success
            calls = len(rig.executor.calls)
            await elapse(60)
            assert len(rig.executor.calls) == calls

            owner.certain = True
            await elapse(3)
        assert (await rig.record()).phase is Phase.SUCCESS


class TestShards:
    async def test_what_is_in_no_open_shard_is_left_alone(self) -> None:
        rig = Rig(shards=OpenShards())
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(60)
            assert rig.executor.calls == []

            await controller.open_shard(name_of("a").shard)
            await elapse(1)
            assert rig.executor.count("start_task") == 1
            await rig.submit("b")
            await elapse(1)
            assert rig.executor.count("start_task", "b") == (name_of("b").shard == name_of("a").shard)

    async def test_a_shard_is_closed_when_its_turns_have_come_to_their_end(self) -> None:
        rig = Rig()
        gate = asyncio.Event()

        async def start(context: TaskContext[Count], template: object) -> TaskStatus[Count]:
            await gate.wait()
            return TaskStatus.running(Count(job=context.key))

        rig.executor.start_task = start  # type: ignore[method-assign]
        await rig.submit()
        async with rig.engine() as controller, asyncio.TaskGroup() as group:
            await elapse(1)
            closing = group.create_task(controller.close_shard(name_of("a").shard))
            await elapse(30)
            assert not closing.done()

            gate.set()
            await elapse(1)
            assert closing.done()
            assert (await rig.record()).stage is Stage.LIVE
            assert controller.unfinished == 0

    async def test_a_closed_shard_that_is_opened_again_goes_on_where_it_was(self) -> None:
        rig = Rig()
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(1)
            await controller.close_shard(name_of("a").shard)
            rig.executor.ends["a"] = success
            await elapse(60)
            assert (await rig.record()).stage is Stage.LIVE

            await controller.open_shard(name_of("a").shard)
            await elapse(1)

        assert (await rig.record()).phase is Phase.SUCCESS
        assert rig.executor.count("start_task") == 1

    async def test_slots_of_what_is_given_away_are_free(self) -> None:
        rig = Rig(limit=1)
        for name in ("a", "b"):
            await rig.submit(name)
        assert name_of("a").shard != name_of("b").shard
        async with rig.engine() as controller:
            await elapse(1)
            first = "a" if rig.executor.count("start_task", "a") else "b"
            await controller.close_shard(name_of(first).shard)
            await elapse(1)

        assert rig.executor.count("start_task") == 2


@dataclass
class Strays:
    """Jobs of a late start, by attempt key, beside what the executor itself made."""

    rig: Rig
    jobs: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rig.executor.find = self.find  # type: ignore[method-assign]

    async def find(self, context: TaskContext[Count]) -> Sequence[Found[Count]]:
        own = [context.key] if context.key in self.rig.executor.jobs else []
        there = [*own, *self.jobs.get(context.key, [])]
        return [
            Found(Count(job=job), created_at=float(number))
            for number, job in enumerate(there)
            if job not in self.rig.executor.gone
        ]


class TestSweep:
    def rig(self) -> tuple[Rig, Strays]:
        rig = Rig()
        rig.executor.start_declaration = Findable(settle=5.0)
        return rig, Strays(rig)

    async def sweep(self, rig: Rig, attempt: int = 0, uid: str = f"{'a':0>32}") -> None:
        await rig.ask("a", "sweep", key=f"sweep-{attempt}", attempt=attempt, uid=uid)

    async def test_a_twin_of_a_live_job_is_killed_and_the_job_goes_on(self) -> None:
        rig, strays = self.rig()
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            strays.jobs[rig.key()] = ["late"]
            await self.sweep(rig)
            await elapse(5)

            assert rig.executor.gone == {"late"}
            assert (await rig.record()).stage is Stage.LIVE
        assert set(await requests(rig)) == {"submit"}

    async def test_what_came_late_for_an_execution_that_is_over_is_killed(self) -> None:
        rig, strays = self.rig()
        await rig.submit()
        rig.executor.ends["a"] = success
        async with rig.engine():
            await elapse(30)
            strays.jobs[rig.key()] = ["late"]
            await self.sweep(rig)
            await elapse(5)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}
        assert (await rig.record()).phase is Phase.SUCCESS

    async def test_it_is_tried_again_until_the_outside_system_answers(self) -> None:
        rig, strays = self.rig()
        await rig.submit()
        rig.executor.ends["a"] = success
        async with rig.engine():
            await elapse(30)
            strays.jobs[rig.key()] = ["late"]
            find, strays.rig.executor.find = strays.rig.executor.find, self.away  # type: ignore[method-assign]
            await self.sweep(rig)
            await elapse(10)
            assert set(await requests(rig)) == {"sweep-0"}
            rig.executor.find = find  # type: ignore[method-assign]
            await elapse(10)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}

    async def away(self, context: TaskContext[Count]) -> Sequence[Found[Count]]:
        raise OSError("away, on purpose")

    @pytest.mark.parametrize("uid", ["", "f" * 32])
    async def test_one_for_an_earlier_execution_of_that_name_changes_nothing(self, uid: str) -> None:
        rig, strays = self.rig()
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            strays.jobs[rig.key()] = ["not a stray of that one"]
            await self.sweep(rig, uid=uid)
            await elapse(5)

        assert rig.executor.gone == set()
        assert set(await requests(rig)) == {"submit"}

    async def test_one_for_an_executor_that_finds_nothing_twice_is_struck_off(self) -> None:
        rig = Rig()
        assert isinstance(rig.executor.start_declaration, Idempotent)
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            await self.sweep(rig)
            await elapse(5)

        assert set(await requests(rig)) == {"submit"}
        assert rig.executor.gone == set()
