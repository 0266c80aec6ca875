"""
An engine that has some of the executions: what it writes and calls while it has them, is not certain, or has lost them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pytest
from tests.support.engine_kit import Rig, name_of
from tests.support.scripted import Count, success
from typing_extensions import override

from airscrew.engine.controller.ownership import Ownership
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.executor import TaskContext, TaskStatus
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.ids import ExecutionId
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.errors import ShardLostError
from airscrew.state.records import Options, Request, Stage, decode, encode
from airscrew.state.store import Compare, Delete, KeyValue, Operation, Put, TxnResult

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


def _slow_word(rig: Rig) -> asyncio.Event:
    """Let word of an earlier execution be handed on only when the event is set."""
    gate, txn = asyncio.Event(), rig.store.txn

    async def txn_slowly(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        result = await txn(compares, operations)
        if any(isinstance(one, Delete) and one.key.endswith("/sweep-0") for one in operations):
            await gate.wait()
        return result

    rig.store.txn = txn_slowly  # type: ignore[method-assign]
    return gate


def _states_of_checks(rig: Rig) -> list[Count]:
    """Note the states that the executor is given from now on."""
    states: list[Count] = []
    check = rig.executor.check_task_status

    async def note(context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        states.append(state)
        return await check(context, state)

    rig.executor.check_task_status = note  # type: ignore[method-assign]
    return states


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

    async def test_a_shard_that_came_back_while_it_was_being_closed_keeps_what_it_has_now(self) -> None:
        rig = Rig()
        gate = asyncio.Event()

        async def start(context: TaskContext[Count], template: object) -> TaskStatus[Count]:
            await gate.wait()
            return TaskStatus.running(Count(job=context.key))

        rig.executor.start_task = start  # type: ignore[method-assign]
        shard = name_of("a").shard
        await rig.submit()
        async with rig.engine() as controller, asyncio.TaskGroup() as group:
            await elapse(1)
            closing = group.create_task(controller.close_shard(shard))
            await elapse(1)
            controller.drop_shard(shard)
            await controller.open_shard(shard)
            await elapse(1)
            assert closing.done()

            gate.set()
            rig.executor.ends["a"] = success
            await elapse(120)

        assert (await rig.record()).phase is Phase.SUCCESS

    async def test_what_was_read_before_a_shard_went_and_came_back_is_read_again(self) -> None:
        rig = Rig()
        shard = name_of("a").shard
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(1)
            await controller.close_shard(shard)
            calls, gate, get = len(rig.executor.calls), asyncio.Event(), rig.store.get

            async def get_slowly(key: str) -> KeyValue | None:
                found = await get(key)
                await gate.wait()
                return found

            rig.store.get = get_slowly  # type: ignore[method-assign]
            await controller.open_shard(shard)
            await elapse(1)
            controller.drop_shard(shard)
            gate.set()
            await elapse(60)
            assert len(rig.executor.calls) == calls

            rig.store.get = get  # type: ignore[method-assign]
            await controller.open_shard(shard)
            await elapse(1)
            assert len(rig.executor.calls) > calls

    async def test_what_is_asked_after_a_shard_came_back_is_not_lost_with_a_turn_from_before(self) -> None:
        rig = Rig()
        shard = name_of("a").shard
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(1)
            await controller.close_shard(shard)
            gate, get = asyncio.Event(), rig.store.get

            async def get_slowly(key: str) -> KeyValue | None:
                found = await get(key)
                await gate.wait()
                return found

            rig.store.get = get_slowly  # type: ignore[method-assign]
            await controller.open_shard(shard)
            await elapse(1)
            controller.drop_shard(shard)
            await rig.ask("a", "kill", reason="not wanted")
            await controller.open_shard(shard)
            rig.store.get = get  # type: ignore[method-assign]
            gate.set()
            await elapse(60)

        assert (await rig.record()).phase is Phase.ABORTED

    async def test_what_was_read_before_a_shard_went_is_read_again_though_word_was_handed_on_meanwhile(self) -> None:
        rig = Rig()
        shard = name_of("a").shard
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(1)
            await controller.close_shard(shard)
            await rig.ask("a", "sweep", key="sweep-0", uid="f" * 32)
            gate, states = _slow_word(rig), _states_of_checks(rig)
            await controller.open_shard(shard)
            await elapse(1)
            controller.drop_shard(shard)
            newer = msgspec.structs.replace(await rig.record(), state=msgspec.Raw(b'{"job":"new","checks":7}'))
            await rig.store.inner.txn([], [Put(keys.record_key(name_of("a")), encode(newer))])
            await controller.open_shard(shard)
            gate.set()
            await elapse(1)

        assert states[0].job == "new"

    async def test_what_is_asked_after_a_shard_came_back_is_not_lost_though_word_was_handed_on_meanwhile(self) -> None:
        rig = Rig()
        shard = name_of("a").shard
        await rig.submit()
        async with rig.engine() as controller:
            await elapse(1)
            gate = _slow_word(rig)
            await rig.ask("a", "sweep", key="sweep-0", uid="f" * 32)
            await elapse(1)
            controller.drop_shard(shard)
            await controller.open_shard(shard)
            await rig.ask("a", "kill")
            await elapse(1)
            gate.set()
            await elapse(30)

        assert (await rig.record()).phase is Phase.ABORTED

    async def test_word_that_comes_while_other_word_is_handed_on_is_handed_on_as_well(self) -> None:
        rig = Rig()
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            gate = _slow_word(rig)
            await rig.ask("a", "sweep", key="sweep-0", uid="f" * 32)
            await elapse(1)
            await rig.ask("a", "sweep", key="sweep-1", uid="e" * 32)
            await elapse(1)
            gate.set()
            await elapse(1)

        assert sorted(entry.uid for entry in await rig.ledger() if entry.note) == ["e" * 32, "f" * 32]
        assert set(await requests(rig)) == {"submit"}

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
