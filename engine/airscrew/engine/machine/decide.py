"""
What is to be done next: one pure function over a view, made of one small function a rule.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent
from airscrew.engine.machine.actions import (
    Action,
    AskNeeds,
    Begin,
    CacheLookup,
    CachePut,
    Check,
    Finalize,
    FindJobs,
    KillChildren,
    KillJob,
    Start,
    Step,
    TendChildren,
    Wait,
)
from airscrew.engine.machine.budget import deadlines
from airscrew.engine.machine.ending import (
    abort_error,
    conclude,
    end_instead,
    give_verdict,
    show_at_last,
    show_verdict,
)
from airscrew.engine.machine.report import report
from airscrew.engine.machine.sweeps import SWEEP, count_late_start, sweep_due_at, sweep_strays
from airscrew.engine.machine.view import View
from airscrew.idl.errors import ErrorKind, ExecutionError, shorten
from airscrew.idl.phase import Phase
from airscrew.state.records import Intent, Options, Record, Request, Stage, Verdict, system_error

REASON_LIMIT = 1000

Rule = Callable[[View], Action | None]


def next_action(view: View) -> Action:
    """
    Say what is to be done next.

    Called again after each step and each call; ends with ``Wait``. Pure: the same view gives the same action.
    """
    for rule in _RULES:
        action = rule(view)
        if action is not None:
            return action
    return _BY_STAGE[view.record.stage](view)


def _take_in_requests(view: View) -> Action | None:
    for name, request in view.requests.items():
        record = view.record
        if request.what == SWEEP:
            continue
        match request.what:
            case "kill" if record.stage is not Stage.DONE:
                record = _killed(view, request)
            case "retry" if record.quarantine:
                record = msgspec.structs.replace(record, quarantine="", failures=0, next_check=view.now, not_before=0.0)
                record = report(record, record.phase, "taken out of quarantine", view.now)
            case "clear":
                record = _cleared(view, request)
            case "child" if record.stage is Stage.CHILDREN:
                record = msgspec.structs.replace(record, next_check=view.now)
            case _:
                pass
        return Step(record, (name,))
    return None


def _cleared(view: View, request: Request) -> Record:
    """Take a person's word that nothing is left of an attempt."""
    record = view.record
    doubts = tuple(doubt for doubt in record.doubts if doubt.attempt != request.attempt)
    if doubts != record.doubts:
        record = msgspec.structs.replace(record, doubts=doubts)
    if request.attempt != record.attempt:
        return record
    if record.stage is Stage.DONE:
        return msgspec.structs.replace(record, intent=None, created=False)
    if record.stage is Stage.STARTING and record.ended_at:
        return conclude(record, view.options, view.policy, view.now)
    return record


def _killed(view: View, request: Request) -> Record:
    reason = shorten(request.reason, REASON_LIMIT) or "killed"
    record = msgspec.structs.replace(
        view.record, kill=view.record.kill or reason, kill_since=view.record.kill_since or view.now
    )
    verdict = Verdict(phase=Phase.ABORTED, at=view.now, error=abort_error(reason), kill=True, hidden=True)
    record = give_verdict(record, view.options, view.policy, verdict)
    if request.force and not record.ended_at:
        return _forced(record, view.now)
    return record


def _forced(record: Record, now: float) -> Record:
    """Make an execution terminal although something of it may be left: its entry stays open, its kill goes on."""
    verdict = record.verdict
    assert verdict is not None
    if verdict.retry:
        record = end_instead(record, now)
    return msgspec.structs.replace(show_at_last(record, now), forced=True)


def _enforce_deadlines(view: View) -> Action | None:
    record = view.record
    if record.stage is Stage.DONE:
        return None
    running = deadlines(record, view.options)
    if not running or running[0].at > view.now:
        return None
    name, seconds = running[0].name, running[0].seconds
    phase, kind, code = _DEADLINE_VERDICTS[name]
    message = f"the {name} deadline of {seconds:g} s has passed (last: {record.phase.title} {record.reason})".strip()
    error = ExecutionError(code=code, message=message, kind=kind)
    verdict = Verdict(phase=phase, at=view.now, error=error, kill=True, hidden=True)
    return Step(give_verdict(record, view.options, view.policy, verdict))


