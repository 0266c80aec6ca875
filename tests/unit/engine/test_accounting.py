"""What the controller counts: calls, rounds, ends, conflicts, and where the time of executions goes."""

from __future__ import annotations

import pytest
from tests.support.engine_kit import Rig
from tests.support.scripted import Count, Scripted, failure, success

from airscrew.engine.controller.accounting import CALLS
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import Executor, Findable, NotStarted, TaskContext, TaskStatus
from airscrew.engine.metrics import Recorder
from airscrew.engine.metrics.names import (
    ADOPTIONS,
    CALL_ERRORS,
    CALL_SECONDS,
    ENDED,
    STORE_CONFLICTS,
    TIME,
    TURN_FAILURES,
    TURN_SECONDS,
    Metric,
)
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.store import Operation, Put

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def counters(recorder: Recorder, wanted: Metric) -> dict[tuple[str, ...], float]:
    return {labels: value for (metric, labels), value in recorder.counters.items() if metric is wanted}


def seen(recorder: Recorder, wanted: Metric, *labels: str) -> int:
    return sum(recorder.histograms[wanted, labels].counts) if (wanted, labels) in recorder.histograms else 0


async def test_each_call_is_counted_with_how_long_it_took(recorder: Recorder) -> None:
    class Slow(Scripted):
        async def check_task_status(self, context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
            await elapse(0.2)
            return await super().check_task_status(context, state)

    rig = Rig(executor=Slow(), meters=recorder)
    await rig.submit()

    async with rig.engine():
        await elapse(35.0)

    assert seen(recorder, CALL_SECONDS, "scripted", "start") == 1
    checks = recorder.histograms[CALL_SECONDS, ("scripted", "check")]
    assert sum(checks.counts) == rig.executor.count("check_task_status") == 3
    assert checks.total == pytest.approx(0.6)
    assert counters(recorder, CALL_ERRORS) == {}
    assert seen(recorder, TURN_SECONDS) >= 4


async def test_what_became_of_a_call_is_told_by_its_kind(recorder: Recorder) -> None:
    rig = Rig(meters=recorder)
    rig.executor.will(
        "start_task",
        NotStarted("no quota", 1.0),
        RetryableError("busy", delay=1.0),
        OSError("the reply was lost"),
    )
    rig.executor.will("check_task_status", OSError("no answer"))
    await rig.submit()

    async with rig.engine():
        await elapse(600.0)

    assert counters(recorder, CALL_ERRORS) == {
        ("scripted", "start", "not_started"): 1,
        ("scripted", "start", "system"): 1,
        ("scripted", "start", "unknown"): 1,
        ("scripted", "check", "unknown"): 1,
    }


async def test_what_can_never_run_is_told_by_whose_it_is(recorder: Recorder) -> None:
    rig = Rig(meters=recorder)
    rig.executor.will("start_task", PermanentError("never", kind=ErrorKind.USER))
    await rig.submit()

    async with rig.engine():
        await elapse(60.0)

    assert counters(recorder, CALL_ERRORS) == {("scripted", "start", "user"): 1}
    assert counters(recorder, ENDED) == {("scripted", "PermanentFailure", "user"): 1}


async def test_an_execution_that_ends_is_counted_once(recorder: Recorder) -> None:
    rig = Rig(meters=recorder)
    rig.executor.ends = {"good": success, "bad": failure}
    await rig.submit("good")
    await rig.submit("bad")

    async with rig.engine():
        await elapse(60.0)
        await rig.ask("good", "kill", reason="too late")
        await elapse(60.0)

    ended = counters(recorder, ENDED)
    assert ended.pop(("scripted", "Success", "")) == 1
    assert len(ended) == 1
    assert sum(ended.values()) == 1


async def test_a_job_that_is_found_again_is_an_adoption(recorder: Recorder) -> None:
    rig = Rig(executor=Scripted(Findable(settle=5.0)), meters=recorder)
    rig.executor.will("start_task", OSError("the reply was lost"))
    await rig.submit()

    async with rig.engine():
        await elapse(60.0)

    assert rig.executor.count("start_task") == 1
    assert counters(recorder, ADOPTIONS) == {("scripted",): 1}


async def test_a_write_that_came_too_late_is_a_conflict(recorder: Recorder) -> None:
    rig = Rig(meters=recorder)
    execution = await rig.submit()
    async with rig.engine():
        await elapse(15.0)
        before = await rig.record()

        async def write_first(operations: object) -> None:
            rig.store.before_txn = None
            found = await rig.store.inner.get(keys.record_key(execution))
            assert found is not None
            writes: list[Operation] = [Put(keys.record_key(execution), found.value)]
            await rig.store.inner.txn([], writes)

        rig.store.before_txn = write_first
        await rig.ask("a", "kill", reason="enough")
        await elapse(30.0)

    assert before.phase is Phase.RUNNING
    assert (await rig.record()).phase is Phase.ABORTED
    assert counters(recorder, STORE_CONFLICTS) == {(): 1}


async def test_a_round_that_fails_is_counted(recorder: Recorder) -> None:
    rig = Rig(meters=recorder)

    def broken(_operations: object) -> None:
        rig.store.before_txn = None
        raise RuntimeError("a defect")

    rig.store.before_txn = broken
    await rig.submit()

    async with rig.engine():
        await elapse(60.0)

    assert counters(recorder, TURN_FAILURES) == {(): 1}
    assert (await rig.record()).phase is Phase.RUNNING


class TestTime:
    async def test_the_parts_are_the_whole_life_of_an_execution(self, recorder: Recorder) -> None:
        rig = Rig(meters=recorder, outside="kubernetes")
        rig.executor.will("start_task", TaskStatus(phase=Phase.QUEUED, state=Count()).after(30.0))
        rig.executor.will("check_task_status", TaskStatus.running(Count()).after(100.0))
        rig.executor.ends["a"] = success
        await rig.submit()

        await elapse(7.0)  # nobody is there
        async with rig.engine():
            await elapse(600.0)

        assert counters(recorder, TIME) == {
            ("engine",): pytest.approx(7.0),
            ("kubernetes",): pytest.approx(30.0),
            ("user",): pytest.approx(100.0),
        }

    async def test_a_call_is_time_outside_and_not_the_engines(self, recorder: Recorder) -> None:
        class Slow(Scripted):
            async def start_task(self, context: TaskContext[Count], template: object) -> TaskStatus[Count] | NotStarted:
                await elapse(3.0)
                return await super().start_task(context, template)

        rig = Rig(executor=Slow(), meters=recorder)
        rig.executor.ends["a"] = success
        await rig.submit()

        async with rig.engine():
            await elapse(60.0)

        assert counters(recorder, TIME)["external",] == pytest.approx(3.0)
        assert counters(recorder, TIME).get(("engine",), 0.0) == pytest.approx(0.0)

    async def test_waiting_for_a_slot_is_the_engines(self, recorder: Recorder) -> None:
        rig = Rig(meters=recorder, limit=1)
        await rig.submit("first")
        async with rig.engine():
            await elapse(1.0)
            await rig.submit("next")
            await elapse(500.0)
            rig.executor.ends = {"first": success, "next": success}
            await elapse(60.0)

        assert counters(recorder, TIME)["engine",] == pytest.approx(505.0, abs=6.0)

    async def test_a_quarantine_is_nobodys(self, recorder: Recorder) -> None:
        rig = Rig(meters=recorder)
        rig.executor.broken.add("broken")
        await rig.submit("broken")
        async with rig.engine():
            await elapse(20_000.0)
            assert (await rig.record("broken")).quarantine
            total = sum(counters(recorder, TIME).values())

            rig.executor.broken.clear()
            await elapse(20_000.0)
            await rig.ask("broken", "kill", reason="enough")
            await elapse(60.0)

        assert (await rig.record("broken")).phase is Phase.ABORTED
        assert sum(counters(recorder, TIME).values()) < total + 60.0

    async def test_nothing_is_found_out_where_nothing_is_kept(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine() as controller:
            await elapse(15.0)

            (live,) = controller.lives
            assert (live.counted_to, live.in_calls) == (0.0, 0.0)


def test_each_method_that_is_given_an_attempt_has_its_name_in_metrics() -> None:
    asked = {name for name, method in vars(Executor).items() if "context" in getattr(method, "__annotations__", {})}

    assert asked - set(CALLS) <= {"migrate_state"}
    assert set(CALLS) <= asked
