from __future__ import annotations

import msgspec
import pytest
from tests.support.engine_kit import EPOCH, Rig, name_of, phases
from tests.support.scripted import Count, Scripted, failure, success

from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ports import CacheAnswer, Outcome
from airscrew.engine.executor import AtMostOnce, StillThere, TaskStatus
from airscrew.engine.machine import Told
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state import keys
from airscrew.state.records import (
    CacheOptions,
    LedgerState,
    Record,
    Stage,
    Verdict,
    encode_record,
)
from airscrew.state.store import Delete, Put

pytestmark = pytest.mark.virtual_time


class TestEnd:
    async def test_the_verdict_is_in_the_store_before_anything_is_deleted(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        seen = []

        async def look() -> None:
            seen.append((await rig.record()).verdict)

        rig.executor.ends["a"] = lambda state: failure(state, kind=ErrorKind.USER)
        await rig.hand(live, "kill")
        original = rig.executor.kill_task

        async def watched(*arguments: object) -> object:
            await look()
            return await original(*arguments)  # type: ignore[arg-type]

        rig.executor.kill_task = watched  # type: ignore[assignment,method-assign]
        await turns.take(live)

        assert seen[0] is not None
        assert seen[0].phase is Phase.ABORTED

    async def test_many_requests_of_children_are_taken_in_within_the_size_of_a_transaction(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", success(Count()))
        rig.data.outcomes.append(Outcome(plan_uri="memory:plan"))
        await turns.take(live)
        for number in range(300):
            await rig.hand(live, f"child-{number}")

        await turns.take(live)

        assert await rig.below(keys.REQUESTS) == {}
        assert (await rig.record()).stage is Stage.CHILDREN

    async def test_a_kill_ends_children_whose_number_was_never_written(self) -> None:
        rig, live = Rig(finalizes=True), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", success(Count()))
        rig.data.outcomes.append(Outcome(plan_uri="memory:plan"))
        await turns.take(live)
        live.apply(_changed(live.record, children=0), EPOCH)

        await rig.hand(live, "kill", reason="stop")
        await turns.take(live)

        assert rig.children.killed == ["stop"]
        assert rig.executor.count("kill_task") == 1
        assert live.record.phase is Phase.ABORTED

    async def test_a_failure_of_the_children_ends_the_other_ones(self) -> None:
        rig, live = Rig(finalizes=True), Rig().live()
        rig.executor.will("start_task", success(Count()))
        rig.data.outcomes.append(Outcome(plan_uri="memory:plan"))
        error = ExecutionError(code="ChildFailed", message="c", kind=ErrorKind.USER)
        rig.children.answers.append(Told(phase=Phase.PERMANENT_FAILURE, info=TaskInfo(), error=error))

        await rig.turns().take(live)

        assert rig.children.killed == ["c"]
        assert live.record.stage is Stage.DONE

    async def test_nothing_is_finalized_twice_nor_struck_off_while_the_executor_is_absent(self) -> None:
        rig, live = Rig(finalizes=True), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        rig.executor.ends["a"] = success
        rig.executor.will("finalize", OSError("no answer"))
        live.woken = True
        await turns.take(live)

        rig.absent = "not installed"
        live.woken = True
        await turns.take(live)
        assert (await rig.ledger())[0].state is LedgerState.KNOWN
        rig.absent = ""
        live.woken = True
        await turns.take(live)

        assert rig.executor.count("finalize") == 2
        assert await rig.ledger() == []

    async def test_a_kill_reason_of_any_length_is_taken(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)

        await rig.hand(live, "kill", reason="x" * 100_000)
        await turns.take(live)

        assert live.record.stage is Stage.DONE


class TestConflict:
    async def test_a_fact_survives_a_conflict_with_a_request_that_was_put_again(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        await rig.hand(live, "retry")
        await rig.ask("a", "retry")
        live.woken = True

        await turns.take(live)

        record = await rig.record()
        assert b'"checks":1' in bytes(record.state)
        assert await rig.below(keys.REQUESTS) == {}

    async def test_a_started_job_is_not_lost_by_a_conflict_while_the_store_goes_away(self) -> None:
        rig, live = Rig(Scripted(AtMostOnce())), Rig().live()

        async def write_beside(operations: object) -> None:
            if rig.executor.count("start_task") and rig.store.before_txn is not None:
                rig.store.before_txn = None
                await _write_record(rig, live.stored)
                rig.store.fail_ranges = 1

        rig.store.before_txn = write_beside
        await rig.turns().take(live)

        record = await rig.record()
        assert (record.stage, record.created) == (Stage.LIVE, True)
        assert rig.executor.count("start_task") == 1

    async def test_a_verdict_written_by_another_stands_and_the_started_job_is_killed(self) -> None:
        rig, live = Rig(), Rig().live()

        async def write_beside(operations: object) -> None:
            if rig.executor.count("start_task"):
                rig.store.before_txn = None
                await _kill_beside(rig, live)

        rig.store.before_txn = write_beside
        await rig.turns().take(live)

        assert rig.executor.gone == {live.key}
        assert (await rig.record()).phase is Phase.ABORTED
        assert await rig.ledger() == []

    async def test_facts_of_an_attempt_that_is_over_do_not_reach_the_next_one(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)

        async def write_beside(operations: object) -> None:
            rig.store.before_txn = None
            await _write_record(rig, _changed(live.stored, attempt=1, stage=Stage.READY, created=False, not_before=1e9))

        rig.store.before_txn = write_beside
        live.woken = True
        await turns.take(live)

        record = await rig.record()
        assert (record.attempt, record.stage) == (1, Stage.READY)

    async def test_an_execution_that_was_pruned_is_not_begun_anew(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", success(Count()))
        await turns.take(live)
        await rig.hand(live, "kill")

        await rig.store.inner.txn([], [Delete(keys.record_key(live.execution)), Delete(_kill_key())])
        with pytest.raises(Exception, match="was pruned"):
            await turns.take(live)

        assert await rig.below(keys.RECORDS) == {}
        assert rig.executor.count("start_task") == 1

    async def test_a_lost_reply_is_settled_by_reading(self) -> None:
        rig, live = Rig(Scripted(AtMostOnce())), Rig().live()
        rig.store.lose_replies = 2

        await rig.turns().take(live)

        assert rig.executor.count("start_task") == 1
        assert (await rig.record()).stage is Stage.LIVE
        assert phases(await rig.events()) == [Phase.QUEUED, Phase.RUNNING]


class TestCache:
    CACHED = CacheOptions(version="1", serializable=True)

    async def test_a_hit_needs_no_start(self) -> None:
        rig = Rig()
        rig.cache.answers.append(CacheAnswer(key="k", output_uri="memory:o"))
        live = rig.live(cache=self.CACHED)

        await rig.turns().take(live)

        assert rig.executor.calls == []
        assert (live.record.phase, live.record.output_uri) == (Phase.SUCCESS, "memory:o")

    async def test_a_cache_that_fails_lets_the_task_run(self) -> None:
        rig = Rig()
        rig.cache.answers.append(OSError("away"))

        await rig.turns().take(rig.live(cache=self.CACHED))

        assert rig.executor.count("start_task") == 1

    async def test_a_kill_during_the_end_of_a_failed_attempt_releases_the_reservation(self) -> None:
        rig = Rig()
        turns, live = rig.turns(), rig.live(cache=self.CACHED)
        await turns.take(live)
        rig.executor.will(
            "check_task_status",
            TaskStatus(phase=Phase.RETRYABLE_FAILURE, state=Count(), error=_error(), cleanup=True),
        )
        rig.executor.will("kill_task", StillThere(Count()))
        live.woken = True
        await turns.take(live)
        assert rig.cache.released == []

        await rig.hand(live, "kill")
        await turns.take(live)

        assert rig.cache.released == ["k"]

    async def test_a_start_that_stays_unknown_releases_the_reservation(self) -> None:
        rig = Rig(Scripted(AtMostOnce()))
        turns, live = rig.turns(), rig.live(cache=self.CACHED)
        rig.executor.will("start_task", TimeoutError())
        await turns.take(live)
        await elapse(2)

        await turns.take(live)

        assert live.record.stage is Stage.DONE
        assert rig.cache.released == ["k"]


class TestSlots:
    async def test_a_slot_is_held_from_the_intent_until_the_job_is_gone(self) -> None:
        rig, live = Rig(limit=1), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        assert rig.gate.live == 1

        rig.executor.ends["a"] = success
        live.woken = True
        await turns.take(live)

        assert rig.gate.live == 0

    async def test_an_execution_whose_start_stays_unknown_gives_its_slot_back(self) -> None:
        rig, live = Rig(Scripted(AtMostOnce()), limit=1), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", TimeoutError())
        await turns.take(live)
        await elapse(2)

        await turns.take(live)

        assert live.record.stage is Stage.DONE
        assert rig.gate.live == 0


def _error() -> ExecutionError:
    return ExecutionError(code="Broken", message="it broke", kind=ErrorKind.USER)


def _changed(record: Record | None, **changes: object) -> Record:
    assert record is not None
    return msgspec.structs.replace(record, **changes)


def _kill_key() -> str:
    return keys.request_key(name_of("a"), "kill")


async def _write_record(rig: Rig, record: Record | None) -> None:
    data = encode_record(_changed(record, write="foreign"))
    await rig.store.inner.txn([], [Put(keys.record_key(name_of("a")), data)])


async def _kill_beside(rig: Rig, live: Live) -> None:
    """Another owner took a kill in while our start was under way."""
    verdict = Verdict(phase=Phase.ABORTED, at=EPOCH, error=_error(), kill=True, hidden=True)
    await _write_record(rig, _changed(live.stored, verdict=verdict, kill="stop"))
