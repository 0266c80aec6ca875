"""
What the controller counts: how long calls and turns took, and where the time of executions goes.

Guarantees: the parts of an execution's time add up to the time that it was under control, and, of one that this engine
accepted, to its whole life; waiting for people (quarantine) and for children is nobody's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from airscrew.engine.clock import Clock
from airscrew.engine.controller.live import Live
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import NotStarted
from airscrew.engine.metrics import Meters
from airscrew.engine.metrics.names import CALL_ERRORS, CALL_SECONDS, ENDED, TIME, TURN_SECONDS
from airscrew.idl.phase import Phase
from airscrew.state.records import Record, Stage

T = TypeVar("T")

CALLS: Mapping[str, str] = {
    "resource_requirements": "needs",
    "start_task": "start",
    "check_task_status": "check",
    "kill_task": "kill",
    "find": "find",
    "finalize": "finalize",
}
"""What a method is called in metrics."""


async def counted(
    meters: Meters, clock: Clock, live: Live, executor_id: str, method: str, answer: Awaitable[object]
) -> object:
    """
    Wait for an executor's answer; count how long it took, and what became of it.

    Raises:
        Exception: Whatever the call raised.
    """
    call, began = CALLS[method], clock.monotonic()
    try:
        given = await answer
    except Exception as error:
        meters.count(CALL_ERRORS, executor_id, call, _kind(error))
        raise
    finally:
        seconds = clock.monotonic() - began
        live.in_calls += seconds
        meters.observe(CALL_SECONDS, seconds, executor_id, call)
    if isinstance(given, NotStarted):
        meters.count(CALL_ERRORS, executor_id, call, "not_started")
    return given


def _kind(error: Exception) -> str:
    return error.kind.value.lower() if isinstance(error, RetryableError | PermanentError) else "unknown"


def part_of(record: Record, outside: str) -> str:
    """Say whose the time is in which an execution stands as its record says; empty for nobody's."""
    if record.quarantine:
        return ""
    match record.stage:
        case Stage.READY:
            return "engine"
        case Stage.LIVE if record.phase is Phase.RUNNING:
            return "user"
        case Stage.STARTING | Stage.LIVE | Stage.ENDING:
            return outside
        case Stage.CHILDREN | Stage.DONE:
            return ""


@dataclass(slots=True)
class Account:
    """
    The account of one turn.

    Attributes:
        live: With which execution.
        began: When, in the engine's time.
        was_over: Whether the execution was over then.
    """

    live: Live
    began: float
    was_over: bool


def begin_turn(meters: Meters, live: Live, now: float) -> Account:
    """Account for the time until a turn."""
    since = live.counted_to or (now if live.stored is not None else live.options.accepted_at)
    part = part_of(live.record, live.outside)
    if part and now > since:
        meters.count(TIME, part, amount=now - since)
    live.in_calls = 0.0
    return Account(live, now, bool(live.record.ended_at))


def end_turn(meters: Meters, account: Account, now: float) -> None:
    """Account for a turn that came to its end."""
    live, record = account.live, account.live.record
    in_calls = min(live.in_calls, max(now - account.began, 0.0))
    if in_calls:
        meters.count(TIME, live.outside, amount=in_calls)
    meters.observe(TURN_SECONDS, now - account.began)
    meters.count(TIME, "engine", amount=max(now - account.began - in_calls, 0.0))
    live.counted_to = now
    if record.ended_at and not account.was_over:
        kind = record.error.kind.value.lower() if record.error is not None else ""
        meters.count(ENDED, record.executor, record.phase.title, kind)
