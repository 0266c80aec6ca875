"""
What an executor gives back.

A status is a full statement of how the attempt stands, not a change: the engine records it when it differs from the
last one, gives it the next phase version by itself, and persists the state in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase, TaskInfo

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

StateT = TypeVar("StateT")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OutputsAt:
    """
    Outputs lie below a location: ``error.pb`` before ``futures.pb`` before ``outputs.pb``.

    On a failure the engine reads ``error.pb`` there too, and what it says (kind, recoverable, code) wins over the
    status that the executor gave, whatever the exit code was.

    Attributes:
        prefix: The location, most often ``context.locations.output_prefix``.
        missing_is_success: Whether a job that wrote nothing and ended well has succeeded (``IgnoreOutputs``).
    """

    prefix: str
    missing_is_success: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus(Generic[StateT]):
    """
    How an attempt stands.

    Attributes:
        phase: Never UNDEFINED, NOT_READY, WAITING_FOR_CACHE or ABORTED: those are the engine's own.
        state: The executor's custom state, persisted before the next call is made with it.
        reason: One line for people: why it is in this phase.
        info: Log links, external resources, progress.
        check_after: Seconds until the next check at the latest; None for the executor's ``check_interval``.
        outputs: With SUCCESS: the literals, or where they lie. With a failure: where ``error.pb`` may lie.
        error: With a failure: why. Its ``kind`` picks the retry budget.
        cleanup: With a failure: the job is still there and has to be killed.
        delay: With RETRYABLE_FAILURE: seconds before the next attempt at least.
    """

    phase: Phase
    state: StateT
    reason: str = ""
    info: TaskInfo = field(default_factory=TaskInfo)
    check_after: float | None = None
    outputs: LiteralMap | OutputsAt | None = None
    error: ExecutionError | None = None
    cleanup: bool = False
    delay: float | None = None

    @staticmethod
    def waiting(state: T, reason: str) -> TaskStatus[T]:
        """Wait for resources outside: quota, capacity."""
        return TaskStatus(phase=Phase.WAITING_FOR_RESOURCES, state=state, reason=reason)

    @staticmethod
    def queued(state: T, reason: str = "") -> TaskStatus[T]:
        """Accepted by the outside system, not yet begun."""
        return TaskStatus(phase=Phase.QUEUED, state=state, reason=reason)

    @staticmethod
    def initializing(state: T, reason: str = "") -> TaskStatus[T]:
        """Being prepared: an image is pulled, a cluster comes up."""
        return TaskStatus(phase=Phase.INITIALIZING, state=state, reason=reason)

    @staticmethod
    def running(state: T, reason: str = "") -> TaskStatus[T]:
        """At work."""
        return TaskStatus(phase=Phase.RUNNING, state=state, reason=reason)

    @staticmethod
    def success(state: T, outputs: LiteralMap | OutputsAt | None = None) -> TaskStatus[T]:
        """Done, with its outputs; None for a task that declares none."""
        return TaskStatus(phase=Phase.SUCCESS, state=state, outputs=outputs)

    @staticmethod
    def retryable_failure(state: T, message: str, *, code: str, kind: ErrorKind = ErrorKind.USER) -> TaskStatus[T]:
        """Fail in a way that another attempt may mend; ``kind`` picks the budget that pays."""
        error = ExecutionError(code=code, message=message, kind=kind)
        return TaskStatus(phase=Phase.RETRYABLE_FAILURE, state=state, error=error, reason=message)

    @staticmethod
    def permanent_failure(state: T, message: str, *, code: str, kind: ErrorKind = ErrorKind.USER) -> TaskStatus[T]:
        """Fail for good."""
        error = ExecutionError(code=code, message=message, kind=kind)
        return TaskStatus(phase=Phase.PERMANENT_FAILURE, state=state, error=error, reason=message)

    def with_info(self, info: TaskInfo) -> TaskStatus[StateT]:
        """The same status with links, resources or progress."""
        return replace(self, info=info)

    def after(self, seconds: float) -> TaskStatus[StateT]:
        """The same status, checked next after so many seconds at the latest."""
        return replace(self, check_after=seconds)


@dataclass(frozen=True, slots=True)
class NotStarted:
    """
    Nothing was created, for certain: no quota, 429, connection refused, breaker open.

    The same attempt is started again after the delay; no budget is used, and the execution shows the reason.

    Attributes:
        reason: One line for people.
        delay: Seconds until the next try; None for the engine's own back-off.
    """

    reason: str
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The job and all that the attempt created are gone, or stay by policy with an expiry."""


@dataclass(frozen=True, slots=True)
class StillThere(Generic[StateT]):
    """
    The job was told to stop and is not gone yet; ``kill_task`` is called again.

    Attributes:
        state: The state for the next call; persisted.
        check_after: Seconds until then; None for the engine's own pace.
    """

    state: StateT
    check_after: float | None = None


@dataclass(frozen=True, slots=True)
class Found(Generic[StateT]):
    """
    Something outside that carries an attempt's key.

    Attributes:
        state: A state with which ``check_task_status`` and ``kill_task`` work on it.
        created_at: When it was created, Unix seconds, if known: the first is adopted.
    """

    state: StateT
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """
    What an installation let go of.

    Attributes:
        objects: How many there were.
        deleted: How many of them are gone now.
    """

    objects: int = 0
    deleted: int = 0
