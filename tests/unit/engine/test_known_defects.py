"""
Defects of other engines of this kind, each shown to be absent here; ``tests/checklist.toml`` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine_kit import EPOCH, Rig, phases
from tests.support.scripted import Count, Scripted, failure, success
from tests.unit.engine.machine.story import Story, failed, options, told

from airscrew.engine.config import EngineSettings
from airscrew.engine.controller.ports import CacheAnswer
from airscrew.engine.executor import Executor, Gone, NoEffect, NotStarted, TaskContext, TaskStatus
from airscrew.engine.machine import (
    CallFailed,
    Finalize,
    Finalized,
    JobGone,
    JobStillThere,
    KillJob,
    Policy,
    StartFailed,
    Wait,
    ledger_entry,
)
from airscrew.engine.manager import find_executors
from airscrew.engine.registry import Candidate, Registry
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase, Reason, TaskInfo
from airscrew.state.records import NO_STATE, CacheOptions, Stage

pytestmark = pytest.mark.virtual_time


class TestState:
    async def test_state_can_be_reset_to_its_defaults(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", TaskStatus.running(Count(checks=7, job="j")))
        rig.executor.will("check_task_status", TaskStatus.running(Count()))
        await turns.take(live)

        live.woken = True
        await turns.take(live)

        assert bytes((await rig.record()).state) == b"{}"

    async def test_the_version_of_the_state_is_the_executors_whatever_the_version_of_the_phase(self) -> None:
        rig, live = Rig(), Rig().live()
        rig.executor.state_version = 3  # type: ignore[misc]
        turns = rig.turns()
        rig.executor.will("check_task_status", *(TaskStatus.running(Count(), f"step {step}") for step in range(6)))

        for _ in range(7):
            live.woken = True
            await turns.take(live)

        record = await rig.record()
        assert record.state_version == 3
        assert record.version > 6

    async def test_a_later_attempt_begins_without_the_state_of_the_one_before(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        rig.executor.will("start_task", failure(Count(checks=9, job="old")))

        await turns.take(live)

        assert live.record.attempt == 1
        assert live.record.state == NO_STATE


class TestEvents:
    async def test_an_event_tells_when_it_happened_apart_from_when_it_was_recorded(self) -> None:
        rig, live = Rig(), Rig().live()
        happened = TaskStatus.running(Count()).with_info(TaskInfo(occurred_at=EPOCH - 30.0))
        rig.executor.will("start_task", happened)

        await rig.turns().take(live)

        event = (await rig.events())[-1]
        assert (event.phase, event.occurred_at, event.reported_at) == (Phase.RUNNING, EPOCH - 30.0, EPOCH)

    async def test_waiting_for_the_cache_is_an_event_of_its_own_phase(self) -> None:
        rig = Rig()
        live = rig.live(cache=CacheOptions(version="1", serializable=True))
        rig.cache.answers.append(CacheAnswer(key="k", owner="default/other", retry_after=10.0))

        await rig.turns().take(live)

        event = (await rig.events())[-1]
        assert event.phase is Phase.WAITING_FOR_CACHE
        assert "default/other" in event.reason

    async def test_what_happened_meanwhile_is_told_though_the_phase_stays(self) -> None:
        rig, live = Rig(), Rig().live()
        turns = rig.turns()
        await turns.take(live)
        pulled = TaskInfo(reasons=(Reason(reason="image pulled", occurred_at=EPOCH - 1),))
        rig.executor.will("check_task_status", TaskStatus.running(Count()).with_info(pulled))

        live.woken = True
        await turns.take(live)

        before, after = (await rig.events())[-2:]
        assert before.phase is after.phase is Phase.RUNNING
        assert after.version == before.version + 1
        assert after.info.reasons[0].reason == "image pulled"

    async def test_an_event_has_one_name_over_all_attempts_and_lives(self) -> None:
        rig = Rig()
        rig.executor.will("start_task", failure(Count()))
        await rig.submit()

        async with rig.engine(crash=True):
            await elapse(100)
        rig.executor.ends["a"] = success
        async with rig.engine():
            await elapse(100)

        events = await rig.events()
        names = [event.id for event in events]
        assert len(names) == len(set(names))
        assert [(event.attempt, event.version) for event in events] == sorted((e.attempt, e.version) for e in events)
        assert phases(events)[-1] is Phase.SUCCESS


class TestFailures:
    @pytest.mark.parametrize("kind", [ErrorKind.USER, ErrorKind.SYSTEM])
    @pytest.mark.parametrize("retryable", [True, False])
    @pytest.mark.parametrize("cleanup", [True, False])
    def test_retry_budget_and_cleanup_are_independent(self, kind: ErrorKind, *, retryable: bool, cleanup: bool) -> None:
        story = Story(opts=options(max_attempts=2), finalizes=False)
        story.runs()
        story.wakes()

        action = story.tell(failed(kind, retryable=retryable, cleanup=cleanup))
        if cleanup:
            assert isinstance(action, KillJob)
            story.tell(JobGone())

        assert (story.record.user_failures, story.record.system_failures) == (
            int(kind is ErrorKind.USER),
            int(kind is ErrorKind.SYSTEM),
        )
        assert story.record.attempt == int(retryable)
        assert (story.record.stage is Stage.DONE) is not retryable

    def test_a_job_that_is_still_there_is_killed_however_many_reports_came_before(self) -> None:
        story = Story(opts=options(max_attempts=1))
        story.runs()
        for step in range(5):
            story.wakes()
            story.tell(told(Phase.RUNNING, reason=f"step {step}"))
        story.wakes()

        action = story.tell(failed(retryable=False, cleanup=True))

        assert story.record.version > 5
        assert isinstance(action, KillJob)

    def test_more_reports_than_the_limit_end_the_execution_and_kill_its_job(self) -> None:
        story = Story(policy=Policy(max_versions=20))
        story.runs()

        actions = []
        while not story.record.verdict and len(actions) < 30:
            story.wakes()
            actions.append(story.tell(told(Phase.RUNNING, reason=f"step {len(actions)}")))

        assert isinstance(actions[-1], KillJob)
        assert story.record.verdict is not None
        assert story.record.verdict.error is not None
        assert story.record.verdict.error.code == "TooManyPhaseVersions"

    def test_the_attempt_number_grows_only_when_the_old_job_is_gone(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(failed(cleanup=True))

        for _ in range(3):
            assert isinstance(story.tell(JobStillThere()), Wait)
            story.after(60.0)
            assert story.record.attempt == 0

        story.tell(JobGone())
        assert story.record.attempt == 1

    async def test_what_may_come_later_waits_and_what_never_fits_fails(self) -> None:
        waiting, never = Rig(), Rig()
        waits, fails = waiting.live(), never.live(max_attempts=5)
        waiting.executor.will("start_task", *[NotStarted("quota 4/4 used", delay=10.0)] * 3)
        never.executor.will("start_task", TaskStatus.permanent_failure(Count(), "needs 5 of 4", code="NeverFits"))

        await waiting.turns().take(waits)
        await never.turns().take(fails)

        assert (waits.record.phase, waits.record.reason) == (Phase.WAITING_FOR_RESOURCES, "quota 4/4 used")
        assert (waits.record.user_failures, waits.record.system_failures) == (0, 0)
        assert fails.record.phase is Phase.PERMANENT_FAILURE


class TestExits:
    @pytest.mark.parametrize(
        ("ends", "call"),
        [
            (lambda story: story.tell(told(Phase.SUCCESS)), Finalize),
            (lambda story: story.tell(failed(retryable=False)), Finalize),
            (lambda story: story.tell(failed(ErrorKind.SYSTEM)), Finalize),
            (lambda story: story.tell(failed(cleanup=True)), KillJob),
            (lambda story: story.asks("kill", reason="stop"), KillJob),
            (lambda story: story.after(1000.0), KillJob),
        ],
        ids=["success", "permanent failure", "system failure", "failure to clean up", "kill", "deadline"],
    )
    def test_on_every_exit_the_executor_cleans_up_before_the_entry_is_struck_off(
        self, ends: Callable[[Story], object], call: type[Finalize] | type[KillJob]
    ) -> None:
        story = Story(opts=options(timeouts={"total": 1000.0}))
        story.runs()
        story.wakes()

        action = ends(story)
        assert isinstance(action, call)
        assert isinstance(story.tell(CallFailed("not now")), Wait)
        assert ledger_entry(story.record, story.opts, "default/x") is not None
        assert isinstance(story.after(600.0), call)
        story.tell(Finalized() if call is Finalize else JobGone())

        assert ledger_entry(story.record, story.opts, "default/x") is None

    def test_nothing_is_cleaned_up_after_a_start_that_was_refused(self) -> None:
        story = Story()
        story.goes_on()

        action = story.tell(StartFailed(retryable=False, code="BadTask", message="never", kind=ErrorKind.USER))

        assert not isinstance(action, KillJob | Finalize)
        assert story.record.stage is Stage.DONE


class PanicsOn(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def check_task_status(self, context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        if context.execution.name == self.name:
            raise ZeroDivisionError("a defect of the plugin")
        return await super().check_task_status(context, state)


class TestIsolation:
    async def test_an_executor_that_panics_on_one_execution_changes_nothing_for_another(self) -> None:
        rig = Rig(PanicsOn("bad"))
        await rig.submit("bad")
        await rig.submit("good")
        rig.executor.ends["good"] = success

        async with rig.engine(workers=2):
            await elapse(120)

        good, bad = await rig.record("good"), await rig.record("bad")
        assert good.phase is Phase.SUCCESS
        assert (bad.phase, bad.attempt) == (Phase.RUNNING, 0)
        assert "a defect of the plugin" in bad.reason

    async def test_an_executor_that_only_fails_is_let_alone_with_its_job_kept(self) -> None:
        rig = Rig(policy=Policy(check_failures=3))
        rig.executor.will("check_task_status", *[ConnectionError("no answer")] * 10)
        await rig.submit()

        async with rig.engine():
            await elapse(3600)

        record = await rig.record()
        assert record.quarantine
        assert not record.phase.is_terminal
        assert rig.executor.count("check_task_status") == 3
        assert rig.executor.gone == set()
        assert [entry.execution for entry in await rig.ledger()] == ["default/a"]


class MixedCase(Executor[Count]):
    id = "MyCompanyJob"
    task_types = ("myCompany_Job",)
    state_type = Count
    start_declaration = NoEffect()

    async def start_task(self, context: TaskContext[Count], template: object) -> TaskStatus[Count]:
        return TaskStatus.success(Count())

    async def check_task_status(self, context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        return TaskStatus.success(state)

    async def kill_task(self, context: TaskContext[Count], state: Count, reason: str) -> Gone:
        return Gone()


class TestNames:
    def test_an_executor_and_its_task_types_are_found_by_their_names_in_mixed_case(self) -> None:
        registry = Registry()

        registry.add([Candidate(id="MyCompanyJob", origin="here", make=MixedCase)])

        found = registry.resolve("myCompany_Job", has_container=False)
        assert found is registry.get("MyCompanyJob")
        assert isinstance(found, MixedCase)

    def test_a_task_type_in_another_case_is_another_one_and_the_nearest_is_named(self) -> None:
        registry = Registry()
        registry.register(MixedCase())

        with pytest.raises(UsageError, match="did you mean 'myCompany_Job'"):
            registry.resolve("MYCOMPANY_JOB", has_container=False)

    def test_a_name_in_the_configuration_that_no_executor_has_is_refused(self, tmp_path: Path) -> None:
        settings = EngineSettings(home=str(tmp_path), enabled_executors=("Echo", "core-sleep"))

        with pytest.raises(UsageError, match=r"enabled_executors .*'Echo' \(did you mean 'echo'\?\)"):
            find_executors(settings, is_serving=False)

    def test_executors_are_enabled_by_their_names(self, tmp_path: Path) -> None:
        settings = EngineSettings(home=str(tmp_path), enabled_executors=("echo",))

        registry = find_executors(settings, is_serving=False)

        assert registry.get("echo") is not None
        assert registry.get("noop") is None
        assert registry.why_absent("noop") == "executor 'noop' is not enabled"
