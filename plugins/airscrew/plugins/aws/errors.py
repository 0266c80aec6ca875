# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# The library says little of its types; in this package alone it is touched.
"""
What the errors of an Amazon service mean. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.webapi import DeniedError, ThrottledError, UnclearError, UnreachableError, http_error

_THROTTLED = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "LimitExceededException",
        "RequestThrottled",
    }
)
_DENIED = frozenset(
    {
        "AccessDeniedException",
        "AccessDenied",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


def told(request: str, error: Exception) -> Exception:
    """
    Say what an error of a request means; an error of the transport's is as it is.

    Args:
        request: What was asked, for people.
        error: What the library raised.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    match error:
        case ClientError():
            return _answered(request, cast("Mapping[str, object]", error.response), str(error))
        case ParamValidationError():
            return PermanentError(f"{request}: {_one_line(error)}", code="BadTaskSpecification", kind=ErrorKind.USER)
        case NoCredentialsError() | PartialCredentialsError():
            return DeniedError(f"{request}: no credentials are found: {_one_line(error)}")
        case CredentialRetrievalError():
            return UnreachableError(f"{request}: the credentials cannot be had: {_one_line(error)}")
        case BotoCoreError():
            return UnclearError(f"{request}: {_one_line(error)}")
        case _:
            return error


def code_of(response: Mapping[str, object]) -> str:
    """Return the code of an answer that is an error."""
    return str(_members(response.get("Error")).get("Code", ""))


def _answered(request: str, response: Mapping[str, object], text: str) -> Exception:
    metadata = _members(response.get("ResponseMetadata"))
    status = metadata.get("HTTPStatusCode")
    message = f"{request} answered {status}: {text}"
    retry_after = _seconds(_members(metadata.get("HTTPHeaders")).get("retry-after"))
    code = code_of(response)
    if code in _THROTTLED:
        return ThrottledError(message, retry_after)
    if code in _DENIED:
        return DeniedError(message)
    if not isinstance(status, int) or (status == HTTPStatus.OK):
        return UnclearError(message)
    return http_error(status, message, retry_after)


def _members(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, str) and value.strip().isdecimal() else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
