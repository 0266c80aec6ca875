"""
What a provider did to a request, as a plugin raises it; the class says what the framework does next.

``ProviderError(ExecutorError)``
  ``UnreachableError``  certainly nothing arrived: a start is asked for later, and uses up no attempt
  ``UnclearError``      nobody knows what came of it: a 5xx, an answer that tells nothing
  ``ThrottledError``    nothing was done, for now: the provider is left alone for as long as it says
  ``DeniedError``       nothing was done: the credential does not do; it is read again at the next call
  ``RefusedError``      nothing was done, and the request is to blame: ends the attempt, or the execution

The built-in errors of ``http_calls`` serve as well: ``ConnectionRefusedError`` is an ``UnreachableError``, every other
``OSError`` and ``TimeoutError`` an ``UnclearError``. ``PermanentError`` and ``RetryableError`` are refusals.
"""

from __future__ import annotations

from airscrew.engine.errors import ExecutorError
from airscrew.idl.errors import ErrorKind

LONGEST_RETRY_AFTER = 3600.0


class ProviderError(ExecutorError):
    """The root of what a plugin raises of its provider."""


class UnreachableError(ProviderError):
    """Certainly nothing arrived."""


class UnclearError(ProviderError):
    """Nobody knows what came of the request."""


class ThrottledError(ProviderError):
    """
    Nothing was done for now.

    Attributes:
        retry_after: Seconds for which the provider wants to be left alone, an hour at most: longer, and it may have
            been a mistake; None when it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)


class DeniedError(ProviderError):
    """Nothing was done, since the credential does not do."""


class RefusedError(ProviderError):
    """
    Nothing was done, and the request is to blame.

    Attributes:
        code: A short stable word.
        kind: Whose failure it is.
        retryable: Whether another attempt may do better.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "BadTaskSpecification",
        kind: ErrorKind = ErrorKind.USER,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.retryable = retryable
