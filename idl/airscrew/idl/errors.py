"""
The root of every error that airscrew raises, and the error that an execution ends with.

``AirscrewError``
  ``UsageError``            the caller's input is wrong; nothing was stored (exit code 2)
  ``state.errors.*``        the store
  ``engine.errors.*``       instructions of an executor to the engine

An exception class tells its catcher what to do next. ``ExecutionError`` is data, not an
exception: it is the part of a verdict that says why an attempt failed.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec


class AirscrewError(Exception):
    """The root of all errors of airscrew."""


class UsageError(AirscrewError):
    """
    What was asked for cannot be done as it was asked; nothing was stored.

    The message is one line that names the thing and the way out, whatever the names in it are.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_a_line(message))


class ErrorKind(StrEnum):
    """Who has to act on a failure; picks the retry budget that pays for it."""

    USER = "USER"
    SYSTEM = "SYSTEM"
    UNKNOWN = "UNKNOWN"


class ExecutionError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Why an attempt failed, as it is stored and shown.

    Attributes:
        code: A short stable word, as ``USER:RuntimeError`` or ``StartOutcomeUnknown``.
        message: What a person reads; cut in the middle beyond 16 KiB.
        kind: Whose failure it is.
        uri: Where the whole error document lies, when there is one.
        worker: The rank or replica that failed first, when a job has several.
    """

    code: str
    message: str
    kind: ErrorKind = ErrorKind.UNKNOWN
    uri: str = ""
    worker: str = ""


MESSAGE_LIMIT = 16 * 1024

_NO_PART_OF_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shorten(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """Cut a message that is too long in its middle, where it says least."""
    if len(message) <= limit:
        return message
    half = (limit - 40) // 2
    return f"{message[:half]}\n... {len(message) - 2 * half} characters left out ...\n{message[-half:]}"


def in_a_line(message: str) -> str:
    """Write a message in one line that any terminal and any wire can take: names in it may hold whatever was sent."""
    return _NO_PART_OF_A_LINE.sub(lambda found: found[0].encode("unicode_escape").decode(), message)
