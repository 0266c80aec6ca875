"""
What the API server says instead of doing what it was asked.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.kubernetes.api.connection import Reply
from airscrew.plugins.kubernetes.refusals import Refusal


class ApiError(ExecutorError):
    """
    The API server refused to answer a question.

    Attributes:
        status: The status of HTTP.
        retry_after: Seconds of patience that the API server asks for; 0 when it does not.
    """

    def __init__(self, what: str, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{what}: {status} {message}")
        self.status = status
        self.retry_after = retry_after


class Status(msgspec.Struct, frozen=True):
    """The object that it says so by."""

    message: str = ""
    reason: str = ""
    code: int = 0


status_decoder = msgspec.json.Decoder(Status)


def refusal_of(reply: Reply) -> Refusal:
    """Read an answer other than success."""
    message, reason = reply.body[:500].decode(errors="replace"), ""
    try:
        status = status_decoder.decode(reply.body)
        message, reason = status.message or message, status.reason
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return Refusal(status=reply.status, reason=reason, message=message, retry_after=reply.retry_after)
