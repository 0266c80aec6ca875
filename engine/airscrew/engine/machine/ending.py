"""
Verdicts and what follows them: from the end of an attempt to the next one, or to the end of the execution.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.machine.budget import judge, retry_delay
from airscrew.engine.machine.report import report
from airscrew.engine.machine.view import Policy
from airscrew.idl.errors import ErrorKind, ExecutionError, shorten
from airscrew.idl.phase import Phase
from airscrew.state.records import (
    ATTEMPTS_KEPT,
    NO_INFO,
    NO_STATE,
    Options,
    PastAttempt,
    Record,
    Stage,
    Verdict,
)

PAST_MESSAGE_LIMIT = 500

SHOWN_MESSAGE_LIMIT = 1000
"""The reason tells the begin and the end of an error; the error itself tells all of it."""


def give_verdict(record: Record, options: Options, policy: Policy, verdict: Verdict) -> Record:
    """
    End the current attempt. Final: a record that has a verdict keeps it.

    The job's own ends show at once; aborts and time-outs show when all is gone. While a start is unknown the stage
    stays, so that it is resolved first.
    """
    if record.verdict is not None:
        return record
    verdict = judge(record, options, policy, verdict)
    stage = Stage.STARTING if record.stage is Stage.STARTING and record.intent is not None else Stage.ENDING
    record = msgspec.structs.replace(
        record, verdict=verdict, stage=stage, failures=0, next_check=0.0, not_before=0.0, quarantine=""
    )
    return record if verdict.hidden else show_verdict(record, verdict.at)


def show_verdict(record: Record, now: float) -> Record:
    """Show what the verdict says; terminal unless another attempt follows."""
    verdict = record.verdict
    assert verdict is not None
    reason = shorten(verdict.error.message, SHOWN_MESSAGE_LIMIT) if verdict.error else ""
    record = report(record, verdict.phase, reason, now)
    if verdict.retry:
        return record
    return msgspec.structs.replace(
        record,
        ended_at=record.ended_at or now,
        error=verdict.error,
        output_uri=verdict.output_uri,
        deck_uri=verdict.deck_uri,
    )


def conclude(record: Record, options: Options, policy: Policy, now: float) -> Record:
    """Go on once nothing of the attempt is left: to the next attempt, or to the end."""
    verdict = record.verdict
    assert verdict is not None
    record = _count(record, verdict, now)
    if verdict.retry and not record.kill:
        return _next_attempt(record, policy, verdict, now)
    if verdict.retry:
        record = end_instead(record, now)
    shown = record if record.ended_at else show_at_last(record, now)
    return msgspec.structs.replace(shown, stage=Stage.DONE, intent=None, created=False, next_check=0.0, not_before=0.0)


def show_at_last(record: Record, now: float) -> Record:
    """Show the verdict as the end of the execution, over a failed attempt that was shown and is not retried."""
    if record.phase.is_terminal:
        # The attempt's failure has been shown; what follows is the execution's end, not a transition of the attempt.
        record = msgspec.structs.replace(record, phase=Phase.QUEUED)
    return show_verdict(record, now)


def end_instead(record: Record, now: float) -> Record:
    """Let an execution end where another attempt would have followed: as killed, or with the failure of this one."""
    verdict = record.verdict
    assert verdict is not None
    if not record.kill:
        final = msgspec.structs.replace(verdict, phase=Phase.PERMANENT_FAILURE, retry=False)
        return msgspec.structs.replace(record, verdict=final)
    aborted = Verdict(phase=Phase.ABORTED, at=now, error=abort_error(record.kill), kill=True, hidden=True)
    return msgspec.structs.replace(record, verdict=aborted)


def abort_error(reason: str) -> ExecutionError:
    """Make the error of an execution that was killed."""
    return ExecutionError(code="Aborted", message=reason, kind=ErrorKind.USER)


def _count(record: Record, verdict: Verdict, now: float) -> Record:
    past = PastAttempt(
        attempt=record.attempt,
        phase=Phase.RETRYABLE_FAILURE if verdict.retry else verdict.phase,
        error=_brief(verdict.error),
        started_at=record.started_at,
        ended_at=now,
    )
    kept = (*record.attempts, past)
    if len(kept) > ATTEMPTS_KEPT:
        kept = kept[: ATTEMPTS_KEPT // 2] + kept[-ATTEMPTS_KEPT // 2 :]
    system = verdict.error is not None and verdict.error.kind is ErrorKind.SYSTEM
    failed = verdict.phase.is_failure
    return msgspec.structs.replace(
        record,
        attempts=kept,
        system_failures=record.system_failures + (failed and system),
        user_failures=record.user_failures + (failed and not system),
    )


def _brief(error: ExecutionError | None) -> ExecutionError | None:
    """Cut the message: a record tells of many attempts and has to stay small."""
    return None if error is None else msgspec.structs.replace(error, message=shorten(error.message, PAST_MESSAGE_LIMIT))


def _next_attempt(record: Record, policy: Policy, verdict: Verdict, now: float) -> Record:
    delay = retry_delay(policy, record, verdict.delay)
    code = verdict.error.code if verdict.error else ""
    return msgspec.structs.replace(
        record,
        stage=Stage.READY,
        phase=Phase.QUEUED,
        version=1,
        reason=f"attempt {record.attempt + 2} begins in {delay:.1f} s, after {code}",
        since=now,
        info=NO_INFO,
        attempt=record.attempt + 1,
        started_at=0.0,
        running_at=0.0,
        intent=None,
        state=NO_STATE,
        state_version=0,
        created=False,
        not_before=now + delay,
        next_check=0.0,
        failures=0,
        verdict=None,
        children=0,
        plan_uri="",
    )
