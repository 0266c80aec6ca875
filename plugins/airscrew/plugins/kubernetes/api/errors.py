"""
What the API server says instead of doing what it was asked.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.errors import ExecutorError
from airscrew.idl.json_tree import BAD_JSON
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


_status_decoder = msgspec.json.Decoder(Status)


def read_status(data: bytes | msgspec.Raw) -> Status:
    """Read the object that says what is wrong; an empty one where that cannot be read."""
    try:
        return _status_decoder.decode(data)
    except BAD_JSON:
        return Status()


def refusal_of(reply: Reply) -> Refusal:
    """Read an answer other than success."""
    status = read_status(reply.body)
    message = status.message or reply.body[:500].decode(errors="replace")
    return Refusal(status=reply.status, reason=status.reason, message=message, retry_after=reply.retry_after)