_DEADLINE_VERDICTS = {
    "queued": (Phase.PERMANENT_FAILURE, ErrorKind.SYSTEM, "QueuedTimeout"),
    "pending": (Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM, "PendingTimeout"),
    "attempt": (Phase.RETRYABLE_FAILURE, ErrorKind.USER, "TimeoutExpired"),
    "total": (Phase.PERMANENT_FAILURE, ErrorKind.USER, "DeadlineExceeded"),
}


def _give_up_waiting_for_a_kill(view: View) -> Action | None:
    """Show what was hidden when the kill is not confirmed for too long; the engine keeps killing."""
    record, verdict = view.record, view.record.verdict
    if verdict is None or record.ended_at or not verdict.hidden or record.stage is Stage.DONE:
        return None
    if view.now < verdict.at + view.policy.kill_deadline:
        return None
    return Step(_forced(record, view.now))


def _resolve_unknown_start(view: View) -> Action | None:
    record, intent, traits = view.record, view.record.intent, view.traits
    if record.stage is not Stage.STARTING or intent is None:
        return None
    if view.fresh and not intent.unknown_since:
        return _first_call(view, intent)
    if not intent.unknown_since:
        intent = msgspec.structs.replace(
            intent, unknown_since=view.now, reason="the engine stopped while the start was under way"
        )
        return Step(msgspec.structs.replace(record, intent=intent))
    if record.quarantine or traits is None:
        return _wait(view, None)
    if view.now < record.not_before:
        return _wait(view, record.not_before)
    if _is_made_again(view) or _key_is_kept(view, intent):
        return Begin()
    match traits.start:
        case Findable():
            return FindJobs()
        case Idempotent() | AtMostOnce():
            return _lost(view, intent)
        case _:
            return Start()


def _first_call(view: View, intent: Intent) -> Action:
    """Make the call that the intent announces, unless it may not be made any more: its write can take long."""
    if intent.tries == 1:
        if view.record.verdict is None:
            return Start()
        return Step(msgspec.structs.replace(view.record, intent=None, created=False, stage=Stage.ENDING))
    # An earlier try may have been heard: it is resolved before the end goes on.
    if _is_made_again(view) or _key_is_kept(view, intent):
        return Start()
    unknown = msgspec.structs.replace(intent, unknown_since=view.now, reason="an earlier try may have been heard")
    return Step(msgspec.structs.replace(view.record, intent=unknown))


def _is_made_again(view: View) -> bool:
    """Tell whether the operator wants an unknown start of this type to be made again, whatever comes of it."""
    return view.options.task_type in view.policy.unknown_start_again and view.record.verdict is None


def _key_is_kept(view: View, intent: Intent) -> bool:
    """Tell whether the provider still knows the key of an earlier try."""
    start = view.traits.start if view.traits is not None else None
    return isinstance(start, Idempotent) and (start.window is None or view.now < intent.written_at + start.window)


def _lost(view: View, intent: Intent) -> Action:
    """Give up on a start of which nothing can be told; its ledger entry stays until a person clears it."""
    record, verdict = view.record, view.record.verdict
    if verdict is None or (verdict.retry and not record.kill):
        error = system_error("StartOutcomeUnknown", f"whether the job was started is not known: {intent.reason}")
        lost = Verdict(phase=Phase.PERMANENT_FAILURE, at=view.now, error=error)
        unjudged = msgspec.structs.replace(record, verdict=None)
        return Step(give_verdict(unjudged, view.options, view.policy, lost))
    if _has_cache_duty(view.options, record, verdict):
        return CachePut()
    done = conclude(record, view.options, view.policy, view.now)
    return Step(msgspec.structs.replace(done, stage=Stage.DONE, intent=intent))


def _stay_in_quarantine(view: View) -> Action | None:
    if not view.record.quarantine or view.record.verdict is not None:
        return None
    return _wait(view, None)


_WORTH_A_LOOK = frozenset({Phase.WAITING_FOR_CACHE, Phase.WAITING_FOR_RESOURCES})
"""Whoever waits for what others have is told when it is free, and need not wait for its own next try."""


def _ready(view: View) -> Action:
    record, traits = view.record, view.traits
    if is_backing_off(record, woken=view.woken, now=view.now):
        return _wait(view, record.not_before)
    if traits is None:
        return _wait_showing(view, Phase.QUEUED, view.absent)
    if view.options.cache is not None and not record.cache and traits.uses_cache:
        return CacheLookup()
    if view.asks_needs:
        return AskNeeds()
    if view.gate:
        return _held_back(view)
    return Begin() if traits.has_effect or view.tokens else Start()


