"""
Any ``EngineApi`` as a gRPC service on a Unix socket or on a port.

Guarantees: nothing is served beyond this machine without TLS, nor on a port to whom does not show the token (the health
service apart), unless ``Port`` says so; every refusal has a status that fits (``codes``); no call takes longer than its
caller waits, nor than ``CALL_SECONDS``; when the server stops, calls under way are answered and streams end with
UNAVAILABLE: their readers go on elsewhere.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import grpc
import msgspec
from google.protobuf.message import DecodeError
from typing_extensions import override

from airscrew.engine.api import address as addresses
from airscrew.engine.api.adapter import Adapter, ServerInfo
from airscrew.engine.api.address import Address, TcpAddress, UnixAddress
from airscrew.engine.api.codes import CODE_HEADER, header_text, status_of
from airscrew.engine.api.connector_face import NOTHING_OFFERED, ConnectorFace, Offer, form_of
from airscrew.engine.api.health import Health
from airscrew.engine.api.model import ApiError
from airscrew.engine.api.port import EngineApi
from airscrew.engine.api.tls import ServerTls, stamp_of
from airscrew.idl.errors import UsageError
from airscrew.idl.proto.service.v1 import service_pb2
from airscrew.idl.wire import WireForm

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

Q = TypeVar("Q", bound="Message")
A = TypeVar("A", bound="Message")

SERVICE = service_pb2.DESCRIPTOR.services_by_name["EngineService"].full_name

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""A larger request is refused unread; inputs of that size belong into a file."""

CALL_SECONDS = 60.0
"""No unary call takes longer, whatever its caller would wait; pruning and loading apart."""

PRUNE_SECONDS = 600.0
LOAD_SECONDS = 600.0

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """
    How a port is guarded, beside the token.

    Attributes:
        tls: What it shows; None for plain text.
        allow_plaintext: Whether it may be beyond this machine without TLS.
        allow_anonymous: Whether no token is asked for.
        offer: What it offers as a connector service.
    """

    tls: ServerTls | None = None
    allow_plaintext: bool = False
    allow_anonymous: bool = False
    offer: Offer = NOTHING_OFFERED


@asynccontextmanager
async def serving(
    api: EngineApi,
    address: Address,
    info: ServerInfo,
    *,
    token_file: Path | None = None,
    port: Port | None = None,
    grace_seconds: float = 5.0,
) -> AsyncGenerator[Address]:
    """
    Serve an engine for as long as the context is open.

    Args:
        api: The engine.
        address: Where; port 0 takes a free one.
        info: Which engine this is.
        token_file: Holds what clients must show; made when absent; needed for a port.
        port: How a port is guarded beside that.
        grace_seconds: How long calls under way may take once the context is left.

    Yields:
        The address, with the port that was taken.

    Raises:
        UsageError: The address cannot be served.
    """
    port = port or Port()
    token = _token(address, token_file, port)
    server = grpc.aio.server(interceptors=[_TokenCheck(token)] if token else [], options=OPTIONS)
    dispatch, health = _Dispatch(), Health((SERVICE,))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, _handlers(dispatch, Adapter(api, info))),
            grpc.method_handlers_generic_handler(health.SERVICE, dispatch.health_handlers(health)),
        )
    )
    if port.offer.is_any:
        server.add_generic_rpc_handlers((_Connectors(api, port.offer, dispatch),))
    bound = _bind(server, address, port)
    await server.start()
    if isinstance(address, UnixAddress):
        (addresses.find_socket(address) or address.path).chmod(0o600)
    try:
        yield bound
    finally:
        health.stop()
        dispatch.end_streams()
        await server.stop(grace_seconds)


def _token(address: Address, token_file: Path | None, port: Port) -> _Token | None:
    if isinstance(address, UnixAddress) or port.allow_anonymous:
        return None
    if token_file is None:
        raise UsageError(f"to listen on {address} a token file is needed")
    return _Token(token_file, addresses.make_token(token_file))


def check_guarded(address: Address, port: Port) -> None:
    """
    See whether an address may be served.

    Raises:
        UsageError: It is beyond this machine and in plain text, and that is not allowed.
    """
    if isinstance(address, TcpAddress) and not (address.is_loopback or port.tls or port.allow_plaintext):
        raise UsageError(
            f"address {address} is not on this machine: without TLS only loopback is served, as 127.0.0.1:8787; set "
            "api.certificate and api.key"
        )


