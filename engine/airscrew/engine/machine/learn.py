"""
What a fact makes of a record: one small pure function a kind of fact.

Facts are applied to whatever record is there: after a conflict the record may have gained a verdict meanwhile, and a
fact never takes a verdict back.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.executor.declarations import Findable
from airscrew.engine.machine.budget import call_delay, is_interruptible
from airscrew.engine.machine.ending import give_verdict
from airscrew.engine.machine.facts import (
    CacheHeld,
    CacheHit,
    CacheMiss,
    CacheStored,
    CallFailed,
    ChildrenAtWork,
    Fact,
    Finalized,
    JobGone,
    JobsFound,
    JobStillThere,
    NeedsTold,
    NothingStarted,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    SweepFailed,
    Swept,
    Told,
)
from airscrew.engine.machine.report import report
from airscrew.engine.machine.view import Policy, Traits, View, spread
from airscrew.idl.errors import ExecutionError
from airscrew.idl.phase import Phase
from airscrew.state.records import Intent, Options, Record, Stage, Verdict, system_error


class _Given(msgspec.Struct, frozen=True):
    """What every learner is given beside the record and the fact."""

    options: Options
    policy: Policy
    traits: Traits | None
    now: float
    calm: bool

    @property
    def has_effect(self) -> bool:
        return self.traits is None or self.traits.has_effect


def begin(view: View, nonce: str) -> Record:
    """Write down the intent to start the current attempt: the record to persist before ``start_task`` is called."""
    record, traits = view.record, view.traits
    assert traits is not None
    before = record.intent
    intent = Intent(
        nonce=nonce,
        written_at=before.written_at if before is not None else view.now,
        tries=before.tries + 1 if before is not None else 1,
    )
    return msgspec.structs.replace(
        record,
        stage=Stage.STARTING,
        intent=intent,
        executor=traits.id,
        started_at=record.started_at or view.now,
        tokens=view.tokens or record.tokens,
        interruptible=is_interruptible(record, view.options, view.policy),
    )


def learn(view: View, fact: Fact) -> Record:
    """Apply a fact to the view's record."""
    given = _Given(view.options, view.policy, view.traits, view.now, view.calm)
    record = view.record
    match fact:
        case Told():
            return _told(record, fact, given)
        case NothingStarted() | StartFailed() | StartUnknown() | JobsFound():
            return _learn_of_start(record, fact, given)
        case NeedsTold() | Swept() | SweepFailed():
            return _learn_beside(record, fact, given)
        case JobGone() if record.plan_uri:
            # The children are gone; the job that planned them comes next.
            return msgspec.structs.replace(record, plan_uri="", children=0, failures=0, next_check=0.0)
        case JobGone() | Finalized():
            return msgspec.structs.replace(record, created=False, children=0, failures=0)
        case JobStillThere():
            return _still_there(record, fact, given)
        case CallFailed():
            return _call_failed(record, fact, given)
        case StateUnreadable():
            return _unreadable(record, fact, given)
        case ChildrenAtWork():
            return _children(record, fact, given)
        case CacheHit() | CacheMiss() | CacheHeld() | CacheStored():
            return _learn_of_cache(record, fact, given)


def _learn_beside(record: Record, fact: NeedsTold | Swept | SweepFailed, given: _Given) -> Record:
    """Take in what says nothing of how the attempt stands."""
    match fact:
        case Swept(again_at=float(again_at)):
            return msgspec.structs.replace(record, not_before=again_at)
        case SweepFailed():
            later = given.now + call_delay(given.policy, 1, record.uid)
            return msgspec.structs.replace(record, not_before=max(record.not_before, later))
        case _:
            return record


def _told(record: Record, fact: Told, given: _Given) -> Record:
    record = msgspec.structs.replace(
        record,
        stage=_stage_after_told(record, fact),
        intent=None,
        state=record.state if fact.state is None else fact.state,
        state_version=record.state_version if fact.state is None else fact.state_version,
        # What has units of a quota has a ledger entry too, whether or not it creates anything.
        created=record.created or given.has_effect or bool(record.tokens),
        executor=fact.executor or record.executor,
        started_at=record.started_at or given.now,
        running_at=record.running_at or (given.now if fact.phase is Phase.RUNNING else 0.0),
        failures=0,
        not_before=0.0,
        next_check=_next_check(record, fact, given),
        plan_uri=fact.plan_uri or record.plan_uri,
    )
    if record.verdict is not None:
        return msgspec.structs.replace(record, next_check=0.0)
    if fact.plan_uri:
        shown = report(record, Phase.RUNNING, fact.reason or "runs its children", given.now, fact.info)
        return msgspec.structs.replace(shown, next_check=given.now)
    if not fact.phase.is_terminal:
        shown = report(record, fact.phase, fact.reason, given.now, fact.info)
        return _too_many_reports(shown, given)
    return _ended(record, fact, given)


