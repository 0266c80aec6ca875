"""
What an error of a request means: for the provider's breaker, and for the start that made it. Pure.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus

from airscrew.engine.errors import ExecutorError, PermanentError, RetryableError
from airscrew.engine.executor import AtMostOnce, NotStarted, StartDeclaration
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.webapi.errors import (
    DeniedError,
    ProviderError,
    RefusedError,
    ThrottledError,
    UnclearError,
    UnreachableError,
)

_UNCLEAR = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})
_NOT_NOW = frozenset({HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Trouble(Enum):
    """What happened to a request."""

    UNREACHABLE = "certainly nothing arrived"
    UNCLEAR = "nobody knows what came of it"
    THROTTLED = "nothing was done for now"
    DENIED = "nothing was done for lack of rights"
    REFUSED = "nothing was done, for good"
    OURS = "the plugin failed, the provider is not to blame"

    @property
    def is_outage(self) -> bool:
        """Whether it speaks for the provider being down."""
        return self in {Trouble.UNREACHABLE, Trouble.UNCLEAR}


def trouble_of(error: BaseException) -> Trouble:
    """Say what an error of a request means."""
    match error:
        case ConnectionRefusedError() | UnreachableError():
            return Trouble.UNREACHABLE
        case ThrottledError():
            return Trouble.THROTTLED
        case DeniedError():
            return Trouble.DENIED
        case RefusedError() | PermanentError() | RetryableError():
            return Trouble.REFUSED
        case OSError() | UnclearError():
            return Trouble.UNCLEAR
        case _:
            return Trouble.OURS


def http_error(status: int, told: str, retry_after: float | None = None) -> ProviderError:
    """
    Say what an HTTP status that is no success means.

    Args:
        status: The status.
        told: What was asked and what was answered, for people; no secrets.
        retry_after: What the answer's ``Retry-After`` says, seconds.
    """
    if status in _NOT_NOW or (status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None):
        return ThrottledError(told, retry_after)
    if status in _DENIED:
        return DeniedError(told)
    if status in _UNCLEAR or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnclearError(told)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RefusedError(told, code="EntityTooLarge")
    return RefusedError(told)


def start_result(provider: str, error: Exception, declared: StartDeclaration) -> NotStarted | Exception:
    """
    Say what a start whose request ended in an error answers: that nothing was made, or what it is to raise.

    Args:
        provider: Its name, for people.
        error: What the request ended in; its text is shown.
        declared: How an unknown start is resolved.
    """
    match trouble_of(error):
        case Trouble.UNREACHABLE:
            return NotStarted(f"{provider}: {error}")
        case Trouble.THROTTLED:
            return NotStarted(str(error), error.retry_after if isinstance(error, ThrottledError) else None)
        case Trouble.DENIED:
            return PermanentError(str(error), code="AccessDenied", kind=ErrorKind.SYSTEM)
        case Trouble.REFUSED:
            return _refusal(error)
        case Trouble.UNCLEAR if isinstance(declared, AtMostOnce):
            return UnclearError(
                f"{provider}: the request was on the wire when the provider failed, and it has no way to tell whether"
                f" it arrived: {error}"
            )
        case _:
            return error


def _refusal(error: Exception) -> Exception:
    if not isinstance(error, RefusedError):
        return error
    refusal: ExecutorError
    if error.retryable:
        refusal = RetryableError(str(error), code=error.code, kind=error.kind)
    else:
        refusal = PermanentError(str(error), code=error.code, kind=error.kind)
    return refusal