def _bind(server: grpc.aio.Server, address: Address, port: Port) -> Address:
    """Take the address; the server reports what it cannot take as RuntimeError."""
    check_guarded(address, port)
    credentials = port.tls.credentials() if port.tls is not None else None
    try:
        if isinstance(address, UnixAddress):
            server.add_insecure_port(f"unix:{addresses.prepare_socket(address)}")
            return address
        if credentials is not None:
            return TcpAddress(address.host, server.add_secure_port(address.endpoint, credentials), tls=True)
        return TcpAddress(address.host, server.add_insecure_port(address.endpoint))
    except RuntimeError as error:
        raise UsageError(f"cannot listen on {address}: it is in use, or not an address of this machine") from error


@dataclass(slots=True)
class _Token:
    """
    The token that clients show; read again when its file has changed.

    Attributes:
        file: Where it is.
        value: As it was last read.
    """

    file: Path
    value: str
    _stamp: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        self._stamp = stamp_of(self.file)

    def is_shown(self, text: str) -> bool:
        """Tell whether a header shows it."""
        stamp = stamp_of(self.file)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self.value = addresses.read_own_token(self.file)
            except UsageError as error:
                _log.warning("the token that is asked for stays as it was", extra={"why": str(error)})
        return hmac.compare_digest(text.encode(), f"Bearer {self.value}".encode())


