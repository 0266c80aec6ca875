"""
Word of a start that was on its way when its execution went to another engine.

What it may have made is in no record, and only this engine knows that there was a start: it tells the new owner, or
the ledger when the execution itself is gone by then. The one write of an engine about what is another's: it adds a
request, and changes nothing that is there.
"""

from __future__ import annotations

import asyncio

from airscrew.engine.controller.live import Live
from airscrew.engine.machine import SWEEP, NothingStarted, StartFailed, Told, doubted_entry
from airscrew.state import keys
from airscrew.state.errors import StoreFullError, StoreUnavailableError
from airscrew.state.records import NO_STATE, Doubt, Record, Request, encode
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
    since = asked.intent.written_at
    told = [fact for fact in live.facts if isinstance(fact, Told) and fact.state is not None]
    request = Request(
        what=SWEEP,
        at=now,
        uid=live.options.uid,
        attempt=asked.attempt,
        since=since,
        state=(told[-1].state or NO_STATE) if told else NO_STATE,
        state_version=told[-1].state_version if told else 0,
    )
    entry = doubted_entry(asked, Doubt(attempt=asked.attempt, since=since), str(live.execution))
    is_there = [Compare(keys.spec_key(live.execution), ANY)]
    word = Put(keys.request_key(live.execution, f"{SWEEP}-{asked.attempt}"), encode(request))
    # A ledger entry without an execution is shown as a leak, and cleared by a person.
    is_gone = [Compare(keys.spec_key(live.execution), 0)]
    note = Put(keys.ledger_key(live.execution, live.key_of(asked)), encode(entry))
    while True:
        try:
            for compares, put in ((is_there, word), (is_gone, note)):
                if (await store.txn(compares, [put])).succeeded:
                    return
        except (StoreUnavailableError, StoreFullError):
            await asyncio.sleep(_RETRY_SECONDS)
