"""
Word of a start that was on its way when its execution went to another engine.

What it may have made is in no record, and only this engine knows that there was a start: it tells the new owner, or
the ledger when the execution itself is gone by then. The one write of an engine about what is another's: it adds a
request, and changes nothing else. Word that comes when its execution is gone, or for an earlier one of the same name,
is never dropped: whoever takes it in, or needs its place for word of a later one, makes it an entry of the ledger, for
a person.
"""

from __future__ import annotations

import asyncio

from airscrew.engine.controller.live import Live
from airscrew.engine.machine import SWEEP, NothingStarted, StartFailed, Told, late_entry
from airscrew.idl.ids import ExecutionId, Uid, attempt_key
from airscrew.state import keys
from airscrew.state.errors import StoreFullError, StoreUnavailableError
from airscrew.state.records import NO_STATE, Record, RecordError, Request, decode, encode
from airscrew.state.store import ANY, Compare, KeyValue, Operation, Put, Store

_RETRY_SECONDS = 1.0


async def tell_of_late_start(store: Store, live: Live, asked: Record, now: float) -> None:
    """
    Leave the request to look for what a start may have made; waits as long as the store is away or full.

    Args:
        store: Where.
        live: What was lost.
        asked: The record with which the start was made.
        now: When the loss was learned, in the engine's time: no request for a job was sent later.
    """
    if asked.intent is None or any(isinstance(fact, NothingStarted | StartFailed) for fact in live.facts):
        return  # certainly nothing was made
    told = [fact for fact in live.facts if isinstance(fact, Told) and fact.state is not None]
    request = Request(
        what=SWEEP,
        at=now,
        uid=live.options.uid,
        attempt=asked.attempt,
        since=asked.intent.written_at,
        executor=asked.executor,
        state=(told[-1].state or NO_STATE) if told else NO_STATE,
        state_version=told[-1].state_version if told else 0,
    )
    while True:
        try:
            if await _leave_word(store, live, request):
                return
        except (StoreUnavailableError, StoreFullError):
            await asyncio.sleep(_RETRY_SECONDS)


async def _leave_word(store: Store, live: Live, request: Request) -> bool:
    """Leave word for the owner, or in the ledger where the execution is gone; False when other word came meanwhile."""
    spec, place = keys.spec_key(live.execution), keys.request_key(live.execution, f"{SWEEP}-{request.attempt}")
    held = await store.get(place)
    compares = [Compare(spec, live.accepted or ANY), Compare(place, 0 if held is None else held.mod_revision)]
    operations: list[Operation] = [Put(place, encode(request))]
    if held is not None and (earlier := _word_of_another(held, request.uid)) is not None:
        operations.append(late_note(live.execution, live.installation, earlier))
    if (await store.txn(compares, operations)).succeeded:
        return True
    found = await store.get(spec)
    if found is not None and live.accepted in {0, found.mod_revision}:
        return False
    # It is gone for good, though another may have its name.
    return (await store.txn([], [late_note(live.execution, live.installation, request)])).succeeded


def _word_of_another(held: KeyValue, uid: str) -> Request | None:
    """Read what nobody has seen yet of an execution that had the name before: its place is taken now."""
    try:
        word = decode(held.value, Request)
    except RecordError:
        return None
    return word if word.uid != uid else None


def late_note(execution: ExecutionId, installation: str, request: Request) -> Put:
    """Make word of a start an entry of the ledger: one without an execution is a leak, which a person clears."""
    key = attempt_key(installation, Uid(request.uid), request.attempt)
    return Put(keys.ledger_key(execution, key), encode(late_entry(request, str(execution))))