def _stage_after_told(record: Record, fact: Told) -> Stage:
    if record.verdict is not None:
        return Stage.ENDING
    return Stage.CHILDREN if fact.plan_uri else Stage.LIVE


def _ended(record: Record, fact: Told, given: _Given) -> Record:
    """Turn a terminal phase into the verdict; the info told with it stays."""
    if fact.info != record.info:
        record = msgspec.structs.replace(record, info=fact.info)
    error = fact.error
    if error is None and fact.phase.is_failure:
        error = system_error("Unknown", fact.reason or "the executor gave no error")
    verdict = Verdict(
        phase=fact.phase,
        at=given.now,
        error=error,
        output_uri=fact.output_uri,
        deck_uri=fact.deck_uri,
        kill=fact.cleanup,
        delay=fact.delay,
    )
    return give_verdict(record, given.options, given.policy, verdict)


def _next_check(record: Record, fact: Told, given: _Given) -> float:
    """
    Keep a steady beat: late or early checks do not shift it, and the first one spreads executions over the interval.
    """
    if fact.check_after is not None:
        return given.now + max(fact.check_after, 0.0)
    interval = given.traits.check_interval if given.traits is not None else 10.0
    if not record.next_check:
        return given.now + interval * (0.5 + 0.5 * spread(f"{record.uid}:{record.attempt}"))
    due = record.next_check
    return due + interval if due <= given.now < due + interval else given.now + interval


def _too_many_reports(record: Record, given: _Given) -> Record:
    if record.version <= given.policy.max_versions:
        return record
    message = f"the executor made more than {given.policy.max_versions} reports in one attempt"
    error = system_error("TooManyPhaseVersions", message)
    verdict = Verdict(phase=Phase.PERMANENT_FAILURE, at=given.now, error=error, kill=True)
    return give_verdict(record, given.options, given.policy, verdict)


def _learn_of_start(
    record: Record, fact: NothingStarted | StartFailed | StartUnknown | JobsFound, given: _Given
) -> Record:
    match fact:
        case NothingStarted():
            return _nothing_started(record, fact, given)
        case StartFailed():
            return _start_failed(record, fact, given)
        case StartUnknown():
            return _start_unknown(record, fact, given)
        case JobsFound():
            return _found(record, fact, given)


def _nothing_started(record: Record, fact: NothingStarted, given: _Given) -> Record:
    failures = record.failures + 1
    delay = call_delay(given.policy, failures, record.uid) if fact.delay is None else max(fact.delay, 0.0)
    tried_before = record.intent is not None and record.intent.tries > 1
    if tried_before:
        # An earlier try of this attempt may have created something: this answer speaks for the last one alone.
        return _start_unknown(record, StartUnknown(fact.reason, is_outage=True, delay=fact.delay), given)
    record = msgspec.structs.replace(
        record,
        stage=Stage.ENDING if record.verdict is not None else Stage.READY,
        intent=None,
        created=False,
        failures=failures,
        started_at=0.0,
        not_before=given.now + delay,
    )
    if record.verdict is not None:
        return record
    return report(record, Phase.WAITING_FOR_RESOURCES, fact.reason, given.now)


def _start_failed(record: Record, fact: StartFailed, given: _Given) -> Record:
    if record.intent is not None and record.intent.tries > 1:
        # An earlier try may have been heard; what refuses this one does not undo it.
        return _start_unknown(record, StartUnknown(fact.message), given)
    record = msgspec.structs.replace(record, intent=None, created=False, stage=Stage.ENDING)
    error = ExecutionError(code=fact.code, message=fact.message, kind=fact.kind)
    phase = Phase.RETRYABLE_FAILURE if fact.retryable else Phase.PERMANENT_FAILURE
    verdict = Verdict(phase=phase, at=given.now, error=error, delay=fact.delay)
    return give_verdict(record, given.options, given.policy, verdict)


def _start_unknown(record: Record, fact: StartUnknown, given: _Given) -> Record:
    intent = record.intent
    failures, delay = _failures_and_delay(record, fact, given)
    reason = f"whether the job was started is not known yet: {fact.message}"
    if intent is None:
        # No effect: nothing can be lost, the call is simply made again.
        waiting = msgspec.structs.replace(record, failures=failures, not_before=given.now + delay)
        return _held_against(fact, report(waiting, record.phase, fact.message, given.now), given)
    intent = msgspec.structs.replace(intent, unknown_since=given.now, reason=fact.message)
    record = msgspec.structs.replace(record, intent=intent, failures=failures, not_before=given.now + delay)
    return _held_against(fact, report(record, record.phase, reason, given.now), given)


