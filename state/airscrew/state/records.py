"""
What the store holds of an execution, and its JSON form.

Two parts. ``Options`` is written once at acceptance and never changes. ``Record`` is small, is read and written alone
by each step, and
stays legible: custom state is embedded as the JSON that it is. Both carry ``v``, the version of airscrew's schema
that wrote
them. Fields that a newer version wrote and this one does not know survive a rewrite.

Times are Unix seconds of the engine's time base, which never runs backwards.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from airscrew.idl.errors import AirscrewError, ErrorKind, ExecutionError
from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state.errors import TooLargeError

SCHEMA_VERSION = 1
"""What this version writes into ``v``; absent means 1."""

NO_STATE = msgspec.Raw()
NO_INFO = TaskInfo()

MAX_RECORD_BYTES = 64 * 1024
"""A larger record is refused: it is rewritten with every step."""

ATTEMPTS_KEPT = 20
"""Attempts that a record tells of; the oldest ones in the middle are dropped beyond it."""


class RecordError(AirscrewError):
    """A record that cannot be read; this execution alone is quarantined."""


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an execution uses the task cache."""

    version: str = ""
    serializable: bool = False
    ignore_inputs: tuple[str, ...] = ()
    max_age: float | None = None
    overwrite: bool = False


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The immutable part of an execution.

    Attributes:
        v: Schema version of the writer.
        uid: The execution's UID.
        digest: Of the request: the same name with another digest is refused.
        accepted_at: When it was accepted.
        template: The content hash of its template.
        wire: The template's wire form, ``flyte1`` or ``flyte2``.
        task_type: What it is dispatched by.
        task_name: For people.
        task_id: project, domain, name, version, org of the template.
        executor: The executor asked for; empty for the configured one.
        input_uri: Where its inputs lie; ``data:`` for small ones.
        outputs: Its declared outputs: a serialized v1 VariableMap.
        output_base: Where its files go.
        labels: As submitted.
        annotations: As submitted.
        environment: For the task's processes.
        overrides: Resources, image, config.
        service_account: The identity to run under.
        interruptible: Whether its attempts may be put on capacity that can be taken away.
        max_attempts: How many attempts failures of kind USER may take.
        timeouts: Seconds for ``queued``, ``pending``, ``attempt``, ``total``; absent or 0 without a limit.
        cache: How it uses the task cache; None when it does not.
        parent: ``namespace/name`` of the execution that it is part of.
        item: Its number within the parent.
        origin: The execution that it retries.
        depth: How many parents are above it.
    """

    v: int = 1
    uid: Uid
    digest: str
    accepted_at: float
    template: str
    wire: str = "flyte1"
    task_type: str
    task_name: str = ""
    task_id: dict[str, str] = {}
    executor: str = ""
    input_uri: str = ""
    outputs: bytes = b""
    output_base: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    environment: dict[str, str] = {}
    overrides: dict[str, Any] = {}
    service_account: str = ""
    interruptible: bool = False
    max_attempts: int = 1
    timeouts: dict[str, float] = {}
    cache: CacheOptions | None = None
    parent: str = ""
    item: int | None = None
    origin: str = ""
    depth: int = 0


class Stage(StrEnum):
    """
    Where the engine stands with an execution; what is to be done next follows from it.

    READY: the current attempt is to be started, not before ``not_before``. STARTING: its intent is written and the
    outcome is
    not. LIVE: its state is known; it is checked. CHILDREN: it made child executions and waits for them. ENDING: its
    verdict is written;
    what it created is going. DONE: nothing is left to do.
    """

    READY = "ready"
    STARTING = "starting"
    LIVE = "live"
    CHILDREN = "children"
    ENDING = "ending"
    DONE = "done"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A start that is about to be made, or whose outcome is unknown.

    Attributes:
        nonce: Random, of this try alone: who reads his own knows that nobody started since.
        written_at: When the first intent of this attempt was written.
        unknown_since: Since when the outcome counts as unknown; 0 while it does not.
        reason: Why it is unknown.
        tries: How many times a start was begun for this attempt.
    """

    nonce: str
    written_at: float
    unknown_since: float = 0.0
    reason: str = ""
    tries: int = 1


class Doubt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An attempt of which a start that came late may have left something that nobody can look for.

    Attributes:
        attempt: Which attempt.
        since: When its intent was written.
    """

    attempt: int
    since: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    How an attempt ended: final from the moment it is written.

    Attributes:
        phase: A terminal phase.
        at: When it was reached.
        error: Why, for a failure or an abort.
        output_uri: Where the outputs lie.
        deck_uri: Where its deck lies.
        kill: Whether the job has to be killed; else it ended by itself and is finalized.
        hidden: Whether it shows only when all is gone: aborted and timed out.
        retry: Whether another attempt follows.
        delay: Seconds before that one at least.
    """

    phase: Phase
    at: float
    error: ExecutionError | None = None
    output_uri: str = ""
    deck_uri: str = ""
    kill: bool = False
    hidden: bool = False
    retry: bool = False
    delay: float | None = None


class PastAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that is over."""

    attempt: int
    phase: Phase
    error: ExecutionError | None = None
    started_at: float = 0.0
    ended_at: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The mutable part of an execution.

    Attributes:
        v: Schema version of the writer.
        uid: The execution's UID; tells a record from one of an earlier execution of that name.
        write: Random, of this write alone: settles a write whose reply was lost.
        stage: Where the engine stands with it.
        phase: What is shown.
        version: Grows with each report within an attempt.
        reason: Why it is in this phase.
        since: Since when it is in this phase.
        info: What was told along with the phase.
        attempt: The current attempt, 0 for the first.
        started_at: When the current attempt was first begun; 0 before.
        running_at: When the current attempt was first seen running; 0 before.
        user_failures: Attempts that a failure of kind USER ended.
        system_failures: The same of kind SYSTEM.
        executor: The executor that has it; chosen at the first start.
        interruptible: Whether the current attempt is on capacity that can be taken away.
        intent: The start under way; None before it and after it is resolved.
        state: Custom state, as JSON; ``NO_STATE`` before the first one.
        state_version: The version of its class.
        created: Whether the current attempt has created something outside that is not known to be gone.
        not_before: When the next try of a start is due.
        next_check: When the next check, kill or look at children is due.
        failures: Calls that failed one after the other.
        verdict: How the current attempt ended.
        kill: Why it is to be killed; empty when it is not.
        kill_since: When the first kill was asked for.
        forced: Whether it became terminal with its entry open.
        quarantine: Why it is no longer asked about; empty in the normal case.
        cache: What the task cache said: ``hit``, ``miss``, ``populated``, ``skipped``, ``disabled``; empty before.
        cache_key: Its key there.
        children: How many child executions it has made.
        plan_uri: Where the plan of its children lies.
        error: Why it failed, once that shows.
        output_uri: Where its outputs lie.
        deck_uri: Where its deck lies.
        ended_at: When it became terminal; 0 before.
        attempts: Attempts that are over.
        doubts: What late starts of attempts may have left; each stays until a person has looked.
        extra: Fields of a newer version, kept as they are.
    """

    v: int = 1
    uid: Uid
    write: str = ""
    stage: Stage = Stage.READY
    phase: Phase = Phase.NOT_READY
    version: int = 0
    reason: str = ""
    since: float = 0.0
    info: TaskInfo = NO_INFO
    attempt: int = 0
    started_at: float = 0.0
    running_at: float = 0.0
    user_failures: int = 0
    system_failures: int = 0
    executor: str = ""
    interruptible: bool = False
    intent: Intent | None = None
    state: msgspec.Raw = NO_STATE
    state_version: int = 0
    created: bool = False
    not_before: float = 0.0
    next_check: float = 0.0
    failures: int = 0
    verdict: Verdict | None = None
    kill: str = ""
    kill_since: float = 0.0
    forced: bool = False
    quarantine: str = ""
    cache: str = ""
    cache_key: str = ""
    children: int = 0
    plan_uri: str = ""
    error: ExecutionError | None = None
    output_uri: str = ""
    deck_uri: str = ""
    ended_at: float = 0.0
    attempts: tuple[PastAttempt, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    extra: dict[str, msgspec.Raw] = {}


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
    """

    execution: str
    uid: Uid
    executor: str
    attempt: int
    state: LedgerState
    since: float
    note: str = ""


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
    attempt: int
    version: int
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
        state: What the start answered, with ``sweep``; ``NO_STATE`` when it did not.
        state_version: Of its class.
    """

    what: str
    reason: str = ""
    force: bool = False
    at: float = 0.0
    uid: str = ""
    attempt: int = 0
    since: float = 0.0
    state: msgspec.Raw = NO_STATE
    state_version: int = 0

    @property
    def has_state(self) -> bool:
        """Whether a custom state comes along."""
        return bool(bytes(self.state))


T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_record_decoder = msgspec.json.Decoder(Record)
_options_decoder = msgspec.json.Decoder(Options)
_fields = frozenset(Record.__struct_fields__)


def encode(value: msgspec.Struct) -> bytes:
    """Write options, a ledger entry, an event or a request as JSON."""
    return _encoder.encode(value)


def encode_record(record: Record) -> bytes:
    """
    Write a record as JSON.

    Raises:
        TooLargeError: It is over ``MAX_RECORD_BYTES``.
    """
    if record.extra:
        known = msgspec.json.decode(
            _encoder.encode(msgspec.structs.replace(record, extra={})), type=dict[str, msgspec.Raw]
        )
        data = _encoder.encode(known | record.extra)
    else:
        data = _encoder.encode(record)
    if len(data) > MAX_RECORD_BYTES:
        raise TooLargeError(f"the record of {record.uid} takes {len(data)} bytes; the limit is {MAX_RECORD_BYTES}")
    return data


def decode_record(data: bytes) -> Record:
    """
    Read a record; what a newer version wrote beyond it is kept in ``extra``.

    Raises:
        RecordError: It is not one.
    """
    try:
        record = _record_decoder.decode(data)
        if record.v <= SCHEMA_VERSION:
            return record
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"not a record: {error}") from error
    unknown = {name: msgspec.Raw(bytes(raw)) for name, raw in fields.items() if name not in _fields}
    return msgspec.structs.replace(record, extra=unknown)


def decode_options(data: bytes) -> Options:
    """
    Read options.

    Raises:
        RecordError: They are not.
    """
    try:
        return _options_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"not options: {error}") from error


def decode(data: bytes, kind: type[T]) -> T:
    """
    Read a ledger entry, an event or a request.

    Raises:
        RecordError: It is not one.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"not a {kind.__name__}: {error}") from error


def system_error(code: str, message: str) -> ExecutionError:
    """Make an error that the system has to answer for."""
    return ExecutionError(code=code, message=message, kind=ErrorKind.SYSTEM)


def user_error(code: str, message: str) -> ExecutionError:
    """Make an error that the user has to answer for."""
    return ExecutionError(code=code, message=message, kind=ErrorKind.USER)
