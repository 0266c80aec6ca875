"""
Reading what executors gave back: from their answers and errors to facts. Pure.
"""

from __future__ import annotations

import msgspec
from typing_extensions import TypeIs

from airscrew.engine.controller.fitting import CODE_LIMIT, short_error
from airscrew.engine.controller.ports import Outcome
from airscrew.engine.errors import PermanentError, RetryableError, UnavailableError
from airscrew.engine.executor import AnyExecutor, AnyStatus, TaskStatus
from airscrew.engine.executor.erased import overrides
from airscrew.engine.machine import StartFailed, Told
from airscrew.idl.errors import shorten
from airscrew.idl.phase import Phase
from airscrew.state.records import Record

REASON_LIMIT = 1000

_OWN_PHASES = frozenset({Phase.UNDEFINED, Phase.NOT_READY, Phase.WAITING_FOR_CACHE, Phase.ABORTED})


def checked_status(answer: object, executor_id: str) -> AnyStatus:
    """
    Return what an executor gave back, when it is a status.

    Raises:
        TypeError: It is not, or its phase is one of the engine's own.
    """
    if not is_status(answer):
        raise TypeError(f"executor {executor_id} returned {type(answer).__name__} instead of a TaskStatus")
    if answer.phase in _OWN_PHASES:
        raise TypeError(f"executor {executor_id} reported {answer.phase.title}, which is the engine's own")
    return answer


def is_status(answer: object) -> TypeIs[AnyStatus]:
    """Tell whether an executor gave back a status."""
    return isinstance(answer, TaskStatus)


def with_outcome(told: Told, outcome: Outcome) -> Told:
    """Let what was found in storage complete, or overrule, what the executor told."""
    if outcome.error is not None:
        phase = Phase.RETRYABLE_FAILURE if outcome.recoverable else Phase.PERMANENT_FAILURE
        return replaced(told, phase=phase, error=short_error(outcome.error), deck_uri=outcome.deck_uri)
    if told.phase is not Phase.SUCCESS:
        return replaced(told, deck_uri=outcome.deck_uri)
    if outcome.plan_uri:
        return replaced(told, phase=Phase.RUNNING, plan_uri=outcome.plan_uri, deck_uri=outcome.deck_uri)
    return replaced(told, output_uri=outcome.output_uri, deck_uri=outcome.deck_uri)


def start_failed(error: RetryableError | PermanentError) -> StartFailed:
    """Make the fact of a start that an executor ended on purpose."""
    return StartFailed(
        retryable=isinstance(error, RetryableError),
        code=shorten(error.code, CODE_LIMIT),
        message=shorten(str(error)),
        kind=error.kind,
        delay=error.delay if isinstance(error, RetryableError) else None,
    )


def replaced(told: Told, **changes: object) -> Told:
    """Copy a fact with other values."""
    return msgspec.structs.replace(told, **changes)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong."""
    text = str(error).strip().splitlines()
    return shorten(f"{type(error).__name__}: {text[0]}" if text else type(error).__name__, REASON_LIMIT)


def without_recorded(states: list[object], recorded: object, executor: AnyExecutor, record: Record) -> list[object]:
    """
    Take the recorded job out of what was listed.

    When none is it: an executor that can tell its jobs apart has not listed it. Of one that cannot, the first that was
    created counts as it, as long as it is there.

    Raises:
        UnavailableError: It may be gone, or be one of those listed: that is known once its attempt is over.
    """
    same = next((state for state in states if executor.is_same_job(state, recorded)), None)
    if same is not None:
        return [state for state in states if state is not same]
    if overrides(executor, "is_same_job"):
        return states
    if states and record.verdict is not None:
        raise UnavailableError(f"which of {len(states)} jobs is recorded cannot be told before its attempt is over")
    return states[1:]
