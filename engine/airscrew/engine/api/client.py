"""
An engine in another process as an ``EngineApi``: what holds one cannot tell it from the engine itself.

Guarantees: one channel, kept for the client's life and watched over by keep-alives; every unary call has a deadline;
every failure is an ``ApiError`` with the code that the engine gave, or ``unavailable`` when it may be asked again. A
token is sent over loopback or TLS alone, unless the caller says otherwise.
"""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import grpc
import msgspec
from typing_extensions import override

from airscrew.engine.api import address as addresses
from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import Address, UnixAddress
from airscrew.engine.api.codes import api_error
from airscrew.engine.api.model import (
    ApiError,
    ExecutionView,
    ExecutorView,
    LeakView,
    ListReply,
    ListRequest,
    LoadReply,
    LogChunk,
    OutputsView,
    QuotaView,
    SubmitReply,
    SubmitRequest,
)
from airscrew.engine.api.port import EngineApi
from airscrew.engine.api.tls import ClientTls
from airscrew.engine.api.wire import decode, encode
from airscrew.idl.errors import UsageError
from airscrew.idl.proto.service.v1 import service_pb2 as pb
from airscrew.idl.proto.service.v1.service_pb2_grpc import EngineServiceStub

if TYPE_CHECKING:
    from google.protobuf.message import Message

Q_contra = TypeVar("Q_contra", bound="Message", contravariant=True)
A_co = TypeVar("A_co", bound="Message", covariant=True)
S = TypeVar("S", bound=msgspec.Struct)
M = TypeVar("M", bound="Message")

Metadata = tuple[tuple[str, str], ...]

CALL_SECONDS = 60.0
PRUNE_SECONDS = 600.0
LOAD_SECONDS = 600.0
MAX_REQUEST_BYTES = 32 * 1024 * 1024

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
_PLAIN_OPTIONS = (*OPTIONS, ("grpc.default_authority", "airscrew"))


def target(address: Address) -> str:
    """
    Return what a channel is opened to.

    Raises:
        ApiError: ``unavailable``: there is no socket.
    """
    if not isinstance(address, UnixAddress):
        return address.endpoint
    path = addresses.find_socket(address)
    if path is None:
        raise ApiError("unavailable", f"no engine answers at {address}: there is no socket")
    return f"unix:{path}"


def secured(address: Address, tls: ClientTls | None, *, plaintext: bool) -> ClientTls | None:
    """
    Say how to speak to an address: by TLS when that is asked for; None for plain text.

    Raises:
        UsageError: It is beyond this machine, and plain text was not asked for.
    """
    if isinstance(address, UnixAddress):
        return None
    if tls is not None or address.tls:
        return tls or ClientTls()
    if address.is_loopback or plaintext:
        return None
    raise UsageError(
        f"address {address} is not on this machine: use TLS, by tls://{address} or --ca FILE; --plaintext is for a way "
        "that nobody else can listen on"
    )


def channel_options(tls: ClientTls | None) -> tuple[tuple[str, str | int], ...]:
    """Return the options of a channel."""
    if tls is None:
        return _PLAIN_OPTIONS
    return (*OPTIONS, ("grpc.ssl_target_name_override", tls.server_name)) if tls.server_name else OPTIONS


def shown(address: Address, tls: ClientTls | None) -> str:
    """Return an address as it is told to people."""
    return str(address) if isinstance(address, UnixAddress) or tls is None else str(replace(address, tls=True))


def metadata(address: Address, token_file: Path | None) -> Metadata:
    """Return what every call carries: the token, on a port."""
    if isinstance(address, UnixAddress) or token_file is None:
        return ()
    return (("authorization", f"Bearer {addresses.read_token(token_file)}"),)


def filled(value: msgspec.Struct, message: M) -> M:
    """
    Fill a request's message.

    Raises:
        ApiError: ``invalid``: it cannot be sent.
    """
    try:
        encode(value, message)
    except (ValueError, TypeError) as error:
        raise ApiError("invalid", f"the request cannot be sent: {error}") from error
    size = message.ByteSize()
    if size > MAX_REQUEST_BYTES:
        raise ApiError(
            "invalid",
            f"the request takes {size} bytes and the limit is {MAX_REQUEST_BYTES}: put the inputs into a file, "
            "and give its URI",
        )
    return message


class _Unary(Protocol[Q_contra, A_co]):
    """A call with one answer; a supertype of what the stub holds."""

    def __call__(self, request: Q_contra, /, *, timeout: float, metadata: Metadata) -> Awaitable[A_co]: ...


class _Answers(Protocol[A_co]):
    """Many answers, which may be told to end."""

    def __aiter__(self) -> AsyncIterator[A_co]: ...

    def cancel(self) -> bool: ...


class _Stream(Protocol[Q_contra, A_co]):
    """A call with many answers."""

    def __call__(self, request: Q_contra, /, *, metadata: Metadata) -> _Answers[A_co]: ...