def _found(record: Record, fact: JobsFound, given: _Given) -> Record:
    intent = record.intent
    if intent is None:
        return record  # what was stored meanwhile has resolved it
    if fact.state is not None:
        stage = Stage.ENDING if record.verdict is not None else Stage.LIVE
        adopted = msgspec.structs.replace(
            record,
            stage=stage,
            intent=None,
            created=True,
            state=fact.state,
            state_version=fact.state_version,
            failures=0,
            not_before=0.0,
            next_check=given.now,
        )
        return report(adopted, record.phase, "found again by its key", given.now)
    settle = given.traits.start.settle if given.traits and isinstance(given.traits.start, Findable) else 0.0
    settled_at = intent.unknown_since + settle
    asked_at = given.now if fact.asked_at is None else fact.asked_at
    if asked_at < settled_at:
        pause = max(min(settled_at, given.now + max(settle / 4, 1.0)), given.now)
        return msgspec.structs.replace(record, failures=0, not_before=pause)
    stage = Stage.ENDING if record.verdict is not None else Stage.READY
    return msgspec.structs.replace(
        record,
        stage=stage,
        intent=None,
        created=False,
        failures=0,
        not_before=0.0,
        started_at=record.started_at,
    )


def _still_there(record: Record, fact: JobStillThere, given: _Given) -> Record:
    pace = given.policy.kill_pace if fact.check_after is None else max(fact.check_after, 0.0)
    return msgspec.structs.replace(
        record,
        state=record.state if fact.state is None else fact.state,
        state_version=record.state_version if fact.state is None else fact.state_version,
        failures=0,
        next_check=given.now + pace,
    )


def _call_failed(record: Record, fact: CallFailed, given: _Given) -> Record:
    failures, delay = _failures_and_delay(record, fact, given)
    later = given.now + delay
    starting = record.stage in {Stage.STARTING, Stage.READY}
    intent = record.intent
    if intent is not None and not intent.unknown_since:
        # A start whose answer cannot be used: something may have come of it.
        intent = msgspec.structs.replace(intent, unknown_since=given.now, reason=fact.message)
    record = msgspec.structs.replace(
        record,
        intent=intent,
        failures=failures,
        next_check=record.next_check if starting else later,
        not_before=later if starting else record.not_before,
    )
    if not record.phase.is_terminal:
        record = report(record, record.phase, fact.message, given.now)
    return _held_against(fact, record, given)


def _failures_and_delay(record: Record, fact: StartUnknown | CallFailed, given: _Given) -> tuple[int, float]:
    """Count a failed call, unless it says that nobody could be asked; and say when the next one is due."""
    failures = record.failures if fact.is_outage else record.failures + 1
    delay = call_delay(given.policy, max(failures, 1), record.uid) if fact.delay is None else max(fact.delay, 0.0)
    return failures, delay


def _held_against(fact: StartUnknown | CallFailed, record: Record, given: _Given) -> Record:
    return record if fact.is_outage else _maybe_quarantine(record, given)


def _maybe_quarantine(record: Record, given: _Given) -> Record:
    """Stop asking about an execution that only fails; one that is ending is asked for ever, at the longest pace."""
    if record.failures < given.policy.check_failures or record.verdict is not None or not given.calm:
        return record
    return _quarantined(record, f"{record.failures} calls failed in a row: {record.reason}", given)


def _quarantined(record: Record, why: str, given: _Given) -> Record:
    return report(msgspec.structs.replace(record, quarantine=why), record.phase, f"quarantined: {why}", given.now)


def _unreadable(record: Record, fact: StateUnreadable, given: _Given) -> Record:
    if fact.wait or record.verdict is not None:
        later = given.now + given.policy.backoff_cap
        waiting = msgspec.structs.replace(record, next_check=later)
        return waiting if record.phase.is_terminal else report(waiting, record.phase, fact.message, given.now)
    return _quarantined(record, fact.message, given)


def _children(record: Record, fact: ChildrenAtWork, given: _Given) -> Record:
    # Children wake their parent when they end; the slow look is the safety net.
    record = msgspec.structs.replace(record, children=fact.count, failures=0, next_check=given.now + 30.0)
    reason = fact.reason or f"{fact.done} of {fact.count} children are done"
    return record if record.verdict is not None else report(record, Phase.RUNNING, reason, given.now)


def _learn_of_cache(record: Record, fact: CacheHit | CacheMiss | CacheHeld | CacheStored, given: _Given) -> Record:
    match fact:
        case CacheHit():
            hit = msgspec.structs.replace(record, cache="hit", cache_key=fact.key)
            verdict = Verdict(phase=Phase.SUCCESS, at=given.now, output_uri=fact.output_uri)
            return give_verdict(hit, given.options, given.policy, verdict)
        case CacheMiss():
            return msgspec.structs.replace(record, cache=fact.status, cache_key=fact.key, not_before=0.0)
        case CacheHeld():
            waiting = msgspec.structs.replace(record, cache_key=fact.key, not_before=given.now + fact.retry_after)
            return report(waiting, Phase.WAITING_FOR_CACHE, f"{fact.owner} is making the same outputs", given.now)
        case CacheStored():
            return msgspec.structs.replace(record, cache=fact.status)
