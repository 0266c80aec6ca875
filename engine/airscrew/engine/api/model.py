"""
What is asked of an engine and what it answers, as plain data.

All values are JSON-encodable with ``msgspec.json`` as they are; that JSON is what ``-o json`` prints, so fields only
come, never go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from airscrew.idl.errors import ExecutionError, in_a_line
from airscrew.idl.phase import Phase, TaskInfo


class SubmitRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One request to run one template.

    Attributes:
        namespace: Of the execution.
        name: Of the execution; empty to have one made from the template's name.
        template: The core TaskTemplate in its own wire form.
        wire: ``flyte1`` or ``flyte2``.
        inputs: A LiteralMap (v1) or Inputs (v2) as bytes; empty with ``input_uri`` or for no inputs.
        input_uri: Where the inputs lie instead.
        labels: For finding it again, ``key=value``; copied to all objects created.
        annotations: Copied to all objects created.
        environment: Variables for the task's processes; no secrets.
        executor: The id of the executor to use, over the configured one.
        overrides: ``resources``, ``container_image``, ``config``...
        service_account: The identity to run under.
        interruptible: Over the template's own.
        max_attempts: Over the template's own; None for the template's.
        timeouts: Seconds for ``queued``, ``pending``, ``attempt``, ``total``; over the defaults.
        cache_overwrite: Run even on a cache hit, and replace the entry.
        cache_skip: Neither read nor write the task cache.
        output_prefix: Where outputs go, over the engine's default.
        parent: ``namespace/name`` of the execution that this one is part of.
        item: Its number within the parent.
        origin: ``namespace/name`` of the execution that this one retries.
    """

    namespace: str = "default"
    name: str = ""
    template: bytes
    wire: str = "flyte1"
    inputs: bytes = b""
    input_uri: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    environment: dict[str, str] = {}
    executor: str = ""
    overrides: dict[str, Any] = {}
    service_account: str = ""
    interruptible: bool | None = None
    max_attempts: int | None = None
    timeouts: dict[str, float] = {}
    cache_overwrite: bool = False
    cache_skip: bool = False
    output_prefix: str = ""
    parent: str = ""
    item: int | None = None
    origin: str = ""


class SubmitReply(msgspec.Struct, frozen=True, kw_only=True):
    """
    The accepted execution.

    Attributes:
        execution: ``namespace/name``.
        uid: Its UID.
        created: False when the same request had been accepted before.
    """

    execution: str
    uid: str
    created: bool = True


class AttemptView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that is over: its number, how it ended, and when."""

    attempt: int
    phase: Phase
    error: ExecutionError | None = None
    started_at: float = 0.0
    ended_at: float = 0.0


class ExecutionView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An execution as it is shown.

    Attributes:
        execution: ``namespace/name``.
        uid: Its UID.
        task_type: The template's type.
        task_name: The template's name.
        executor: The executor that runs it; empty before it is dispatched.
        phase: Where it stands.
        phase_version: Grows with each report within a phase.
        reason: Why it stands there, in one line.
        since: When it came to this phase, Unix seconds.
        attempt: The current attempt, 0 for the first.
        max_attempts: How many it may take.
        key: The current attempt's key.
        info: Log links, external resources, progress.
        custom_state: The executor's own state, as stored.
        error: Why it failed.
        output_uri: Where its outputs lie; a ``data:`` URI for small ones.
        output_prefix: Where deck, error document and saved log of the last attempt lie.
        deck_uri: Its deck, if it made one.
        quarantined: Why the engine no longer asks about it; empty in the normal case.
        next_try_at: When the engine was to look at it next as of its last change, Unix seconds; 0 when it is over.
        cache_status: ``hit``, ``populated``, ``miss``, ``skipped``, ``disabled`` or empty.
        labels: As submitted.
        parent: The execution that it is part of.
        origin: The execution that it retries.
        accepted_at: Unix seconds.
        started_at: When its current attempt was first asked for.
        ended_at: When it became terminal; 0 before.
        attempts: Attempts that are over.
        ledger: What may still lie outside: keys of open ledger entries.
    """

    execution: str
    uid: str
    task_type: str
    task_name: str = ""
    executor: str = ""
    phase: Phase
    phase_version: int = 0
    reason: str = ""
    since: float = 0.0
    attempt: int = 0
    max_attempts: int = 1
    key: str = ""
    info: TaskInfo = msgspec.field(default_factory=TaskInfo)
    custom_state: Any = None
    error: ExecutionError | None = None
    output_uri: str = ""
    output_prefix: str = ""
    deck_uri: str = ""
    quarantined: str = ""
    next_try_at: float = 0.0
    cache_status: str = ""
    labels: dict[str, str] = {}
    parent: str = ""
    origin: str = ""
    accepted_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    attempts: list[AttemptView] = []
    ledger: list[str] = []

    @property
    def is_over(self) -> bool:
        """Whether it is terminal."""
        return self.phase.is_terminal and self.ended_at > 0


class ListRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Which executions, a page at a time.

    Attributes:
        namespace: Only this one; empty for all.
        labels: Only those that carry all of these.
        phases: Only those in one of these; empty for all.
        active: Only those that are not over.
        limit: How many at most.
        page_token: From the page before.
    """

    namespace: str = ""
    labels: dict[str, str] = {}
    phases: list[Phase] = []
    active: bool = False
    limit: int = 100
    page_token: str = ""


class ListReply(msgspec.Struct, frozen=True, kw_only=True):
    """A page of executions; an empty ``next_page_token`` ends it."""

    executions: list[ExecutionView]
    next_page_token: str = ""


class OutputsView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Inputs and outputs of an execution, as bytes in the template's wire form, and as JSON by the declared types.

    Attributes:
        wire: ``flyte1`` or ``flyte2``.
        inputs: A LiteralMap or Inputs.
        outputs: A LiteralMap or Outputs; empty before success.
        values: The outputs as plain JSON, by name.
        types: The outputs' declared types in readable form, by name.
    """

    wire: str = "flyte1"
    inputs: bytes = b""
    outputs: bytes = b""
    values: dict[str, Any] = {}
    types: dict[str, str] = {}


class LogChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an attempt's log, in order."""

    data: bytes
    attempt: int = 0


class LeakView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A ledger entry that is not struck off: something may still lie outside.

    Attributes:
        key: The attempt's key.
        execution: Whose it is.
        executor: Who created it.
        attempt: Which attempt.
        state: ``intent``, ``known`` or ``unknown``.
        since: When the intent was written, Unix seconds.
        note: What the engine does about it.
    """

    key: str
    execution: str
    executor: str
    attempt: int
    state: str
    since: float
    note: str = ""


class ExecutorView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An installed executor.

    Attributes:
        id: Its name.
        task_types: What it takes.
        origin: The entry point or ``registered``.
        version: Of the distribution that it comes from.
        enabled: Whether it is used.
        problem: Why it could not be loaded or initialised, in one line; else empty.
        start: Its start declaration.
        breaker: Why it is held back at the moment; else empty.
        live: How many executions it has live now.
    """

    id: str
    task_types: list[str] = []
    origin: str = ""
    version: str = ""
    enabled: bool = True
    problem: str = ""
    start: str = ""
    breaker: str = ""
    live: int = 0


class LoadView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What came of an installed executor when an engine looked for new ones.

    Attributes:
        id: Its name.
        outcome: ``loaded``, ``there`` (as it was before), ``restart`` (another version is installed than the engine
            has), ``disabled`` or ``failed``.
        version: The version that the engine has from now on; empty when it has none.
        installed: The version that is installed.
        task_types: What it takes.
        reason: Why it is not served, in one line; else empty.
    """

    id: str
    outcome: str
    version: str = ""
    installed: str = ""
    task_types: list[str] = []
    reason: str = ""


class LoadReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What came of looking for new executors.

    Attributes:
        executors: Every installed one.
        member: The engine that has them now, where several share a store: each loads its own. Else empty.
    """

    executors: list[LoadView] = []
    member: str = ""


class QuotaView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A quota, or a share of it.

    Attributes:
        pool: Its name.
        scope: Of which share: ``namespace team-a``; empty for the whole.
        limit: How many units there are; None for what is not limited any more.
        used: How many are taken.
        waiting: How many executions wait for some.
        oldest_wait_since: Since when the first of them does, Unix seconds; 0 when none does.
    """

    pool: str
    scope: str = ""
    limit: int | None = None
    used: int = 0
    waiting: int = 0
    oldest_wait_since: float = 0.0


class ApiError(Exception):
    """
    A request that was refused.

    Attributes:
        code: ``not_found``, ``already_exists``, ``invalid``, ``unavailable``, ``full``, ``denied`` or ``failed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(in_a_line(message))
        self.code = code
