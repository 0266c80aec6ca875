"""
One gRPC channel to a connector service: bytes in, bytes out, and errors that tell whether anything was done.

The channel lives as long as the executor and connects again by itself. A connection that swallows everything is noticed
by keepalive, or by deadlines in a row, upon which the channel is made anew. Nothing is ever sent twice here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from airscrew.idl.errors import UsageError, shorten
from airscrew.plugins.connector.config import Service
from airscrew.plugins.connector.errors import (
    BadAnswerError,
    ConnectorError,
    FailedError,
    NotThereError,
    RefusedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RENEW_AFTER = 3
"""So many deadlines in a row, and the connection is taken for dead."""

RENEW_SECONDS = 60.0
"""No channel is made anew sooner after the last time."""

CONNECT_SECONDS = 10.0
PROBE_SECONDS = 1.0
_BAD_CERTIFICATE = ("CERTIFICATE_VERIFY_FAILED", "certificate signature failure", "Hostname Verification")
_PROBE = "/grpc.health.v1.Health/Check"
LOG_BYTES = 1024 * 1024
_SHOWN = 2000
_REASON_TITLE = "Message:"

_AT_THE_DOOR = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)
_NEVER = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


class Channel:
    """
    A channel to one service; made on the loop that uses it.

    Args:
        name: What the configuration calls the service.
        service: Its configuration.
        token: Gives the bearer token of each call; None for the service's token file.
    """

    def __init__(self, name: str, service: Service, *, token: Callable[[], str] | None = None) -> None:
        self._name = name
        self._service = service
        self._token = token or self._read_token
        self._deadlines = 0
        self._old: list[Any] = []
        self._renewed_at = -math.inf
        self._channel: Any = self._open()

    async def unary(self, method: str, request: bytes, timeout: float) -> bytes:
        """
        Ask once.

        Raises:
            ConnectorError: Of the class that says what it means; see ``errors``.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        await self._connect(min(timeout, CONNECT_SECONDS))
        left = max(deadline - asyncio.get_running_loop().time(), 0.001)
        try:
            call = self._channel.unary_unary(method)(request, timeout=left, metadata=self._metadata())
            reply: bytes = await call
        except grpc.aio.AioRpcError as error:
            raise self._told(method, error) from error
        self._deadlines = 0
        return reply

    async def exchange(self, method: str, requests: Iterable[bytes], timeout: float) -> list[bytes]:
        """
        Send some messages and read all answers.

        Raises:
            ConnectorError: See ``errors``.
        """
        await self._connect(min(timeout, CONNECT_SECONDS))

        async def send() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        try:
            call = self._channel.stream_stream(method)(send(), timeout=timeout, metadata=self._metadata())
            answers: list[bytes] = [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise self._told(method, error) from error
        self._deadlines = 0
        return answers

    async def stream(self, method: str, request: bytes, timeout: float) -> list[bytes]:
        """
        Ask once and read the stream of answers, up to a bound.

        Raises:
            ConnectorError: See ``errors``.
        """
        await self._connect(min(timeout, CONNECT_SECONDS))
        answers: list[bytes] = []
        try:
            call = self._channel.unary_stream(method)(request, timeout=timeout, metadata=self._metadata())
            async for answer in call:
                answers.append(answer)
                if sum(map(len, answers)) > LOG_BYTES:
                    call.cancel()
                    break
        except grpc.aio.AioRpcError as error:
            raise self._told(method, error) from error
        return answers

    async def close(self) -> None:
        """Close all connections."""
        for channel in [*self._old, self._channel]:
            await channel.close()

    async def _connect(self, seconds: float) -> None:
        """Have a connection before anything is sent: what fails until then has certainly done nothing."""
        if self._deadlines >= RENEW_AFTER:
            await self._renew()
        try:
            async with asyncio.timeout(seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            message = f"connector {self._name} cannot be reached at {self._service.endpoint}"
            raise UnreachableError(f"{message}{await self._why_not()}") from None

    async def _why_not(self) -> str:
        """Say what a connection fails of, as far as the library tells: by a question that changes nothing."""
        try:
            await self._channel.unary_unary(_PROBE)(b"", timeout=PROBE_SECONDS, wait_for_ready=False)
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if any(words in details for words in _BAD_CERTIFICATE):
                return ": its certificate is not of an authority in tls.ca, or not for this host name"
            return f": {shorten(last, 200)}" if (last := details.partition("last error: ")[2]) else ""
        return ""

    async def _renew(self) -> None:
        """Make the channel anew, not too often; by then no call is left on the one before the last."""
        self._deadlines = 0
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at < RENEW_SECONDS:
            return
        self._renewed_at = now
        done, self._old = self._old, [self._channel]
        self._channel = self._open()
        for channel in done:
            await channel.close()

    def _open(self) -> Any:  # noqa: ANN401 - gRPC's calls have no types
        options: list[tuple[str, int | str]] = [
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.max_receive_message_length", self._service.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),  # a create is sent once
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 10_000),
        ]
        service = self._service
        if service.insecure or service.is_local:
            return grpc.aio.insecure_channel(service.endpoint, options=options)
        tls = service.tls
        if tls is not None and tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        return grpc.aio.secure_channel(service.endpoint, self._credentials(), options=options)

    def _credentials(self) -> grpc.ChannelCredentials:
        tls = self._service.tls
        if tls is None:
            return grpc.ssl_channel_credentials()
        files = (_read(path, self._name) for path in (tls.ca, tls.key, tls.certificate))
        return grpc.ssl_channel_credentials(*files)

    def _read_token(self) -> str:
        if not self._service.token_file:
            return ""
        try:
            return Path(self._service.token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"connector {self._name}: token_file {self._service.token_file} cannot be read"
            raise UnreachableError(f"{problem}: {type(error).__name__}") from error

    def _metadata(self) -> grpc.aio.Metadata:
        token = self._token()
        return grpc.aio.Metadata(("authorization", f"Bearer {token}")) if token else grpc.aio.Metadata()

    def _told(self, method: str, error: grpc.aio.AioRpcError) -> ConnectorError:
        code = error.code()
        self._deadlines = self._deadlines + 1 if code is grpc.StatusCode.DEADLINE_EXCEEDED else 0
        details = error.details() or ""
        what = f"connector {self._name}, {method.rpartition('/')[2]}: {code.name}: {summary(details)}"
        return _class_of(code, details)(what)


def _class_of(code: grpc.StatusCode, details: str) -> type[ConnectorError]:
    if code is grpc.StatusCode.UNAVAILABLE and "failed to connect to all addresses" in details:
        return UnreachableError
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return RefusedError if details.startswith("SERVER:") or "Sent message" in details else BadAnswerError
    if code is grpc.StatusCode.NOT_FOUND:
        return NotThereError
    if code in _AT_THE_DOOR:
        return UnreachableError
    if code in _NEVER:
        return RefusedError
    return FailedError if code is grpc.StatusCode.INTERNAL else ConnectorError


def summary(details: str) -> str:
    """Put what a connector says of an error on one line: its first line, and the reason that ends a traceback."""
    lines = [line.strip() for line in details.splitlines() if line.strip().strip(".")]
    if not lines:
        return "no reason given"
    first, *others = lines
    reason = " ".join(_after_title(others)) or next((line for line in reversed(others) if line != _REASON_TITLE), "")
    return shorten(f"{first} ... {reason}" if reason else first, _SHOWN)


def _after_title(lines: list[str]) -> list[str]:
    """Give the lines after the last ``Message:``, flytekit's title of an exception's words, of which there are many."""
    titles = [number for number, line in enumerate(lines) if line == _REASON_TITLE]
    return lines[titles[-1] + 1 :] if titles else []


def _read(path: str, name: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"executors.connector.services.{name}.tls: {path} cannot be read: {error.strerror}") from error
