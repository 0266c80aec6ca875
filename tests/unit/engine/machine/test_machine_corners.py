"""Where two things happen at once: each of these went wrong, or nearly did."""

from __future__ import annotations

import pytest
from tests.unit.engine.machine.story import CACHED, Story, failed, options, told

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent, NoEffect, StartDeclaration
from airscrew.engine.machine import (
    CacheMiss,
    CachePut,
    CacheStored,
    CallFailed,
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
    Wait,
    ledger_entry,
)
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.state.records import LedgerState, Request, Stage


def entry_state(story: Story) -> LedgerState | None:
    entry = ledger_entry(story.record, story.opts, "default/x")
    return None if entry is None else entry.state


class TestUnknownStart:
    def test_a_kill_asks_an_idempotent_provider_again_and_kills_what_it_names(self) -> None:
        story = Story(start=Idempotent())
        story.goes_on()
        story.tell(StartUnknown("lost"))

        assert isinstance(story.asks("kill", reason="stop"), Start)
        assert isinstance(story.tell(told(Phase.RUNNING)), KillJob)
        story.tell(JobGone())

        assert story.record.phase is Phase.ABORTED
        assert entry_state(story) is None

    def test_a_kill_after_the_operators_second_intent_makes_no_second_call(self) -> None:
        story = Story(start=AtMostOnce(), policy=Policy(unknown_start_again=frozenset({"job"})))
        story.goes_on()
        story.tell(StartUnknown("lost"))
        assert isinstance(story.after(10.0), Start)
        assert story.fresh

        story.asks("kill", reason="stop")

        assert story.record.stage is Stage.DONE
        assert entry_state(story) is LedgerState.UNKNOWN

    @pytest.mark.parametrize("start", [AtMostOnce(), Idempotent(window=10.0)])
    def test_a_deadline_while_the_start_is_unknown_ends_the_execution_without_a_retry(
        self, start: StartDeclaration
    ) -> None:
        story = Story(start=start, opts=options(timeouts={"attempt": 30.0}, max_attempts=5))
        story.goes_on()
        story.tell(StartUnknown("lost"))

        story.now += 31.0
        story.restarts()

        assert (story.record.stage, story.record.attempt) == (Stage.DONE, 0)
        assert story.record.phase is Phase.PERMANENT_FAILURE
        assert story.record.error is not None
        assert (story.record.error.code, story.record.error.kind) == ("StartOutcomeUnknown", ErrorKind.SYSTEM)
        assert entry_state(story) is LedgerState.UNKNOWN

    def test_what_refuses_a_second_try_does_not_speak_for_the_first(self) -> None:
        story = Story(start=Idempotent())
        story.goes_on()
        story.tell(StartUnknown("lost"))
        story.after(2.0)

        story.tell(StartFailed(retryable=True, code="C", message="503", kind=ErrorKind.SYSTEM))

        assert story.record.stage is Stage.STARTING
        assert entry_state(story) is LedgerState.UNKNOWN

    def test_a_forced_end_still_finds_and_kills_the_job(self) -> None:
        story = Story(start=Findable())
        story.goes_on()
        story.tell(StartUnknown("lost"))

        assert isinstance(story.asks("kill", force=True), FindJobs)
        assert story.record.phase is Phase.ABORTED
        assert isinstance(story.tell(JobsFound(told(Phase.RUNNING).state, 1)), KillJob)
        story.tell(JobGone())

        assert entry_state(story) is None

    def test_a_person_may_clear_a_start_that_stays_unknown_after_a_forced_end(self) -> None:
        story = Story(start=Findable())
        story.goes_on()
        story.tell(StartUnknown("lost"))
        story.asks("kill", force=True)
        story.tell(CallFailed("no answer"))

        story.asks("clear")

        assert story.record.stage is Stage.DONE
        assert entry_state(story) is None

    def test_clearing_what_is_not_over_changes_nothing(self) -> None:
        story = Story(start=Findable())
        story.goes_on()
        story.tell(StartUnknown("lost"))

        story.asks("clear")

        assert entry_state(story) is LedgerState.UNKNOWN

    def test_a_retry_out_of_quarantine_does_not_wait_for_the_back_off(self) -> None:
        story = Story(start=Findable(), policy=Policy(check_failures=2, backoff=100.0))
        story.goes_on()
        story.tell(StartUnknown("lost"))
        story.after(100.0)
        story.tell(CallFailed("no answer"))
        assert story.record.quarantine

        assert isinstance(story.asks("retry"), FindJobs)

    def test_a_lost_start_with_a_reservation_gives_it_back(self) -> None:
        story = Story(start=AtMostOnce(), opts=options(cache=CACHED))
        story.goes_on()
        story.tell(CacheMiss("k"))
        story.tell(StartUnknown("lost"))

        assert isinstance(story.after(10.0), CachePut)
        story.tell(CacheStored("released"))

        assert story.record.stage is Stage.DONE
        assert entry_state(story) is LedgerState.UNKNOWN

    def test_without_an_effect_a_failed_call_is_made_again_later(self) -> None:
        story = Story(start=NoEffect())
        story.goes_on()

        wait = story.tell(CallFailed("garbage"))

        assert isinstance(wait, Wait)
        assert wait.until is not None
        assert wait.until > story.now


