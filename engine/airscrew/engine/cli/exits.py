"""
How a command ends: its exit code, and the one line that says why.

0 it worked · 1 the task failed · 2 the request cannot be done as it was asked · 3 the system failed · 130 killed by
Ctrl-C · 141 nobody reads its output any more · 143 told to stop.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView


class ExitCode(IntEnum):
    """What a command leaves to its caller."""

    OK = 0
    USER_FAILURE = 1
    USAGE = 2
    SYSTEM_FAILURE = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


_SYSTEM_CODES = frozenset({"unavailable", "failed"})


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code for an error that ends a command."""
    from airscrew.engine.api.model import ApiError
    from airscrew.idl.errors import UsageError
    from airscrew.state.errors import SchemaError, StoreFullError

    match error:
        case UsageError() | SchemaError() | StoreFullError():
            return ExitCode.USAGE
        case ApiError():
            return ExitCode.SYSTEM_FAILURE if error.code in _SYSTEM_CODES else ExitCode.USAGE
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case BrokenPipeError():
            return ExitCode.BROKEN_PIPE
        case _:
            return ExitCode.SYSTEM_FAILURE


def exit_code_of_execution(view: ExecutionView) -> ExitCode:
    """Return the exit code for an execution that is over or quarantined."""
    from airscrew.idl.errors import ErrorKind
    from airscrew.idl.phase import Phase

    if view.phase is Phase.SUCCESS:
        return ExitCode.OK
    if view.quarantined or (view.error is not None and view.error.kind is ErrorKind.SYSTEM):
        return ExitCode.SYSTEM_FAILURE
    return ExitCode.USER_FAILURE


def is_expected(error: BaseException) -> bool:
    """Tell whether an error speaks for itself; any other one is a defect, and its traceback is wanted."""
    from airscrew.engine.api.model import ApiError
    from airscrew.idl.errors import AirscrewError

    return isinstance(error, (AirscrewError, ApiError, OSError))


def one_line(error: BaseException) -> str:
    """Say an error in one line."""
    text = " ".join(str(error).split())
    if is_expected(error):
        return text or type(error).__name__
    return f"a defect of airscrew: {type(error).__name__}: {text}; AIRSCREW_DEBUG=1 shows where"


def leaf(error: BaseException) -> BaseException:
    """Return the first error of a group that has something to say, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
