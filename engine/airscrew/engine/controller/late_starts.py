"""
Word of a start that was on its way when its execution went to another engine.

What it may have made is in no record, and only this engine knows that there was a start: it tells the new owner, or
the ledger when the execution itself is gone by then. The one write of an engine about what is another's: it adds a
request, and changes nothing that is there. Word that comes when its execution is gone, or for an earlier one of the
same name, is never dropped: whoever takes it in makes it an entry of the ledger, for a person.
"""

from __future__ import annotations

import asyncio

from airscrew.engine.controller.live import Live
from airscrew.engine.machine import SWEEP, NothingStarted, StartFailed, Told, late_entry
from airscrew.idl.ids import ExecutionId, Uid, attempt_key
from airscrew.state import keys
from airscrew.state.errors import StoreFullError, StoreUnavailableError
from airscrew.state.records import NO_STATE, Record, Request, encode
from airscrew.state.store import ANY, Compare, Put, Store

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
    is_there = [Compare(keys.spec_key(live.execution), live.accepted or ANY)]
    word = Put(keys.request_key(live.execution, f"{SWEEP}-{asked.attempt}"), encode(request))
    note = late_note(live.execution, live.installation, request)
    while True:
        try:
            if not (await store.txn(is_there, [word])).succeeded:
                await store.txn([], [note])  # it is gone for good, though another may have its name
        except (StoreUnavailableError, StoreFullError):
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def late_note(execution: ExecutionId, installation: str, request: Request) -> Put:
    """Make word of a start an entry of the ledger: one without an execution is a leak, which a person clears."""
    key = attempt_key(installation, Uid(request.uid), request.attempt)
    return Put(keys.ledger_key(execution, key), encode(late_entry(request, str(execution))))