def is_backing_off(record: Record, *, woken: bool, now: float) -> bool:
    """Tell whether the next try of a start is not due yet."""
    return now < record.not_before and not (woken and record.phase in _WORTH_A_LOOK)


def _held_back(view: View) -> Action:
    """Show why no start is let through, and keep the place in the line."""
    shown = report(view.record, Phase.WAITING_FOR_RESOURCES, view.gate, view.now)
    if shown.waits != view.place:
        shown = msgspec.structs.replace(shown, waits=view.place)
    return _wait(view, view.opens_at) if shown is view.record else Step(shown)


def _wait_showing(view: View, phase: Phase, reason: str) -> Action:
    shown = report(view.record, phase, reason, view.now)
    return _wait(view, None) if shown is view.record else Step(shown)


def _live(view: View) -> Action:
    record = view.record
    if view.traits is None:
        return _wait_showing(view, record.phase, view.absent)
    if view.woken or view.now >= record.next_check:
        return Check()
    return _wait(view, record.next_check)


def _children(view: View) -> Action:
    if view.woken or view.now >= view.record.next_check:
        return TendChildren()
    return _wait(view, view.record.next_check)


def _ending(view: View) -> Action:
    record, verdict, traits = view.record, view.record.verdict, view.traits
    assert verdict is not None
    if _has_cache_duty(view.options, record, verdict):
        return CachePut()
    if record.plan_uri and verdict.phase is not Phase.SUCCESS:
        return KillChildren(_kill_reason(record)) if _due(view) else _wait(view, record.next_check)
    # An executor that is not there now may have something to finalize when it is back.
    finalizes = record.created and (traits is None or traits.finalizes)
    if not (verdict.kill and record.created) and not finalizes:
        return Step(_over(view, record, verdict))
    if traits is None or not _due(view):
        return _wait(view, record.next_check or None)
    return KillJob(_kill_reason(record)) if verdict.kill else Finalize()


def _has_cache_duty(options: Options, record: Record, verdict: Verdict) -> bool:
    """Tell whether outputs are to be put into the task cache, or a reservation there is to be released."""
    if record.cache != "miss" or not record.cache_key or options.cache is None:
        return False
    goes_on = verdict.retry and not record.kill
    return verdict.phase is Phase.SUCCESS or (options.cache.serializable and not goes_on)


def _over(view: View, record: Record, verdict: Verdict) -> Record:
    """Go on from an attempt of which nothing is left; what was hidden is shown as a report of its own."""
    if verdict.hidden and verdict.retry and not record.kill and not record.phase.is_terminal:
        return show_verdict(record, view.now)
    return conclude(record, view.options, view.policy, view.now)


def _due(view: View) -> bool:
    return view.woken or view.now >= view.record.next_check


def _kill_reason(record: Record) -> str:
    verdict = record.verdict
    return verdict.error.message if verdict is not None and verdict.error else "cleanup"


def _done(view: View) -> Action:
    return Wait(sweep_due_at(view))


def _starting(view: View) -> Action:
    raise AssertionError(f"{view.record.uid} is starting without an intent")


def _wait(view: View, until: float | None) -> Wait:
    """Wait, but never beyond a deadline or the end of patience with a kill."""
    times = [deadline.at for deadline in deadlines(view.record, view.options)[:1]]
    verdict = view.record.verdict
    if verdict is not None and verdict.hidden and not view.record.ended_at:
        times.append(verdict.at + view.policy.kill_deadline)
    if until is not None:
        times.append(until)
    sweep_at = sweep_due_at(view)
    if sweep_at is not None and sweep_at > view.now:
        times.append(sweep_at)
    return Wait(min(times) if times else None)


_RULES: tuple[Rule, ...] = (
    _take_in_requests,
    _enforce_deadlines,
    _give_up_waiting_for_a_kill,
    count_late_start,
    _resolve_unknown_start,
    sweep_strays,
    _stay_in_quarantine,
)

_BY_STAGE: dict[Stage, Callable[[View], Action]] = {
    Stage.READY: _ready,
    Stage.STARTING: _starting,
    Stage.LIVE: _live,
    Stage.CHILDREN: _children,
    Stage.ENDING: _ending,
    Stage.DONE: _done,
}
