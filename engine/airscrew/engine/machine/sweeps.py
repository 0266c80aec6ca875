"""
What becomes of a start that came late: made by an engine that had lost the execution by then. Pure.

That engine leaves a ``sweep`` request when it learns of its loss. What can be listed is looked for at once, and once
more when absence counts; what cannot be listed waits until its attempt is over: it is killed by the state that the
start answered, or doubted, for a person, when there was no answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from airscrew.engine.executor.declarations import AtMostOnce, Findable, Idempotent, StartDeclaration
from airscrew.engine.machine.actions import Action, Step, Sweep
from airscrew.engine.machine.view import View
from airscrew.state.records import Doubt, Record, Request, Stage

SWEEP = "sweep"
"""What an engine asks of the next owner when it lost a shard while a start was under way."""


def sweep_strays(view: View) -> Action | None:
    """
    Look for what a start may have made that came late.

    Not while a start is under way or unknown: what that made is in no record yet, and would be taken for a stray.
    """
    record = view.record
    if view.traits is None or record.stage is Stage.STARTING:
        return None
    for name, request in _sweeps(view):
        if request.uid != record.uid:
            continue  # of an earlier execution of that name: the ledger's, not this one's
        if not _may_have_made_more(view.traits.start, request):
            return Step(record, (name,))
        if _is_to_be_looked_for(view, request):
            return Sweep(name, request) if view.now >= record.not_before else None
        if _is_over(record, request):
            return Step(_doubted(record, request), (name,))
    return None


def count_late_start(view: View) -> Action | None:
    """
    Let absence count later when an unknown start may have been sent later than was thought.

    From when it was learned here, for its time is that of another engine, whose clock may be behind. The word stays:
    what the look that resolves the start finds may be another start's of that attempt, so it is looked once more then.
    """
    record, intent = view.record, view.record.intent
    if record.stage is not Stage.STARTING or intent is None or not intent.unknown_since or view.traits is None:
        return None
    if not isinstance(view.traits.start, Findable):
        return None
    own = ((name, one) for name, one in _sweeps(view) if one.uid == record.uid and one.attempt == record.attempt)
    since = max((max(view.learned.get(name, view.now), request.at) for name, request in own), default=0.0)
    if since <= intent.unknown_since:
        return None
    later = msgspec.structs.replace(intent, unknown_since=since)
    return Step(msgspec.structs.replace(record, intent=later))


def sweep_due_at(view: View) -> float | None:
    """Say when a look for what came late is due; None when none is."""
    own = (request for _, request in _sweeps(view) if request.uid == view.record.uid)
    waits = any(_is_to_be_looked_for(view, request) for request in own)
    return view.record.not_before if waits else None


def _is_to_be_looked_for(view: View, request: Request) -> bool:
    """
    Tell whether the engine can look for what came late.

    By its state only when its attempt is over: until then it may be the job of the attempt itself.
    """
    if view.traits is None:
        return False
    return isinstance(view.traits.start, Findable) or (request.has_state and _is_over(view.record, request))


def _is_over(record: Record, request: Request) -> bool:
    return record.attempt > request.attempt or record.stage is Stage.DONE


def _sweeps(view: View) -> Iterator[tuple[str, Request]]:
    return ((name, request) for name, request in view.requests.items() if request.what == SWEEP)


def _may_have_made_more(start: StartDeclaration, request: Request) -> bool:
    """Tell whether a late start can have made something beside what its attempt has."""
    match start:
        case Findable() | AtMostOnce():
            return True
        case Idempotent(window=window):
            return window is not None and request.at >= request.since + window
        case _:
            return False


def _doubted(record: Record, request: Request) -> Record:
    others = [doubt for doubt in record.doubts if doubt.attempt != request.attempt]
    doubt = Doubt(attempt=request.attempt, since=request.since)
    return msgspec.structs.replace(record, doubts=(*others, doubt))