def connect(
    address: Address | str, token_file: Path | None = None, *, tls: ClientTls | None = None, plaintext: bool = False
) -> EngineClient:
    """
    Make a client; it connects with its first call and is closed by ``async with`` or ``close``.

    Args:
        address: A Unix socket or a port.
        token_file: Holds the token that a port asks for.
        tls: What is shown and trusted; None for plain text, unless the address says ``tls://``.
        plaintext: Whether the token may go beyond this machine in plain text.

    Raises:
        UsageError: The address, the token file or a certificate is no good.
        ApiError: ``unavailable``: there is no socket.
    """
    where = addresses.parse_address(address) if isinstance(address, str) else address
    secure = secured(where, tls, plaintext=plaintext)
    return EngineClient(where, metadata(where, token_file), secure)


class EngineClient(EngineApi):
    """An ``EngineApi`` over gRPC; belongs to the loop that it was made on."""

    def __init__(self, address: Address, metadata: Metadata = (), tls: ClientTls | None = None) -> None:
        self.address = address
        self._metadata = metadata
        self._where = shown(address, tls)
        options = channel_options(tls)
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target(address), options=options)
        else:
            self._channel = grpc.aio.secure_channel(target(address), tls.credentials(time.time()), options=options)
        self._stub = EngineServiceStub(self._channel)
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls under way end."""
        self._is_closed = True
        await self._channel.close(None)

    async def info(self, *, timeout_seconds: float = CALL_SECONDS) -> ServerInfo:
        """Ask which engine this is."""
        return decode(await self._ask(self._stub.Info, pb.InfoRequest(), timeout_seconds), ServerInfo)

    @override
    async def submit(self, request: SubmitRequest) -> SubmitReply:
        return decode(await self._ask(self._stub.Submit, filled(request, pb.SubmitRequest())), SubmitReply)

    @override
    async def get(self, execution: str) -> ExecutionView:
        return decode(await self._ask(self._stub.Get, pb.GetRequest(execution=execution)), ExecutionView)

    @override
    async def list(self, request: ListRequest) -> ListReply:
        return decode(await self._ask(self._stub.List, filled(request, pb.ListRequest())), ListReply)

    @override
    async def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        async for message in self._read(self._stub.Watch, pb.WatchRequest(execution=execution)):
            yield decode(message, ExecutionView)

    @override
    async def outputs(self, execution: str) -> OutputsView:
        return decode(await self._ask(self._stub.Outputs, pb.OutputsRequest(execution=execution)), OutputsView)

    @override
    async def kill(self, execution: str, reason: str, *, force: bool = False) -> None:
        await self._ask(self._stub.Kill, pb.KillRequest(execution=execution, reason=reason, force=force))

    @override
    async def retry(self, execution: str, *, force: bool = False) -> SubmitReply:
        return decode(await self._ask(self._stub.Retry, pb.RetryRequest(execution=execution, force=force)), SubmitReply)

    @override
    async def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> AsyncIterator[LogChunk]:
        request = pb.LogsRequest(execution=execution, attempt=attempt, follow=follow, metrics=metrics)
        async for message in self._read(self._stub.Logs, request):
            yield decode(message, LogChunk)

    @override
    async def leaks(self) -> builtins.list[LeakView]:
        reply = await self._ask(self._stub.Leaks, pb.LeaksRequest())
        return [decode(leak, LeakView) for leak in reply.leaks]

    @override
    async def clear_leak(self, key: str) -> None:
        await self._ask(self._stub.ClearLeak, pb.ClearLeakRequest(key=key))

    @override
    async def prune(self, *, older_than_seconds: float, keep: int = 0, dry_run: bool = False) -> builtins.list[str]:
        request = pb.PruneRequest(older_than_seconds=older_than_seconds, keep=keep, dry_run=dry_run)
        return list((await self._ask(self._stub.Prune, request, PRUNE_SECONDS)).executions)

    @override
    async def executors(self) -> builtins.list[ExecutorView]:
        reply = await self._ask(self._stub.Executors, pb.ExecutorsRequest())
        return [decode(view, ExecutorView) for view in reply.executors]

    @override
    async def load_executors(self) -> LoadReply:
        return decode(await self._ask(self._stub.LoadExecutors, pb.LoadExecutorsRequest(), LOAD_SECONDS), LoadReply)

    @override
    async def quotas(self) -> builtins.list[QuotaView]:
        reply = await self._ask(self._stub.Quotas, pb.QuotasRequest())
        return [decode(view, QuotaView) for view in reply.quotas]

    async def _ask(self, call: _Unary[Q_contra, A_co], request: Q_contra, seconds: float = CALL_SECONDS) -> A_co:
        try:
            return await call(request, timeout=seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise api_error(error, self._where) from error
        except asyncio.CancelledError as error:
            self._explain_closing(error)
            raise

    async def _read(self, call: _Stream[Q_contra, A_co], request: Q_contra) -> AsyncIterator[A_co]:
        stream = call(request, metadata=self._metadata)
        try:
            async for message in stream:
                yield message
        except grpc.aio.AioRpcError as error:
            raise api_error(error, self._where) from error
        except asyncio.CancelledError as error:
            self._explain_closing(error)
            raise
        finally:
            stream.cancel()

    def _explain_closing(self, error: asyncio.CancelledError) -> None:
        """Tell a call that ``close`` ended, which grpc reports as a cancellation, from a task that is cancelled."""
        task = asyncio.current_task()
        if self._is_closed and not (task and task.cancelling()):
            raise ApiError("unavailable", f"the client of {self.address} was closed") from error
