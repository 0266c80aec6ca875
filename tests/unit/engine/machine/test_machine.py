from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.engine.machine.story import CACHED, Story, failed, options, told

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent, NoEffect
from airscrew.engine.machine import (
    CacheHeld,
    CacheHit,
    CacheLookup,
    CacheMiss,
    CachePut,
    CacheStored,
    CallFailed,
    Check,
    ChildrenAtWork,
    Finalize,
    Finalized,
    FindJobs,
    JobGone,
    JobsFound,
    JobStillThere,
    KillChildren,
    KillJob,
    NothingStarted,
    Policy,
    Start,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    TendChildren,
    Wait,
    ledger_entry,
)
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state.records import LedgerState, Stage


def entry_state(story: Story) -> LedgerState | None:
    entry = ledger_entry(story.record, story.opts, "default/x")
    return None if entry is None else entry.state


class TestStart:
    def test_the_intent_is_written_before_the_start_is_called(self) -> None:
        story = Story()

        action = story.goes_on()

        assert isinstance(action, Start)
        assert story.record.stage is Stage.STARTING
        assert story.record.intent is not None
        assert entry_state(story) is LedgerState.INTENT

    def test_a_task_without_an_effect_is_started_without_an_intent(self) -> None:
        story = Story(start=NoEffect(), finalizes=False)

        assert isinstance(story.goes_on(), Start)
        assert story.record.intent is None
        assert story.tell(told(Phase.SUCCESS, output_uri="data:,")) == Wait(None)
        assert story.record.stage is Stage.DONE
        assert story.record.output_uri == "data:,"

    def test_a_start_that_created_nothing_is_tried_again_without_using_a_budget(self) -> None:
        story = Story()
        story.goes_on()

        wait = story.tell(NothingStarted("no quota", 7.0))

        assert wait == Wait(1007.0)
        assert story.record.phase is Phase.WAITING_FOR_RESOURCES
        assert entry_state(story) is None
        assert isinstance(story.after(7.0), Start)
        assert story.record.attempt == 0

    def test_a_permanent_error_of_the_start_ends_the_execution(self) -> None:
        story = Story()
        story.goes_on()

        story.tell(StartFailed(retryable=False, code="Bad", message="no", kind=ErrorKind.USER))

        assert story.record.stage is Stage.DONE
        assert story.record.phase is Phase.PERMANENT_FAILURE
        assert entry_state(story) is None

    def test_a_closed_gate_shows_its_reason_and_waits(self) -> None:
        story = Story(gate="4 of 4 in use")

        assert story.goes_on() == Wait(None)
        assert story.record.reason == "4 of 4 in use"

    def test_an_absent_executor_is_waited_for(self) -> None:
        story = Story(absent="executor 'fake' is not installed")

        assert story.goes_on() == Wait(None)
        assert "not installed" in story.record.reason


