from __future__ import annotations

import msgspec
import pytest
from tests.support.engine_kit import EPOCH, Rig
from tests.support.scripted import Count, Scripted, success

from airscrew.engine.controller.ports import Outcome
from airscrew.engine.controller.turn import CALLS_LIMIT
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import AtMostOnce, Findable, Found, NoEffect, NotStarted, StillThere, TaskStatus
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state import keys
from airscrew.state.records import (
    LedgerState,
    Record,
    Stage,
    encode_record,
)

pytestmark = pytest.mark.virtual_time


class TestStart:
    async def test_the_intent_is_in_the_store_when_the_start_is_called(self) -> None:
        rig = Rig()
        seen = []

        async def look(operations: object) -> None:
            seen.append((rig.executor.count("start_task"), bool(await rig.ledger())))

        rig.store.before_txn = look
        await rig.turns().take(rig.live())

        assert seen == [(0, False), (1, True)]
        assert (await rig.ledger())[0].state is LedgerState.KNOWN

    async def test_a_task_without_an_effect_costs_one_write(self) -> None:
        rig = Rig(Scripted(NoEffect()))
        rig.executor.will("start_task", success(Count()))

        await rig.turns().take(rig.live())

        assert rig.store.txns == 1
        assert (await rig.record()).stage is Stage.DONE
        assert await rig.ledger() == []

    async def test_the_first_check_is_due_within_the_interval(self) -> None:
        rig = Rig()

        until = await rig.turns().take(rig.live())

        assert until is not None
        assert EPOCH + 5.0 <= until <= EPOCH + 10.0

    async def test_what_was_not_started_waits_without_an_entry_in_the_ledger(self) -> None:
        rig = Rig()
        rig.executor.will("start_task", NotStarted("no quota", 7.0))

        assert await rig.turns().take(rig.live()) == EPOCH + 7.0
        assert (await rig.record()).phase is Phase.WAITING_FOR_RESOURCES
        assert await rig.ledger() == []

    async def test_a_template_that_cannot_be_read_starts_nothing_and_waits(self) -> None:
        rig = Rig()
        rig.data.template_errors.append(OSError("no route"))

        await rig.turns().take(rig.live())

        record = await rig.record()
        assert rig.executor.calls == []
        assert (record.stage, record.phase) == (Stage.READY, Phase.WAITING_FOR_RESOURCES)

    async def test_a_permanent_error_ends_the_execution_in_one_turn(self) -> None:
        rig = Rig()
        rig.executor.will("start_task", PermanentError("no such image", code="BadImage"))

        await rig.turns().take(rig.live())

        record = await rig.record()
        assert record.stage is Stage.DONE
        assert record.error == ExecutionError(code="BadImage", message="no such image", kind=ErrorKind.USER)
        assert await rig.below(keys.REQUESTS) == {}

    async def test_the_next_attempt_begins_in_a_turn_of_its_own(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("start_task", RetryableError("again", delay=0.0))
        turns = rig.turns()

        assert await turns.take(live) == EPOCH
        assert (live.record.attempt, live.record.stage) == (1, Stage.READY)
        await turns.take(live)

        assert rig.executor.count("start_task") == 2

    async def test_an_executor_that_answers_nonsense_leaves_the_start_unknown(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("start_task", lambda _: "ok")  # type: ignore[arg-type,return-value]

        await rig.turns().take(live)

        assert live.record.intent is not None
        assert "instead of a TaskStatus" in live.record.intent.reason

    async def test_nonsense_of_an_executor_without_an_effect_is_asked_again_later_only(self) -> None:
        rig, live = Rig(Scripted(NoEffect())), Rig().live()
        rig.executor.will("start_task", lambda _: "ok")  # type: ignore[arg-type,return-value]

        until = await rig.turns().take(live)

        assert rig.executor.count("start_task") == 1
        assert until is not None
        assert until > EPOCH

    async def test_a_stopping_engine_starts_nothing(self) -> None:
        rig = Rig(stopping=True)

        await rig.turns().take(rig.live())

        assert rig.executor.calls == []
        assert (await rig.record()).stage is Stage.READY

    async def test_state_that_is_too_large_kills_the_job_and_fails_the_start(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("start_task", TaskStatus.running(Count(job="x" * 40_000)))

        await rig.turns().take(live)

        assert rig.executor.count("kill_task") == 1
        assert live.record.error is not None
        assert live.record.error.code == "BadCustomState"
        assert await rig.ledger() == []

    async def test_a_job_with_bad_state_that_does_not_go_keeps_its_entry(self) -> None:
        rig, live = Rig(Scripted(AtMostOnce())), Rig().live()
        big = Count(job="x" * 40_000)
        rig.executor.will("start_task", TaskStatus.running(big))
        rig.executor.will("kill_task", *[StillThere(big)] * 6)
        turns = rig.turns()

        await turns.take(live)
        await elapse(60)
        await turns.take(live)

        assert live.record.error is not None
        assert live.record.error.code == "StartOutcomeUnknown"
        assert (await rig.ledger())[0].state is LedgerState.UNKNOWN


class TestUnknownStart:
    async def test_a_crash_after_the_start_adopts_the_job_that_is_found(self) -> None:
        rig = Rig(Scripted(Findable(settle=60.0)))
        live = rig.live()

        def crash(operations: object) -> None:
            if rig.executor.count("start_task"):
                raise RuntimeError("the machine died")

        rig.store.before_txn = crash
        with pytest.raises(RuntimeError):
            await rig.turns().take(live)
        rig.store.before_txn = None

        again = await rig.reload(live)
        await rig.turns().take(again)

        assert (again.record.stage, again.record.created) == (Stage.LIVE, True)
        assert rig.executor.jobs == {live.key: 1}

    async def test_a_kill_of_an_unknown_idempotent_start_finds_and_kills_the_job(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("start_task", TimeoutError("no answer"))
        turns = rig.turns()
        await turns.take(live)

        await rig.hand(live, "kill", reason="stop")
        await turns.take(live)

        assert rig.executor.gone == {live.key}
        assert live.record.phase is Phase.ABORTED
        assert await rig.ledger() == []

    async def test_twins_are_killed_until_they_are_gone_before_one_is_adopted(self) -> None:
        rig, live = Rig(Scripted(Findable())), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", TimeoutError())
        rig.executor.will("find", [Found(Count(job="b"), 2.0), Found(Count(job="a"), 1.0)])
        rig.executor.will("kill_task", StillThere(Count(job="b")))
        await turns.take(live)

        await elapse(2)
        await turns.take(live)

        assert rig.executor.count("kill_task") == 2
        assert bytes(live.record.state).startswith(b'{"checks":1,"job":"a"')


class TestChecks:
    async def test_one_that_wants_to_be_checked_all_the_time_gives_way_after_some_calls(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("check_task_status", *[TaskStatus.running(Count(n)).after(0.0) for n in range(100)])
        rig.executor.will("start_task", TaskStatus.running(Count()).after(0.0))

        until = await rig.turns().take(live)

        assert until == EPOCH
        assert rig.executor.count("check_task_status") == CALLS_LIMIT - 1
        assert not live.is_dirty

    async def test_the_state_is_written_although_the_phase_did_not_change(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)

        live.woken = True
        await turns.take(live)

        assert b'"checks":1' in bytes((await rig.record()).state)
        assert len(await rig.events()) == 2

    async def test_a_phase_that_may_not_follow_is_reported_once(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("check_task_status", *[TaskStatus.initializing(Count(), "again")] * 5)
        turns = rig.turns()
        await turns.take(live)
        before = len(await rig.events())

        for _ in range(5):
            live.woken = True
            await turns.take(live)

        assert len(await rig.events()) == before + 1

    async def test_outputs_that_cannot_be_read_leave_the_job_and_are_read_later(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        rig.executor.ends["a"] = success
        rig.data.outcomes.extend([OSError("storage is away"), Outcome(output_uri="memory:o")])

        for _ in range(2):
            live.woken = True
            await turns.take(live)

        assert live.record.output_uri == "memory:o"
        assert live.record.phase is Phase.SUCCESS

    async def test_an_error_document_overrules_a_success(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.will("start_task", success(Count()))
        rig.data.outcomes.append(Outcome(error=ExecutionError(code="USER:X", message="x", kind=ErrorKind.USER)))

        await rig.turns().take(live)

        assert live.record.phase is Phase.PERMANENT_FAILURE

    async def test_state_of_a_newer_version_waits_and_calls_nothing(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        live.apply(_changed(live.record, state_version=9), EPOCH)

        live.woken = True
        await turns.take(live)

        assert rig.executor.count("check_task_status") == 0
        assert not live.record.quarantine

    async def test_a_record_with_huge_texts_is_written_with_shorter_ones(self) -> None:
        rig, live = Rig(), Rig().live()
        trace = "\x1b[31m" + "漢" * 16_000
        error = ExecutionError(code="USER:ValueError", message=trace, kind=ErrorKind.USER)
        info = TaskInfo(custom_info={"note": "x" * 11_000})
        status = TaskStatus(
            phase=Phase.PERMANENT_FAILURE, state=Count(job="s" * 30_000), error=error, info=info, reason="r"
        )
        rig.executor.will("start_task", status)

        await rig.turns().take(live)

        record = await rig.record()
        assert (record.stage, record.phase) == (Stage.DONE, Phase.PERMANENT_FAILURE)
        assert record.error is not None
        assert record.error.code == "USER:ValueError"
        assert len(encode_record(record)) < 64 * 1024


def _changed(record: Record | None, **changes: object) -> Record:
    assert record is not None
    return msgspec.structs.replace(record, **changes)
