"""
A start that was under way when its execution went to another engine: who is told of it, and what becomes of its job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from tests.support.engine_kit import Rig, name_of
from tests.support.scripted import Count, success
from tests.unit.engine.test_shards import Owner, requests, shared

from airscrew.engine.executor import AtMostOnce, Findable, Found, Idempotent, NotStarted, TaskContext, TaskStatus
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import LedgerState, Request, Stage, decode_record, encode
from airscrew.state.store import Compare, Delete, Operation, Put, TxnResult

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)

WINDOW = 60.0


@dataclass
class Under:
    """
    A start that is under way, and ends as it is told.

    Attributes:
        rig: The engine.
        owner: What says whose the execution is.
        answer: What the start answers.
    """

    rig: Rig
    owner: Owner
    answer: TaskStatus[Count] | NotStarted | None = None
    _gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, context: TaskContext[Count], template: object) -> TaskStatus[Count] | NotStarted:
        await self._gate.wait()
        return TaskStatus.running(Count(job=context.key)) if self.answer is None else self.answer

    async def lose(self, *, is_known: bool = True) -> None:
        """Let another engine take over, and the start come to its end."""
        if is_known:
            await self.owner.take_away()
        self._gate.set()
        await elapse(1)


@asynccontextmanager
async def under_way() -> AsyncIterator[Under]:
    rig = Rig()
    under = Under(rig, shared(rig))
    rig.executor.start_task = under.start  # type: ignore[method-assign]
    await rig.submit()
    async with rig.engine():
        await elapse(1)
        yield under


def lose_first_start(rig: Rig) -> None:
    """Let the first start be lost on its way: nobody knows of it, and nothing has come of it."""
    start = rig.executor.start_task

    async def be_lost(context: TaskContext[Count], template: object) -> TaskStatus[Count]:
        rig.executor.start_task = start  # type: ignore[method-assign]
        rig.executor.calls.append(("start_task", context.execution.name, rig.clock.now()))
        raise OSError("the request is lost, on purpose")

    rig.executor.start_task = be_lost  # type: ignore[method-assign]


def is_begun_again(operation: Operation) -> bool:
    if not isinstance(operation, Put) or not operation.key.startswith("record/"):
        return False
    intent = decode_record(operation.value).intent
    return intent is not None and not intent.unknown_since


class TestWord:
    async def test_the_new_owner_is_asked_to_look_for_it_and_told_what_the_start_answered(self) -> None:
        async with under_way() as under:
            await under.lose()

        found = await requests(under.rig)
        assert set(found) == {"submit", "sweep-0"}
        assert (found["sweep-0"].uid, found["sweep-0"].attempt) == (f"{'a':0>32}", 0)
        assert b'"job"' in bytes(found["sweep-0"].state)
        assert (await under.rig.record()).stage is Stage.STARTING

    async def test_nobody_is_told_of_a_start_that_certainly_made_nothing(self) -> None:
        async with under_way() as under:
            under.answer = NotStarted("busy")
            await under.lose()

        assert set(await requests(under.rig)) == {"submit"}

    @pytest.mark.parametrize("is_known", [True, False])
    async def test_the_ledger_keeps_it_when_the_execution_is_gone(self, is_known: bool) -> None:
        async with under_way() as under:
            gone = [keys.spec_key(name_of("a")), keys.record_key(name_of("a"))]
            await under.rig.store.inner.txn([], [Delete(key) for key in gone])
            await under.lose(is_known=is_known)

        assert set(await requests(under.rig)) == {"submit"}
        (entry,) = [entry for entry in await under.rig.ledger() if entry.state is LedgerState.UNKNOWN]
        assert entry.note.startswith("a start that came late")

    async def test_the_ledger_keeps_it_when_another_execution_has_the_name(self) -> None:
        async with under_way() as under:
            spec = keys.spec_key(name_of("a"))
            stored = await under.rig.store.inner.get(spec)
            assert stored is not None
            await under.rig.store.inner.txn([], [Put(spec, stored.value), Delete(keys.record_key(name_of("a")))])
            await under.lose()

        assert set(await requests(under.rig)) == {"submit"}
        assert [entry.uid for entry in await under.rig.ledger() if entry.note] == [f"{'a':0>32}"]

    async def test_takes_no_place_of_word_of_an_earlier_execution_of_the_name(self) -> None:
        async with under_way() as under:
            earlier = {"uid": "f" * 32, "since": 77.0, "executor": "fake"}
            await under.rig.ask("a", "sweep", key="sweep-0", at=under.rig.clock.now(), **earlier)
            await under.lose()

        assert (await requests(under.rig))["sweep-0"].uid == f"{'a':0>32}"
        assert [entry.uid for entry in await under.rig.ledger() if entry.note] == ["f" * 32]

    async def test_is_left_in_the_place_of_what_nobody_can_read(self) -> None:
        async with under_way() as under:
            place = keys.request_key(name_of("a"), "sweep-0")
            await under.rig.store.inner.txn([], [Put(place, b"\xff")])
            await under.lose()

        assert (await requests(under.rig))["sweep-0"].uid == f"{'a':0>32}"

    async def test_is_left_again_when_another_word_comes_at_the_same_moment(self) -> None:
        async with under_way() as under:
            inner = under.rig.store.inner
            txn = inner.txn
            earlier = Request(what="sweep", uid="f" * 32, since=77.0, executor="fake")
            place = keys.request_key(name_of("a"), "sweep-0")

            async def be_late(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
                if any(isinstance(one, Put) and one.key == place for one in operations):
                    inner.txn = txn  # type: ignore[method-assign]
                    await inner.txn([], [Put(place, encode(earlier))])
                return await txn(compares, operations)

            inner.txn = be_late  # type: ignore[method-assign]
            await under.lose()

        assert (await requests(under.rig))["sweep-0"].uid == f"{'a':0>32}"
        assert [entry.uid for entry in await under.rig.ledger() if entry.note] == ["f" * 32]


class TestWordForNobody:
    """Word that lies in the store when its execution is gone: what a start made would else be known to nobody."""

    @pytest.mark.parametrize("is_taken_again", [False, True])
    async def test_becomes_an_entry_of_the_ledger(self, is_taken_again: bool) -> None:
        rig = Rig()
        if is_taken_again:
            await rig.submit()
        async with rig.engine():
            await elapse(1)
            word = {"uid": "f" * 32, "attempt": 2, "since": 77.0, "executor": "fake"}
            await rig.ask("a", "sweep", key="sweep-2", at=rig.clock.now(), **word)
            await elapse(1)

        (entry,) = [entry for entry in await rig.ledger() if entry.note]
        assert (entry.uid, entry.attempt, entry.since, entry.executor) == ("f" * 32, 2, 77.0, "fake")
        assert entry.state is LedgerState.UNKNOWN
        assert set(await requests(rig)) == ({"submit"} if is_taken_again else set())

    async def test_is_not_lost_with_a_turn_that_finds_its_execution_gone(self) -> None:
        rig = Rig()
        rig.executor.start_declaration = AtMostOnce()
        rig.executor.ends["a"] = success
        await rig.submit()
        txn = rig.store.txn

        async def be_pruned(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
            rig.store.txn = txn  # type: ignore[method-assign]
            gone = [keys.spec_key(name_of("a")), keys.record_key(name_of("a"))]
            await rig.store.inner.txn([], [Delete(key) for key in gone])
            return await txn(compares, operations)

        async with rig.engine():
            await elapse(30)
            await rig.ask("a", "sweep", key="sweep-0", at=rig.clock.now(), uid=f"{'a':0>32}", since=77.0)
            rig.store.txn = be_pruned  # type: ignore[method-assign]
            await elapse(5)

        assert rig.store.txn is not be_pruned
        assert [entry.since for entry in await rig.ledger() if entry.note] == [77.0]
        assert await requests(rig) == {}

    async def test_is_told_of_once_though_it_was_taken_in_while_its_execution_was_read(self) -> None:
        rig = Rig()
        await rig.submit()
        await rig.ask("a", "sweep", key="sweep-0", at=rig.clock.now(), uid="f" * 32)
        async with rig.engine():
            await elapse(1)

        assert len([entry for entry in await rig.ledger() if entry.note]) == 1
        assert set(await requests(rig)) == {"submit"}


@dataclass
class Strays:
    """Jobs of a late start, by attempt key, beside what the executor itself made."""

    rig: Rig
    jobs: dict[str, list[str]] = field(default_factory=dict)
    are_first: bool = False

    def __post_init__(self) -> None:
        self.rig.executor.find = self.find  # type: ignore[method-assign]

    async def find(self, context: TaskContext[Count]) -> Sequence[Found[Count]]:
        own = [context.key] if context.key in self.rig.executor.jobs else []
        late = self.jobs.get(context.key, [])
        there = [*late, *own] if self.are_first else [*own, *late]
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

    async def sweep(self, rig: Rig, attempt: int = 0, uid: str = f"{'a':0>32}", **changes: object) -> None:
        changes.setdefault("at", rig.clock.now() - 1)
        await rig.ask("a", "sweep", key=f"sweep-{attempt}", attempt=attempt, uid=uid, **changes)

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

    @pytest.mark.parametrize("behind", [0.0, 10.0], ids=["clocks agree", "the clock of who told is behind"])
    async def test_what_comes_after_the_first_look_is_killed_when_absence_counts(self, behind: float) -> None:
        rig, strays = self.rig()
        await rig.submit()
        rig.executor.ends["a"] = success
        async with rig.engine():
            await elapse(30)
            await self.sweep(rig, at=rig.clock.now() - behind)
            await elapse(2)
            assert set(await requests(rig)) == {"sweep-0"}
            strays.jobs[rig.key()] = ["late"]
            await elapse(10)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}

    async def test_the_job_that_is_recorded_stays_though_the_late_one_was_created_first(self) -> None:
        rig, strays = self.rig()
        strays.are_first = True
        rig.executor.is_same_job = lambda one, other: one.job == other.job  # type: ignore[method-assign]
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            strays.jobs[rig.key()] = ["late"]
            await self.sweep(rig)
            await elapse(10)

        assert rig.executor.gone == {"late"}

    @pytest.mark.parametrize("can_tell", [True, False])
    async def test_the_late_one_is_killed_though_the_recorded_job_is_gone_and_nobody_has_heard_so(
        self, can_tell: bool
    ) -> None:
        rig, strays = self.rig()
        if can_tell:
            same = staticmethod(lambda one, other: one.job == other.job)
            rig.executor.__class__ = type("Telling", (type(rig.executor),), {"is_same_job": same})
        finalize = rig.executor.finalize

        async def lose_the_reply(context: TaskContext[Count], state: Count) -> None:
            rig.executor.gone.add(state.job)
            await finalize(context, state)
            if rig.clock.now() < heard_at:
                raise OSError("the reply is lost, on purpose")

        rig.executor.finalize = lose_the_reply  # type: ignore[method-assign]
        rig.executor.ends["a"] = success
        rig.finalizes, heard_at = True, rig.clock.now() + 60
        await rig.submit()
        async with rig.engine():
            await elapse(30)
            assert (await rig.record()).stage is Stage.ENDING
            strays.jobs[rig.key()] = ["late"]
            await self.sweep(rig)
            await elapse(120)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}
        assert (await rig.record()).stage is Stage.DONE

    @pytest.mark.parametrize("behind", [0.0, 4.0])
    async def test_while_the_start_is_unknown_anyway_absence_counts_from_when_it_was_sent_at_last(
        self, behind: float
    ) -> None:
        rig, strays = self.rig()
        lose_first_start(rig)
        await rig.submit()
        async with rig.engine():
            await elapse(4)
            await self.sweep(rig, at=rig.clock.now() - behind)
            await elapse(4)
            assert (await rig.record()).stage is Stage.STARTING
            strays.jobs[rig.key()] = ["late"]
            await elapse(10)

        assert rig.executor.count("start_task") == 1
        assert b"late" in bytes((await rig.record()).state)

    async def test_while_the_start_is_unknown_one_job_that_is_found_does_not_end_the_look_for_others(self) -> None:
        rig, strays = self.rig()
        lose_first_start(rig)
        await rig.submit()
        async with rig.engine():
            await elapse(4)
            strays.jobs[rig.key()] = ["first"]
            await self.sweep(rig)
            await elapse(3)
            assert b"first" in bytes((await rig.record()).state)
            strays.jobs[rig.key()] = ["first", "late"]
            await elapse(10)

        assert rig.executor.gone == {"late"}
        assert set(await requests(rig)) == {"submit"}

    @pytest.mark.parametrize("is_second", [False, True])
    async def test_word_that_the_watch_has_not_told_of_yet_puts_another_start_off(self, is_second: bool) -> None:
        rig, strays = self.rig()
        lose_first_start(rig)
        txn = rig.store.txn

        async def be_overtaken(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
            if any(is_begun_again(one) for one in operations):
                rig.store.txn = txn  # type: ignore[method-assign]
                await self.sweep(rig, at=rig.clock.now())
                strays.jobs[rig.key()] = ["late"]
            return await txn(compares, operations)

        await rig.submit()
        async with rig.engine():
            await elapse(2)
            if is_second:
                await self.sweep(rig)
                await elapse(1)
            rig.store.txn = be_overtaken  # type: ignore[method-assign]
            await elapse(30)

        assert rig.store.txn is not be_overtaken
        assert rig.executor.gone == {"late"}
        first, second = rig.executor.times("start_task")
        assert second - first >= 2 * 5.0

    async def test_word_that_nobody_can_read_holds_nothing_up(self) -> None:
        rig, _ = self.rig()
        lose_first_start(rig)
        await rig.submit()
        await rig.store.inner.txn([], [Put(keys.request_key(name_of("a"), "sweep-0"), b"\xff")])
        async with rig.engine():
            await elapse(30)

        assert rig.executor.count("start_task") == 2

    async def test_word_that_takes_the_place_of_what_is_looked_for_is_not_struck_off_with_it(self) -> None:
        rig, strays = self.rig()
        await rig.submit()
        rig.executor.ends["a"] = success
        find, asked_at = strays.find, rig.clock.now() + 30

        async def be_overtaken(context: TaskContext[Count]) -> Sequence[Found[Count]]:
            if rig.clock.now() < asked_at + 5:
                return await find(context)
            rig.executor.find = find  # type: ignore[method-assign]
            await self.sweep(rig)
            return await find(context)

        rig.executor.find = be_overtaken  # type: ignore[method-assign]
        async with rig.engine():
            await elapse(30)
            await self.sweep(rig)
            await elapse(7)
            assert rig.executor.find is find
            assert set(await requests(rig)) == {"sweep-0"}
            strays.jobs[rig.key()] = ["late"]
            await elapse(10)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}

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

    @pytest.mark.parametrize("start", [Idempotent(None), Idempotent(WINDOW)])
    async def test_one_for_a_start_whose_key_was_still_kept_is_struck_off(self, start: Idempotent) -> None:
        rig = Rig()
        rig.executor.start_declaration = start
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            await self.sweep(rig, since=rig.clock.now() - WINDOW / 2)
            await elapse(5)

        assert set(await requests(rig)) == {"submit"}
        assert rig.executor.gone == set()

    @pytest.mark.parametrize("start", [AtMostOnce(), Idempotent(WINDOW)])
    async def test_what_cannot_be_listed_is_killed_by_its_state_when_its_attempt_is_over(
        self, start: AtMostOnce | Idempotent
    ) -> None:
        rig = Rig()
        rig.executor.start_declaration = start
        await rig.submit()
        async with rig.engine():
            await elapse(1)
            late = msgspec.Raw(b'{"job":"late"}')
            version = rig.executor.state_version
            await self.sweep(rig, since=rig.clock.now() - 2 * WINDOW, state=late, state_version=version)
            await elapse(5)
            assert rig.executor.gone == set()

            rig.executor.ends["a"] = success
            await elapse(30)

        assert "late" in rig.executor.gone
        assert await requests(rig) == {}
        assert await rig.ledger() == []

    async def test_what_can_be_neither_listed_nor_killed_is_doubted_until_a_person_has_looked(self) -> None:
        rig = Rig()
        rig.executor.start_declaration = AtMostOnce()
        await rig.submit()
        rig.executor.ends["a"] = success
        async with rig.engine():
            await elapse(30)
            await self.sweep(rig)
            await elapse(5)
            (entry,) = await rig.ledger()
            assert (entry.state, entry.attempt) == (LedgerState.UNKNOWN, 0)

            await rig.ask("a", "clear", key="clear-0", attempt=0)
            await elapse(5)

        assert await rig.ledger() == []
        assert (await rig.record()).phase is Phase.SUCCESS