class TestUnknownStart:
    def test_an_idempotent_start_is_made_again_with_another_nonce(self) -> None:
        story = Story(start=Idempotent())
        story.goes_on()

        wait = story.tell(StartUnknown("lost"))
        assert isinstance(wait, Wait)
        assert entry_state(story) is LedgerState.UNKNOWN
        again = story.after(2.0)

        assert isinstance(again, Start)
        assert story.record.intent is not None
        assert story.record.intent.nonce == "nonce-2"

    def test_after_a_crash_an_intent_without_an_outcome_is_unknown(self) -> None:
        story = Story(start=Findable(settle=60.0))
        story.goes_on()

        assert isinstance(story.restarts(), FindJobs)
        assert entry_state(story) is LedgerState.UNKNOWN

    def test_beyond_the_window_of_the_key_an_idempotent_start_is_not_made_again(self) -> None:
        story = Story(start=Idempotent(window=100.0))
        story.goes_on()

        story.now += 101.0
        story.restarts()

        assert story.begun == 1
        assert story.record.error is not None
        assert story.record.error.code == "StartOutcomeUnknown"

    def test_what_find_lists_is_adopted(self) -> None:
        story = Story(start=Findable())
        story.goes_on()
        story.restarts()

        action = story.tell(JobsFound(told(Phase.RUNNING).state, 1))

        assert isinstance(action, Check)
        assert story.record.stage is Stage.LIVE
        assert entry_state(story) is LedgerState.KNOWN

    def test_absence_counts_only_after_settle(self) -> None:
        story = Story(start=Findable(settle=60.0))
        story.goes_on()
        story.restarts()

        assert isinstance(story.tell(JobsFound(None)), Wait)
        assert isinstance(story.after(20.0), FindJobs)
        story.tell(JobsFound(None))
        assert isinstance(story.after(40.0), FindJobs)

        assert isinstance(story.tell(JobsFound(None)), Start)
        assert story.record.attempt == 0

    def test_at_most_once_is_never_called_again_and_its_entry_stays(self) -> None:
        story = Story(start=AtMostOnce())
        story.goes_on()

        story.tell(StartUnknown("lost"))
        story.after(10.0)

        assert story.begun == 1
        assert story.record.phase is Phase.PERMANENT_FAILURE
        assert story.record.error is not None
        assert story.record.error.kind is ErrorKind.SYSTEM
        assert entry_state(story) is LedgerState.UNKNOWN
        story.asks("clear")
        assert entry_state(story) is None

    def test_the_operator_may_have_an_unknown_start_made_again(self) -> None:
        story = Story(start=AtMostOnce(), policy=Policy(unknown_start_again=frozenset({"job"})))
        story.goes_on()

        story.tell(StartUnknown("lost"))

        assert isinstance(story.after(10.0), Start)

    def test_not_started_on_a_second_try_does_not_speak_for_the_first(self) -> None:
        story = Story(start=Idempotent())
        story.goes_on()
        story.tell(StartUnknown("lost"))
        story.after(2.0)

        story.tell(NothingStarted("429", 1.0))

        assert entry_state(story) is LedgerState.UNKNOWN
        assert story.record.stage is Stage.STARTING

    def test_a_kill_while_the_start_is_unknown_first_resolves_it(self) -> None:
        story = Story(start=Findable())
        story.goes_on()
        story.tell(StartUnknown("lost"))

        assert isinstance(story.asks("kill", reason="stop"), FindJobs)
        assert isinstance(story.tell(JobsFound(told(Phase.RUNNING).state, 1)), KillJob)
        assert story.record.phase is not Phase.ABORTED
        story.tell(JobGone())

        assert story.record.phase is Phase.ABORTED
        assert entry_state(story) is None

    def test_a_kill_between_the_intent_and_the_call_makes_no_call(self) -> None:
        story = Story()
        story.goes_on()
        assert story.fresh

        story.asks("kill", reason="stop")

        assert story.record.phase is Phase.ABORTED
        assert entry_state(story) is None


class TestChecks:
    def test_checks_keep_a_steady_beat(self) -> None:
        story = Story()
        wait = story.runs()
        beats = []

        for _ in range(5):
            assert isinstance(wait, Wait)
            assert wait.until is not None
            beats.append(wait.until)
            story.now = wait.until + 0.3
            assert isinstance(story.goes_on(), Check)
            wait = story.tell(told(Phase.RUNNING))

        gaps = {round(b - a, 6) for a, b in pairwise(beats)}
        assert gaps == {10.0}

    def test_a_status_says_when_it_is_checked_next(self) -> None:
        story = Story()
        story.goes_on()

        assert story.tell(told(Phase.RUNNING, check_after=42.0)) == Wait(1042.0)

    def test_a_wake_checks_at_once(self) -> None:
        story = Story()
        story.runs()

        assert isinstance(story.wakes(), Check)

    def test_a_failing_check_backs_off_and_leaves_the_job_alone(self) -> None:
        story = Story()
        story.runs()
        story.wakes()

        wait = story.tell(CallFailed("no answer"))

        assert isinstance(wait, Wait)
        assert story.record.reason == "no answer"
        assert story.record.stage is Stage.LIVE

    def test_too_many_failing_checks_quarantine_and_retry_goes_on(self) -> None:
        story = Story(policy=Policy(check_failures=3))
        story.runs()

        for _ in range(3):
            story.wakes()
            story.tell(CallFailed("no answer"))

        assert story.record.quarantine
        assert isinstance(story.wakes(), Wait)
        assert entry_state(story) is LedgerState.KNOWN
        assert isinstance(story.asks("retry"), Check)

    def test_a_plugin_in_trouble_does_not_quarantine_its_executions(self) -> None:
        story = Story(policy=Policy(check_failures=1), calm=False)
        story.runs()
        story.wakes()

        story.tell(CallFailed("no answer"))

        assert not story.record.quarantine

    def test_state_that_does_not_decode_quarantines_and_a_newer_one_waits(self) -> None:
        corrupt, newer = Story(), Story()
        for story in (corrupt, newer):
            story.runs()
            story.wakes()

        corrupt.tell(StateUnreadable("garbage"))
        newer.tell(StateUnreadable("version 9", wait=True))

        assert corrupt.record.quarantine
        assert not newer.record.quarantine

    def test_an_illegal_phase_is_ignored_and_said(self) -> None:
        story = Story()
        story.runs()
        story.wakes()

        story.tell(told(Phase.INITIALIZING, reason="again"))

        assert story.record.phase is Phase.RUNNING
        assert "ignored" in story.record.reason

    def test_versions_grow_and_an_unchanged_status_makes_no_report(self) -> None:
        story = Story()
        story.runs()
        before = len(story.reports)

        story.wakes()
        story.tell(told(Phase.RUNNING))
        assert len(story.reports) == before
        story.wakes()
        story.tell(told(Phase.RUNNING, info=TaskInfo(progress=0.5)))

        assert len(story.reports) == before + 1
        assert [version for _, version, _ in story.reports] == sorted(version for _, version, _ in story.reports)