class TestEnd:
    def test_an_attempt_that_timed_out_and_is_not_confirmed_gone_fails_and_is_no_abort(self) -> None:
        story = Story(opts=options(timeouts={"attempt": 30.0}), policy=Policy(kill_deadline=60.0))
        story.runs()
        story.after(30.0)
        story.tell(JobStillThere())

        story.after(60.0)

        assert story.record.phase is Phase.PERMANENT_FAILURE
        assert story.record.error is not None
        assert story.record.error.code == "TimeoutExpired"
        assert entry_state(story) is LedgerState.KNOWN

    def test_a_retry_never_begins_while_the_executor_is_away_with_something_to_finalize(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(failed())
        story.absent = "not installed"

        story.restarts()

        assert (story.record.attempt, story.record.stage) == (0, Stage.ENDING)
        assert entry_state(story) is LedgerState.KNOWN

    def test_killed_children_go_before_the_job_that_planned_them(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(told(Phase.RUNNING, plan_uri="p"))

        assert isinstance(story.asks("kill", reason="stop"), KillChildren)
        assert isinstance(story.tell(JobStillThere()), Wait)
        assert isinstance(story.after(5.0), KillChildren)
        assert isinstance(story.tell(JobGone()), KillJob)
        assert entry_state(story) is LedgerState.KNOWN

    def test_a_killed_retry_gives_its_reservation_back(self) -> None:
        story = Story(opts=options(cache=CACHED))
        story.goes_on()
        story.tell(CacheMiss("k"))
        story.tell(told(Phase.RUNNING))
        story.wakes()
        story.tell(failed(cleanup=True))

        assert isinstance(story.asks("kill"), CachePut)

    def test_a_reason_of_any_length_is_cut(self) -> None:
        story = Story()
        story.runs()

        story.asks("kill", reason="x" * 100_000)

        assert len(story.record.kill) <= 1000

    def test_the_reason_shown_is_a_line_and_the_error_tells_all(self) -> None:
        story = Story(opts=options(max_attempts=1))
        story.runs()
        story.wakes()
        long = told(Phase.PERMANENT_FAILURE, reason="x" * 10_000)

        story.tell(long)

        assert len(story.record.reason) <= 1000
        assert story.record.error is not None
        assert len(story.record.error.message) == 10_000

    def test_an_illegal_phase_that_is_told_again_makes_no_second_report(self) -> None:
        story = Story()
        story.runs()
        story.wakes()
        story.tell(told(Phase.INITIALIZING))
        before = len(story.reports)

        for _ in range(5):
            story.wakes()
            story.tell(told(Phase.INITIALIZING))

        assert len(story.reports) == before

    def test_nothing_started_after_a_kill_ends_at_once(self) -> None:
        story = Story()
        story.goes_on()
        story.requests["kill"] = _kill()

        story.tell(NothingStarted("429", 60.0))

        assert (story.record.stage, story.record.phase) == (Stage.DONE, Phase.ABORTED)


def _kill() -> Request:
    return Request(what="kill")
