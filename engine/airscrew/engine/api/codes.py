"""
The codes of ``ApiError`` as gRPC statuses and back.

Guarantees: every refusal has a status that fits and none is UNKNOWN; a code goes there and back unchanged, also through
a proxy that keeps only the status. The message is cut to what fits into a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

import grpc

from airscrew.engine.api.model import ApiError
from airscrew.idl.errors import in_a_line, shorten

CODE_HEADER = "airscrew-code"
"""Trailing metadata: the code itself."""

HEADER_BYTES = 6000
"""What a message may take in a header: gRPC refuses headers beyond 8 KiB at random, and beyond 16 KiB always."""

STATUSES: Mapping[str, grpc.StatusCode] = {
    "not_found": grpc.StatusCode.NOT_FOUND,
    "already_exists": grpc.StatusCode.ALREADY_EXISTS,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "failed": grpc.StatusCode.INTERNAL,
}
"""What each code is sent as."""

_CODES: Mapping[grpc.StatusCode, str] = {status: code for code, status in STATUSES.items()} | {
    grpc.StatusCode.UNAUTHENTICATED: "denied",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unavailable",
    grpc.StatusCode.CANCELLED: "unavailable",
    grpc.StatusCode.ABORTED: "unavailable",
    grpc.StatusCode.OUT_OF_RANGE: "invalid",
    grpc.StatusCode.FAILED_PRECONDITION: "invalid",
    grpc.StatusCode.UNIMPLEMENTED: "failed",
}


class RpcFailure(Protocol):
    """What a failed call tells, of grpc.aio and of plain grpc alike."""

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        ...

    def details(self) -> str | None:
        """Return the message."""
        ...

    def trailing_metadata(self) -> object:
        """Return what was sent along with the status: pairs of a key and a value, or None."""
        ...


def status_of(code: str) -> grpc.StatusCode:
    """Return the status that a code is sent as."""
    return STATUSES.get(code, grpc.StatusCode.INTERNAL)


def header_text(message: str) -> str:
    """Make a message fit into a header, in one line; a byte that is not printable ASCII takes three there."""
    text = in_a_line(message)
    limit = len(text)
    while _header_bytes(text) > HEADER_BYTES:
        limit = limit * 3 // 4
        text = shorten(text, limit).replace("\n", " ")
    return text


def _header_bytes(text: str) -> int:
    data = text.encode()
    return len(data) + 2 * sum(not 0x20 <= byte <= 0x7E or byte == 0x25 for byte in data)  # noqa: PLR2004 - see above


def api_error(failure: RpcFailure, address: str) -> ApiError:
    """Turn a failed call into the error that the engine raised, or into one that tells of the connection."""
    sent = _sent_code(failure.trailing_metadata())
    details = failure.details() or failure.code().name
    if sent in STATUSES:
        return ApiError(sent, details)
    code = _CODES.get(failure.code(), "failed")
    match failure.code():
        case grpc.StatusCode.UNAVAILABLE:
            return ApiError(code, f"no engine answers at {address}: {details}{_hint(address, details)}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return ApiError(code, f"the engine at {address} did not answer in time; ask again")
        case grpc.StatusCode.UNIMPLEMENTED:
            return ApiError(code, f"the engine at {address} is of another version: {details}")
        case _:
            return ApiError(code, details)


def _hint(address: str, details: str) -> str:
    """Say what may be wrong with a connection that was made, and ended at once without a word."""
    if not any(words in details for words in ("Socket closed", "handshak", "Unwrap failed", "Connection reset")):
        return ""
    if address.startswith("tls://"):
        return "; it may not speak TLS, or want a certificate that it trusts: --cert and --key"
    return "; it may speak TLS: --ca FILE"


def _sent_code(metadata: object) -> str:
    pairs = cast("Iterable[tuple[str, object]]", metadata or ())
    return next((str(value) for key, value in pairs if key == CODE_HEADER), "")