class TestEnd:
    def test_success_is_visible_with_the_verdict_and_then_finalized(self) -> None:
        story = Story()
        story.runs()
        story.wakes()

        action = story.tell(told(Phase.SUCCESS, output_uri="file:///o"))

        assert isinstance(action, Finalize)
        assert story.record.phase is Phase.SUCCESS
        assert story.record.ended_at
        assert entry_state(story) is LedgerState.KNOWN
        story.tell(Finalized())
        assert story.record.stage is Stage.DONE
        assert entry_state(story) is None

    def test_a_failed_job_that_is_still_there_is_killed_before_the_retry(self) -> None:
        story = Story()
        story.runs()
        story.wakes()

        assert isinstance(story.tell(failed(cleanup=True)), KillJob)
        assert isinstance(story.tell(JobStillThere()), Wait)
        assert story.record.attempt == 0
        assert isinstance(story.after(5.0), KillJob)
        story.tell(JobGone())

        assert story.record.attempt == 1
        assert story.record.stage is Stage.READY

    def test_user_and_system_failures_have_budgets_of_their_own(self) -> None:
        story = Story(opts=options(max_attempts=2), policy=Policy(system_retries=1), finalizes=False)

        for kind in (ErrorKind.SYSTEM, ErrorKind.USER):
            story.after(1000.0)
            story.tell(failed(kind))
        assert story.record.attempt == 2
        story.after(1000.0)
        story.tell(failed(ErrorKind.USER))

        assert story.record.phase is Phase.PERMANENT_FAILURE
        assert story.record.error is not None
        assert story.record.error.code == "RetriesExhausted|Broken"
        assert (story.record.user_failures, story.record.system_failures) == (2, 1)
        assert [past.attempt for past in story.record.attempts] == [0, 1, 2]

    def test_a_verdict_is_final(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(told(Phase.SUCCESS))

        story.asks("kill", reason="too late")
        story.tell(Finalized())

        assert story.record.phase is Phase.SUCCESS

    def test_a_kill_shows_as_aborted_only_when_the_job_is_gone(self) -> None:
        story = Story()
        story.runs()

        assert isinstance(story.asks("kill", reason="stop"), KillJob)
        assert story.record.phase is Phase.RUNNING
        story.tell(JobGone())

        assert story.record.phase is Phase.ABORTED
        assert story.record.error is not None
        assert story.record.error.message == "stop"

    def test_a_kill_without_confirmation_shows_after_its_deadline_and_goes_on(self) -> None:
        story = Story(policy=Policy(kill_deadline=900.0))
        story.runs()
        story.asks("kill")
        story.tell(JobStillThere())

        action = story.after(900.0)

        assert isinstance(action, KillJob)
        assert story.record.phase is Phase.ABORTED
        assert story.record.ended_at
        assert entry_state(story) is LedgerState.KNOWN
        story.tell(JobGone())
        assert entry_state(story) is None

    def test_force_makes_it_terminal_at_once_with_its_entry_open(self) -> None:
        story = Story()
        story.runs()

        action = story.asks("kill", force=True)

        assert isinstance(action, KillJob)
        assert story.record.phase is Phase.ABORTED
        assert entry_state(story) is LedgerState.KNOWN

    def test_a_kill_while_another_attempt_would_follow_ends_the_execution(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(failed(cleanup=True))

        story.asks("kill", reason="stop")
        story.tell(JobGone())

        assert story.record.stage is Stage.DONE
        assert story.record.phase is Phase.ABORTED

    def test_a_kill_of_what_has_not_begun_aborts_at_once(self) -> None:
        story = Story(gate="no slot")
        story.goes_on()

        story.asks("kill")

        assert story.record.phase is Phase.ABORTED

    def test_requests_to_what_is_done_are_dropped(self) -> None:
        story = Story(gate="no slot")
        story.asks("kill")

        assert story.asks("kill", force=True) == Wait(None)
        assert story.requests == {}

    def test_the_last_system_retry_is_not_interruptible(self) -> None:
        story = Story(opts=options(interruptible=True), policy=Policy(system_retries=2), finalizes=False)
        seen = []

        for _ in range(3):
            story.after(1000.0)
            seen.append(story.record.interruptible)
            story.tell(failed(ErrorKind.SYSTEM))

        assert seen == [True, True, False]


class TestDeadlines:
    @pytest.mark.parametrize(
        ("name", "phase", "code"),
        [
            ("queued", Phase.PERMANENT_FAILURE, "QueuedTimeout"),
            ("total", Phase.PERMANENT_FAILURE, "DeadlineExceeded"),
        ],
    )
    def test_a_deadline_before_the_start_ends_the_execution(self, name: str, phase: Phase, code: str) -> None:
        story = Story(opts=options(timeouts={name: 30.0}), gate="no slot")

        assert story.goes_on() == Wait(1030.0)
        story.after(30.0)

        assert story.record.phase is phase
        assert story.record.error is not None
        assert story.record.error.code == code

    def test_the_attempt_deadline_kills_shows_the_failure_and_retries(self) -> None:
        story = Story(opts=options(timeouts={"attempt": 30.0}))
        story.runs()

        assert isinstance(story.after(30.0), KillJob)
        assert story.record.phase is Phase.RUNNING
        story.tell(JobGone())

        assert story.record.attempt == 1
        assert (0, Phase.RETRYABLE_FAILURE) in {(attempt, phase) for attempt, _, phase in story.reports}

    def test_the_pending_deadline_ends_when_the_job_runs(self) -> None:
        slow, quick = (Story(opts=options(timeouts={"pending": 30.0})) for _ in range(2))
        slow.goes_on()
        slow.tell(told(Phase.INITIALIZING))
        quick.runs()

        assert isinstance(slow.after(30.0), KillJob)
        assert not isinstance(quick.after(30.0), KillJob)

    def test_deadlines_run_while_the_plugin_fails_and_in_quarantine(self) -> None:
        story = Story(opts=options(timeouts={"total": 30.0}), policy=Policy(check_failures=1))
        story.runs()
        story.wakes()

        assert story.tell(CallFailed("down")) == Wait(1030.0)
        assert story.record.quarantine

        assert isinstance(story.after(30.0), KillJob)


class TestCache:
    def test_a_hit_ends_the_execution_without_a_start(self) -> None:
        story = Story(opts=options(cache=CACHED))
        assert isinstance(story.goes_on(), CacheLookup)

        story.tell(CacheHit("k", "data:,o"))

        assert story.begun == 0
        assert story.record.phase is Phase.SUCCESS
        assert story.record.output_uri == "data:,o"

    def test_a_held_entry_is_waited_for_with_its_reason(self) -> None:
        story = Story(opts=options(cache=CACHED))
        story.goes_on()

        wait = story.tell(CacheHeld("k", "default/other", 5.0))

        assert wait == Wait(1005.0)
        assert story.record.phase is Phase.WAITING_FOR_CACHE
        assert "default/other" in story.record.reason
        assert isinstance(story.wakes(), CacheLookup)

    def test_outputs_are_put_after_the_verdict(self) -> None:
        story = Story(opts=options(cache=CACHED), finalizes=False)
        story.goes_on()
        story.tell(CacheMiss("k"))

        action = story.tell(told(Phase.SUCCESS, output_uri="o"))

        assert isinstance(action, CachePut)
        assert story.record.verdict is not None
        story.tell(CacheStored())
        assert (story.record.stage, story.record.cache) == (Stage.DONE, "populated")

    def test_a_final_failure_releases_the_reservation_and_a_retry_keeps_it(self) -> None:
        story = Story(opts=options(cache=CACHED, max_attempts=2), finalizes=False)
        story.goes_on()
        story.tell(CacheMiss("k"))

        story.tell(failed())
        assert story.record.attempt == 1
        story.after(1000.0)
        action = story.tell(failed())

        assert isinstance(action, CachePut)


class TestChildren:
    def test_a_plan_is_tended_until_its_outputs_are_there(self) -> None:
        story = Story(finalizes=False)
        story.runs()
        story.wakes()

        assert isinstance(story.tell(told(Phase.RUNNING, plan_uri="p")), TendChildren)
        assert story.record.stage is Stage.CHILDREN
        assert isinstance(story.tell(ChildrenAtWork(3, 0, "")), Wait)
        assert isinstance(story.asks("child"), TendChildren)
        story.tell(told(Phase.SUCCESS, output_uri="o", state=None))

        assert story.record.phase is Phase.SUCCESS

    def test_a_kill_ends_the_children(self) -> None:
        story = Story(finalizes=False)
        story.runs()
        story.wakes()
        story.tell(told(Phase.RUNNING, plan_uri="p"))
        story.tell(ChildrenAtWork(3, 0, ""))

        assert isinstance(story.asks("kill"), KillChildren)
        assert isinstance(story.tell(JobGone()), KillJob)
        story.tell(JobGone())

        assert story.record.phase is Phase.ABORTED
