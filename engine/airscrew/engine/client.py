"""
A client for plain Python programs: no event loop, no engine in the process.

    with Client.connect() as client:
        name = client.submit("task.pb", {"x": 3})
        view = client.wait(name)
        print(client.outputs(name))

It talks to the engine that holds the store, through its Unix socket, or to a port. A client may be used
from several threads at once.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import grpc
from msgspec.structs import replace

from airscrew.engine.api import client as aio
from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import Address, parse_address, socket_beside
from airscrew.engine.api.codes import api_error
from airscrew.engine.api.model import (
    ApiError,
    ExecutionView,
    ExecutorView,
    LeakView,
    ListRequest,
    LoadReply,
    LogChunk,
    OutputsView,
    QuotaView,
    SubmitReply,
    SubmitRequest,
)
from airscrew.engine.api.tls import ClientTls
from airscrew.engine.api.wire import decode
from airscrew.engine.config import load_settings
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId
from airscrew.idl.proto.service.v1 import service_pb2 as pb
from airscrew.idl.proto.service.v1.service_pb2_grpc import EngineServiceStub

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from airscrew.idl.template import TaskTemplate

Q_contra = TypeVar("Q_contra", bound="Message", contravariant=True)
T = TypeVar("T")
A_co = TypeVar("A_co", bound="Message", covariant=True)


class _Unary(Protocol[Q_contra, A_co]):
    """A call with one answer."""

    def __call__(self, request: Q_contra, /, *, timeout: float, metadata: aio.Metadata) -> A_co: ...


class _Answers(Protocol[A_co]):
    """Many answers, which may be told to end."""

    def __iter__(self) -> Iterator[A_co]: ...

    def cancel(self) -> bool: ...


class _Stream(Protocol[Q_contra, A_co]):
    """A call with many answers."""

    def __call__(self, request: Q_contra, /, *, timeout: float | None, metadata: aio.Metadata) -> _Answers[A_co]: ...


class Client:
    """
    An engine, as a plain Python object.

    Every method raises ``ApiError``, whose ``code`` says what kind of refusal it is. Executions are named
    ``namespace/name``, or ``name`` for one in ``default``.
    """

    def __init__(
        self,
        address: Address,
        *,
        token_file: Path | None = None,
        tls: ClientTls | None = None,
        plaintext: bool = False,
    ) -> None:
        tls = aio.secured(address, tls, plaintext=plaintext)
        self.address = address
        self._metadata = aio.metadata(address, token_file)
        self._where = aio.shown(address, tls)
        options = aio.channel_options(tls)
        if tls is None:
            self._channel = grpc.insecure_channel(aio.target(address), options=options)
        else:
            self._channel = grpc.secure_channel(aio.target(address), tls.credentials(time.time()), options=options)
        self._stub = EngineServiceStub(self._channel)

    @classmethod
    def connect(
        cls,
        address: str = "",
        *,
        home: str | Path | None = None,
        token_file: str | Path | None = None,
        tls: ClientTls | None = None,
        plaintext: bool = False,
    ) -> Self:
        """
        Make a client of a running engine.

        Args:
            address: ``HOST:PORT``, ``tls://HOST:PORT`` or ``unix:PATH``; empty for the engine of a home.
            home: The engine's home; None for ``AIRSCREW_HOME`` or the user's.
            token_file: Holds the token for a port; None for the one in the home.
            tls: What is shown and trusted; None for plain text, unless the address says ``tls://``.
            plaintext: Whether the token may go beyond this machine in plain text.

        Raises:
            ApiError: ``unavailable``: there is no engine; start one with ``airscrew serve``.
            UsageError: The address, the token file or a certificate is no good.
        """
        settings = load_settings(overrides={"home": str(home) if home else None})
        if not address:
            return cls(socket_beside(settings.store_file))
        token = Path(token_file) if token_file else settings.token_path
        return cls(parse_address(address), token_file=token, tls=tls, plaintext=plaintext)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def info(self) -> ServerInfo:
        """Ask which engine this is."""
        return decode(self._ask(self._stub.Info, pb.InfoRequest()), ServerInfo)

    def submit(
        self,
        template: str | Path | bytes | TaskTemplate | SubmitRequest,
        inputs: Mapping[str, object] | None = None,
        *,
        name: str = "",
        namespace: str = "default",
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """
        Submit an execution and return its full name; it is durable then.

        Args:
            template: A file, its bytes, a template, or a whole request, which is taken as it is.
            inputs: Values by name, as Python or JSON has them.
            name: Of the execution; empty for one that the engine makes. The same name and request answers the same.
            namespace: Of the execution.
            labels: For finding it again.

        Raises:
            UsageError: The template cannot be read, or an input does not fit.
        """
        request = template if isinstance(template, SubmitRequest) else _request(template, inputs or {})
        if request is not template:
            request = replace(request, name=name, namespace=namespace, labels=dict(labels or {}))
        return decode(self._ask(self._stub.Submit, aio.filled(request, pb.SubmitRequest())), SubmitReply).execution

    def get(self, execution: str) -> ExecutionView:
        """Show an execution."""
        return decode(self._ask(self._stub.Get, pb.GetRequest(execution=_full(execution))), ExecutionView)

    def list(self, request: ListRequest | None = None) -> Iterator[ExecutionView]:
        """Show all executions that match, page by page."""
        request = request or ListRequest()
        while True:
            reply = self._ask(self._stub.List, aio.filled(request, pb.ListRequest()))
            yield from (decode(view, ExecutionView) for view in reply.executions)
            if not reply.next_page_token:
                return
            request = replace(request, page_token=reply.next_page_token)

    def watch(self, execution: str, *, timeout_seconds: float | None = None) -> Iterator[ExecutionView]:
        """Show an execution now and after each change, until it is over."""
        request = pb.WatchRequest(execution=_full(execution))
        return self._read(self._stub.Watch, request, lambda view: decode(view, ExecutionView), timeout_seconds)

    def wait(self, execution: str, *, timeout_seconds: float | None = None) -> ExecutionView:
        """
        Wait until an execution is over.

        Raises:
            TimeoutError: It is not over in time.
        """
        for view in self.watch(execution, timeout_seconds=timeout_seconds):
            if view.is_over:
                return view
        raise ApiError("unavailable", f"the watch of {execution} ended before it was over")

    def outputs(self, execution: str) -> dict[str, object]:
        """Read the outputs of an execution as plain values by name."""
        return self.outputs_view(execution).values

    def outputs_view(self, execution: str) -> OutputsView:
        """Read inputs and outputs, as bytes and as values."""
        return decode(self._ask(self._stub.Outputs, pb.OutputsRequest(execution=_full(execution))), OutputsView)

    def kill(self, execution: str, reason: str = "killed by a client", *, force: bool = False) -> None:
        """Ask that an execution ends; ``wait`` tells when it is gone."""
        self._ask(self._stub.Kill, pb.KillRequest(execution=_full(execution), reason=reason, force=force))

    def retry(self, execution: str, *, force: bool = False) -> str:
        """Run a terminal execution again and return the new name, or go on with a quarantined one."""
        request = pb.RetryRequest(execution=_full(execution), force=force)
        return decode(self._ask(self._stub.Retry, request), SubmitReply).execution

    def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> Iterator[LogChunk]:
        """Read an attempt's log, or what its job measured, as JSON lines."""
        request = pb.LogsRequest(execution=_full(execution), attempt=attempt, follow=follow, metrics=metrics)
        return self._read(self._stub.Logs, request, lambda chunk: decode(chunk, LogChunk), None)

    def leaks(self) -> builtins.list[LeakView]:
        """List open ledger entries of attempts that are over."""
        return [decode(leak, LeakView) for leak in self._ask(self._stub.Leaks, pb.LeaksRequest()).leaks]

    def executors(self) -> builtins.list[ExecutorView]:
        """List the installed executors."""
        reply = self._ask(self._stub.Executors, pb.ExecutorsRequest())
        return [decode(view, ExecutorView) for view in reply.executors]

    def load_executors(self) -> LoadReply:
        """Have executors taken in that were installed since the engine began."""
        return decode(self._ask(self._stub.LoadExecutors, pb.LoadExecutorsRequest(), aio.LOAD_SECONDS), LoadReply)

    def quotas(self) -> builtins.list[QuotaView]:
        """List the quotas, and those of their shares that are in use or waited for."""
        return [decode(view, QuotaView) for view in self._ask(self._stub.Quotas, pb.QuotasRequest()).quotas]

    def _ask(self, call: _Unary[Q_contra, A_co], request: Q_contra, seconds: float = aio.CALL_SECONDS) -> A_co:
        try:
            return call(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise api_error(error, self._where) from error

    def _read(
        self,
        call: _Stream[Q_contra, A_co],
        request: Q_contra,
        read: Callable[[A_co], T],
        timeout_seconds: float | None,
    ) -> Iterator[T]:
        answers = call(request, timeout=timeout_seconds, metadata=self._metadata)
        try:
            for answer in answers:
                yield read(answer)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(f"not over after {timeout_seconds} s") from error
            raise api_error(error, self._where) from error
        finally:
            answers.cancel()


def _full(execution: str) -> str:
    return str(ExecutionId.parse(execution))


def _request(template: str | Path | bytes | TaskTemplate, inputs: Mapping[str, object]) -> SubmitRequest:
    from airscrew.idl.literals import check_inputs, encode_literal_map, from_json
    from airscrew.idl.template import TaskTemplate as Template
    from airscrew.idl.template import load_one

    if isinstance(template, Template):
        found = template
    elif isinstance(template, bytes):
        found = load_one(template)
    else:
        try:
            found = load_one(Path(template).read_bytes(), str(template))
        except OSError as error:
            raise UsageError(f"{template} cannot be read: {error.strerror}") from error
    known = found.interface.inputs
    literals = {name: from_json(value, known[name].type, name) for name, value in inputs.items() if name in known}
    wrong = [f"there is no input {name!r}" for name in inputs if name not in known]
    wrong += [f"input {complaint}" for complaint in check_inputs(known, literals)]
    if wrong:
        raise UsageError("; ".join(wrong))
    data = encode_literal_map(literals, found.wire) if literals else b""
    return SubmitRequest(template=found.raw, wire=str(found.wire), inputs=data)
