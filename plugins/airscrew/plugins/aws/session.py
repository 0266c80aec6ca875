# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# The library says little of its types; in this package alone it is touched.
"""
How ``aiobotocore`` sends: by the project's transport, so that an error says whether anything was sent.

The library's own session reports a connection that broke and one that never came about alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from airscrew.plugins.http_transport import Transport


class _Request(Protocol):
    """A request of the library's, ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str | bytes]
    body: bytes | str | None


@dataclass(frozen=True, slots=True)
class _Body:
    """An answer's body, as the library reads it."""

    content: bytes

    async def read(self) -> bytes:
        """Return it whole."""
        return self.content


def session_class(transport: Transport, timeout: float) -> type[Any]:
    """Make the class that the library makes its sessions of; ``timeout`` is of one request, seconds."""

    class TransportSession:
        """Sends by a transport, which is closed by whoever opened it."""

        def __init__(self, **options: object) -> None:
            del options

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *error: object) -> None:
            return

        async def close(self) -> None:
            """Close nothing: the transport is not ours."""

        async def send(self, request: _Request) -> object:
            """Send one request and read its answer."""
            from aiobotocore.awsrequest import AioAWSResponse

            headers = {name: _text(value) for name, value in request.headers.items()}
            body = request.body.encode() if isinstance(request.body, str) else request.body
            reply = await transport.request(
                request.method, request.url, headers=headers, body=bytes(body) if body else b"", timeout=timeout
            )
            return AioAWSResponse(request.url, reply.status, dict(reply.headers), _Body(reply.body))

    return TransportSession


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
