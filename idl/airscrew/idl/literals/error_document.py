"""
``error.pb``: how a container says that it failed, and whether it is worth trying again.

The exit code says little: a task that raised usually exits with 0. Both wire forms have the
same document; Flyte 2 leaves time and worker out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airscrew.idl.errors import ErrorKind, ExecutionError, shorten
from airscrew.idl.wire import WireError, WireForm, flyte2_module, parse_message

if TYPE_CHECKING:
    from google.protobuf.message import Message

_KINDS: tuple[ErrorKind, ...] = (ErrorKind.UNKNOWN, ErrorKind.USER, ErrorKind.SYSTEM)
"""By the number of ``core.ExecutionError.ErrorKind``."""


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """
    A container's own account of its failure.

    Attributes:
        error: Code, message with the traceback, whose failure it is, and the worker that failed.
        recoverable: Whether the container asks for another attempt.
        occurred_at: When, in Unix seconds; None when not said.
    """

    error: ExecutionError
    recoverable: bool = False
    occurred_at: float | None = None


def decode_error_document(data: bytes, wire: WireForm, *, uri: str = "") -> ErrorDocument:
    """
    Read an error.pb.

    Args:
        data: Its bytes.
        wire: The form of the task that wrote it.
        uri: Where it lies, to be shown with the error.

    Raises:
        WireError: The bytes are none, or no error is in it.
        UsageError: The wire form is not installed.
    """
    document: Any = parse_message(_document_type(wire), data, "the error document")
    if not document.HasField("error"):
        raise WireError(f"the error document holds no error ({len(data)} bytes)")
    error = document.error
    origin: int = error.origin
    has_time = wire is WireForm.FLYTE1 and error.HasField("timestamp")
    return ErrorDocument(
        error=ExecutionError(
            code=error.code or "Unknown",
            message=shorten(error.message),
            kind=_KINDS[origin] if 0 <= origin < len(_KINDS) else ErrorKind.UNKNOWN,
            uri=uri,
            worker=error.worker if wire is WireForm.FLYTE1 else "",
        ),
        recoverable=error.kind == error.RECOVERABLE,
        occurred_at=error.timestamp.seconds + error.timestamp.nanos / 1e9 if has_time else None,
    )


def encode_error_document(document: ErrorDocument, wire: WireForm) -> bytes:
    """
    Write an error.pb as an SDK would.

    Raises:
        UsageError: The wire form is not installed.
    """
    message: Any = _document_type(wire)()
    error = message.error
    error.SetInParent()
    error.code = document.error.code
    error.message = document.error.message
    error.origin = _KINDS.index(document.error.kind)
    error.kind = error.RECOVERABLE if document.recoverable else error.NON_RECOVERABLE
    if wire is WireForm.FLYTE1:
        error.worker = document.error.worker
        if document.occurred_at is not None:
            error.timestamp.FromNanoseconds(round(document.occurred_at * 1e9))
    return bytes(message.SerializeToString())


def _document_type(wire: WireForm) -> type[Message]:
    document: type[Message]
    if wire is WireForm.FLYTE1:
        from flyteidl.core.errors_pb2 import ErrorDocument as Document1

        document = Document1
    else:
        document = flyte2_module("core.execution_pb2").ErrorDocument
    return document
