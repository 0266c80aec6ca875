"""
What an executor raises to tell the engine what to do, and what the engine itself can run into.

``ExecutorError(AirscrewError)``
  ``RetryableError``        this attempt is over; try again when the budget of its kind allows, after ``delay``
  ``PermanentError``        the execution is over; no budget helps
  ``UnavailableError``      nobody can be asked at the moment: asked again after ``delay``, and held against nobody
``EngineError(AirscrewError)``
  ``UnknownTaskTypeError``      no executor takes the task type (a usage error)
  ``ConflictingExecutorsError`` several take it and none is the default (a start-up error that names the key to set)
  ``CorruptStateError``         custom state that no longer decodes: this execution alone is quarantined
  ``StateTooLargeError``        custom state over the limit

Only errors of ``start_task`` end an attempt. An error of ``check_task_status``, ``kill_task``, ``find`` or
``finalize``, whatever its class, never touches the job: the engine backs off, shows the reason, and after too many of
them quarantines the execution. An executor ends an attempt later by the phase that it returns.

``asyncio.TimeoutError``, a lost connection and every class not named here, out of ``start_task``: the outcome is
unknown, and is resolved by what the executor declares (``executor.declarations``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from airscrew.idl.errors import AirscrewError, ErrorKind, UsageError


class ExecutorError(AirscrewError):
    """The root of what an executor raises on purpose."""


class RetryableError(ExecutorError):
    """
    The attempt failed and certainly left nothing behind; another one may succeed.

    Attributes:
        delay: Seconds to wait before the next attempt at least; None for the engine's own back-off.
        code: A short stable word.
        kind: Whose failure it is: picks the budget.
    """

    def __init__(
        self,
        message: str,
        *,
        delay: float | None = None,
        code: str = "RetryableError",
        kind: ErrorKind = ErrorKind.SYSTEM,
    ) -> None:
        super().__init__(message)
        self.delay = delay
        self.code = code
        self.kind = kind


class PermanentError(ExecutorError):
    """
    The task can never run as it is; it certainly left nothing behind.

    Attributes:
        code: A short stable word, as ``BadTaskSpecification``.
        kind: Whose failure it is.
    """

    def __init__(self, message: str, *, code: str = "PermanentError", kind: ErrorKind = ErrorKind.USER) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


class UnavailableError(ExecutorError):
    """
    The outside system cannot be asked at the moment, whoever asks; raised by any call.

    The call is made again and the reason is shown, but it counts for no quarantine: an outage is not the fault of the
    executions that it meets. Out of ``start_task`` the outcome is unknown, as with any other error.

    Attributes:
        delay: Seconds until it is worth asking again; None for the engine's own back-off.
    """

    def __init__(self, message: str, *, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class EngineError(AirscrewError):
    """The root of the engine's own errors."""


class UnknownTaskTypeError(UsageError):
    """No executor takes the task type."""


class ConflictingExecutorsError(EngineError):
    """Several executors take a task type and the configuration names none."""


class CorruptStateError(EngineError):
    """Custom state that does not decode into its class."""


class StateTooLargeError(EngineError):
    """Custom state over the limit of a record."""


class DrainingError(EngineError):
    """The engine is shutting down and takes nothing new; submit again to the next one."""


class PluginCrashError(Exception):
    """An executor raised something that is not an ``Exception``."""


@contextmanager
def plugin_wall(what: str) -> Iterator[None]:
    """
    Turn what an executor should never raise (``SystemExit``, a stray ``CancelledError``) into an ``Exception``.

    Only the engine's own cancellation of the call passes, and the end of a coroutine that nobody awaits any more.
    """
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        raise PluginCrashError(f"{what} raised {type(error).__name__}") from error


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
