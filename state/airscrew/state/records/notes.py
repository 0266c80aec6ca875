"""
What lies beside a record: the ledger, events for the outbox, requests to the owner.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from airscrew.idl.errors import ExecutionError
from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state.records.record import NO_INFO, NO_STATE, Count


class LedgerState(StrEnum):
    """What is known of what an attempt created."""

    INTENT = "intent"
    KNOWN = "known"
    UNKNOWN = "unknown"


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One attempt that may have something outside.

    Attributes:
        execution: ``namespace/name``.
        uid: Its UID.
        executor: Who created it.
        attempt: Which attempt.
        state: What is known.
        since: When the intent was written.
        note: For people.
        tokens: What it has of a quota.
    """

    execution: str
    uid: Uid
    executor: str
    attempt: Count
    state: LedgerState
    since: float
    note: str = ""
    tokens: tuple[str, ...] = ()


class TokenHolder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who has a token of a quota.

    Attributes:
        execution: ``namespace/name``.
        key: The key of its attempt.
        project: Of its task.
    """

    execution: str
    key: AttemptKey
    project: str = ""


class PhaseEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One report of a phase, as sinks get it: at least once, in order within an execution.

    Attributes:
        id: The same for every delivery of this event: UID, attempt and version.
        execution: ``namespace/name``.
        uid: Its UID.
        task_type: Its task type.
        attempt: Which attempt.
        version: Grows with each report of the attempt.
        phase: The phase.
        reason: Why.
        occurred_at: When it happened.
        reported_at: When the engine recorded it.
        key: The attempt's key.
        executor: Who has it.
        info: What was told along with it.
        error: Why it failed.
        output_uri: Where its outputs lie.
    """

    id: str
    execution: str
    uid: Uid
    task_type: str
    attempt: Count
    version: Count
    phase: Phase
    reason: str = ""
    occurred_at: float
    reported_at: float
    key: AttemptKey
    executor: str = ""
    info: TaskInfo = NO_INFO
    error: ExecutionError | None = None
    output_uri: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What somebody asks of the owner of an execution.

    Attributes:
        what: ``submit``, ``kill``, ``retry``, ``clear``, ``child`` or ``sweep``.
        reason: For people.
        force: Whether to go on without confirmation.
        at: When it was asked.
        uid: Of the execution, with ``submit`` and ``sweep``.
        attempt: Which attempt, with ``sweep`` and ``clear``.
        since: When the intent of the start was written, with ``sweep``.
        executor: Who was to start it, with ``sweep``.
        state: What the start answered, with ``sweep``; ``NO_STATE`` when it did not.
        state_version: Of its class.
    """

    what: str
    reason: str = ""
    force: bool = False
    at: float = 0.0
    uid: str = ""
    attempt: Count = 0
    since: float = 0.0
    executor: str = ""
    state: msgspec.Raw = NO_STATE
    state_version: Count = 0

    @property
    def has_state(self) -> bool:
        """Whether a custom state comes along."""
        return bool(bytes(self.state))