class _TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Lets through what shows the token, and the health service."""

    def __init__(self, token: _Token) -> None:
        self._token = token
        self._refuse: Handler = grpc.unary_unary_rpc_method_handler(_refuse)

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        shown = next((value for key, value in handler_call_details.invocation_metadata if key == "authorization"), "")
        if self._token.is_shown(str(shown)):
            return await continuation(handler_call_details)
        if handler_call_details.method.startswith(f"/{Health.SERVICE}/"):
            return await continuation(handler_call_details)
        return self._refuse


async def _refuse(_request: object, context: Context) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong: give --token-file")


class _Dispatch:
    """Puts the walls around every call: its deadline, its errors, and the end of the server."""

    def __init__(self) -> None:
        self._streams: set[asyncio.Timeout] = set()
        self._ending = False

    def end_streams(self) -> None:
        """Let every stream end now."""
        self._ending = True
        for limit in self._streams:
            limit.reschedule(0.0)

    def unary(
        self, request: type[Q], call: Callable[[Q], Awaitable[Message]], seconds: float = CALL_SECONDS
    ) -> Handler:
        """Make the handler of a call with one answer."""

        async def handle(data: bytes, context: Context) -> Message | None:
            try:
                async with asyncio.timeout(_seconds_left(context, seconds)):
                    return await call(request.FromString(data))
            except Exception as error:  # noqa: BLE001 - the process's top: every error becomes a status
                await _abort(context, error)
                return None

        return grpc.unary_unary_rpc_method_handler(handle, response_serializer=_serialize)

    def stream(
        self, request: type[Q], call: Callable[[Q], AsyncIterator[Message]], *, ends_itself: bool = False
    ) -> Handler:
        """Make the handler of a call with many answers; one that ends by itself when the server stops is let alone."""

        async def handle(data: bytes, context: Context) -> None:
            await self._send(lambda: call(request.FromString(data)), context, ends_itself=ends_itself)

        return grpc.unary_stream_rpc_method_handler(handle, response_serializer=_serialize)

    def exchange(self, request: type[Q], call: Callable[[AsyncIterator[Q]], AsyncIterator[Message]]) -> Handler:
        """Make the handler of a call with many questions and many answers."""

        async def handle(sent: AsyncIterator[bytes], context: Context) -> None:
            async def questions() -> AsyncIterator[Q]:
                async for data in sent:
                    yield request.FromString(data)

            await self._send(lambda: call(questions()), context, ends_itself=False)

        return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialize)

    async def _send(self, begin: Callable[[], AsyncIterator[Message]], context: Context, *, ends_itself: bool) -> None:
        try:
            async with asyncio.timeout(0.0 if self._ending and not ends_itself else None) as limit:
                if not ends_itself:
                    self._streams.add(limit)
                try:
                    await _send_all(begin(), context)
                finally:
                    self._streams.discard(limit)
        except TimeoutError:
            ending = ApiError("unavailable", "the engine is shutting down; ask again")
            await _abort(context, ending if self._ending else TimeoutError())
        except Exception as error:  # noqa: BLE001 - the process's top: every error becomes a status
            await _abort(context, error)

    def health_handlers(self, health: Health) -> dict[str, Handler]:
        """Make the handlers of the health service."""
        return {
            "Check": self.unary(health.REQUEST, health.check),
            "Watch": self.stream(health.REQUEST, health.watch, ends_itself=True),
        }


class _Connectors(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Serves the connector services of both generations, each from when it is first asked for."""

    def __init__(self, api: EngineApi, offer: Offer, dispatch: _Dispatch) -> None:
        self._api = api
        self._offer = offer
        self._dispatch = dispatch
        self._handlers: dict[WireForm, dict[str, Handler]] = {}

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Find the handler of a call; None when it is none of these, or its messages are not installed."""
        path = str(handler_call_details.method)
        form = form_of(path)
        if form is None:
            return None
        if form not in self._handlers:
            try:
                self._handlers[form] = self._make(ConnectorFace(self._api, form, self._offer))
            except UsageError:
                return None
        return self._handlers[form].get(path)

    def _make(self, face: ConnectorFace) -> dict[str, Handler]:
        unary = {path: self._dispatch.unary(kind, call) for path, (kind, call) in face.calls().items()}
        streams = {path: self._dispatch.stream(kind, call) for path, (kind, call) in face.streams().items()}
        exchanges = {path: self._dispatch.exchange(kind, call) for path, (kind, call) in face.exchanges().items()}
        return unary | streams | exchanges


async def _send_all(answers: AsyncIterator[Message], context: Context) -> None:
    try:
        async for answer in answers:
            await context.write(answer)
    finally:
        close = getattr(answers, "aclose", None)
        if close is not None:
            await close()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _seconds_left(context: Context, limit: float) -> float:
    left = cast("float | None", context.time_remaining())
    return limit if left is None else min(left, limit)


async def _abort(context: Context, error: Exception) -> None:
    """Answer with the status of an error; never returns."""
    match error:
        case grpc.aio.AbortError():
            raise error
        case ApiError():
            await context.abort(status_of(error.code), header_text(str(error)), ((CODE_HEADER, error.code),))
        case UsageError() | msgspec.MsgspecError() | DecodeError() | ValueError():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, header_text(str(error)))
        case TimeoutError():
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the engine did not answer in time; ask again")
        case _:
            _log.error("call failed", exc_info=error)
            text = header_text(f"the engine failed: {type(error).__name__}: {error}; its log has the details")
            await context.abort(grpc.StatusCode.INTERNAL, text)


def _handlers(dispatch: _Dispatch, adapter: Adapter) -> dict[str, Handler]:
    unary, stream = dispatch.unary, dispatch.stream
    return {
        "Info": unary(service_pb2.InfoRequest, adapter.info),
        "Submit": unary(service_pb2.SubmitRequest, adapter.submit),
        "Get": unary(service_pb2.GetRequest, adapter.get),
        "List": unary(service_pb2.ListRequest, adapter.list),
        "Watch": stream(service_pb2.WatchRequest, adapter.watch),
        "Outputs": unary(service_pb2.OutputsRequest, adapter.outputs),
        "Kill": unary(service_pb2.KillRequest, adapter.kill),
        "Retry": unary(service_pb2.RetryRequest, adapter.retry),
        "Logs": stream(service_pb2.LogsRequest, adapter.logs),
        "Leaks": unary(service_pb2.LeaksRequest, adapter.leaks),
        "ClearLeak": unary(service_pb2.ClearLeakRequest, adapter.clear_leak),
        "Prune": unary(service_pb2.PruneRequest, adapter.prune, PRUNE_SECONDS),
        "Executors": unary(service_pb2.ExecutorsRequest, adapter.executors),
        "LoadExecutors": unary(service_pb2.LoadExecutorsRequest, adapter.load_executors, LOAD_SECONDS),
        "Quotas": unary(service_pb2.QuotasRequest, adapter.quotas),
    }
