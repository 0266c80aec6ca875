"""
The process that connectors of an SDK live in, by whatever interpreter has that SDK: it MUST import nothing of ours.

It speaks the same services as a remote one, on a Unix socket that only we may open and only with our token. Its orders
come as one line of JSON on standard input; when that closes, its parent is gone, and so is it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterable
from importlib import import_module
from typing import Any, NoReturn, cast

import grpc
import grpc.aio
from typing_extensions import override

_BACKEND = "flytekit.extend.backend"
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class TokenGate(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types for mypy
    """Turns away whoever does not know the token."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    @override
    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Let a call with the token through."""
        metadata: Iterable[tuple[str, str | bytes]] = handler_call_details.invocation_metadata or ()
        given = next((value for name, value in metadata if name == "authorization"), "")
        raw = given if isinstance(given, bytes) else given.encode()
        if hmac.compare_digest(raw, self._expected):
            return await continuation(handler_call_details)

        async def turn_away(_: object, context: Any) -> NoReturn:  # noqa: ANN401 - gRPC's own
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")
            raise AssertionError

        return cast("Any", grpc.unary_unary_rpc_method_handler(turn_away))


def add_flytekit(server: Any, modules: list[str]) -> None:  # noqa: ANN401 - gRPC's own
    """Serve the connectors that are registered with flytekit; to import it loads its installed plugins."""
    # Several connectors log a failure with an argument too many, at which flytekit's rich handler raises.
    os.environ.setdefault("FLYTE_SDK_RICH_TRACEBACKS", "0")
    services, connectors = _module("flyteidl.service.agent_pb2_grpc"), _module(f"{_BACKEND}.connector_service")
    for module in ("flytekit", "flytekit.extras.webhook", "flytekit.sensor", *modules):
        _module(module)
    _pass_literals_on()
    asynchronous = connectors.AsyncConnectorService()
    asynchronous.GetTaskLogs = _flytekit_logs
    services.add_AsyncAgentServiceServicer_to_server(asynchronous, server)
    services.add_SyncAgentServiceServicer_to_server(connectors.SyncConnectorService(), server)
    services.add_AgentMetadataServiceServicer_to_server(connectors.ConnectorMetadataService(), server)


def _pass_literals_on() -> None:
    """Let a literal among a connector's outputs through: flytekit pickles it, so that nobody can read Snowflake's."""
    resource, literal = _module(f"{_BACKEND}.base_connector").Resource, _module("flytekit.models.literals").Literal
    convert = resource.to_flyte_idl

    async def to_flyte_idl(self: Any) -> Any:  # noqa: ANN401 - flytekit's own
        given: object = self.outputs
        outputs = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        ready = {name: value for name, value in outputs.items() if isinstance(value, literal)}
        if not ready:
            return await convert(self)
        self.outputs = {name: value for name, value in outputs.items() if name not in ready}
        made = await convert(self)
        for name, value in ready.items():
            made.outputs.literals[name].CopyFrom(value.to_flyte_idl())
        return made

    resource.to_flyte_idl = to_flyte_idl


async def _flytekit_logs(request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - generated code
    """Stand in for flytekit's own GetTaskLogs, which returns where it ought to yield, so that nothing comes of it."""
    base = _module(f"{_BACKEND}.base_connector")
    connector = base.ConnectorRegistry.get_connector(request.task_category.name, request.task_category.version)
    meta = connector.metadata_type.decode(request.resource_meta)
    try:
        yield await base.mirror_async_methods(connector.get_logs, resource_meta=meta)
    except NotImplementedError:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{connector.name} has no logs")


def add_flyte(server: Any, modules: list[str]) -> None:  # noqa: ANN401 - gRPC's own
    """Serve the connectors that are registered with Flyte 2's SDK, which has no public way to load them."""
    services, connectors = _module("flyteidl2.connector.service_pb2_grpc"), _module("flyte.connectors._server")
    _module("flyte.connectors.utils")._load_connectors(modules)
    services.add_AsyncConnectorServiceServicer_to_server(connectors.AsyncConnectorService(), server)
    services.add_ConnectorMetadataServiceServicer_to_server(connectors.ConnectorMetadataService(), server)


def _module(name: str) -> Any:  # noqa: ANN401 - a module of an optional package
    return import_module(name)


async def serve(orders: dict[str, Any], ready: int) -> None:
    """Serve until the parent is gone."""
    from concurrent.futures import ThreadPoolExecutor

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(int(orders["workers"])))
    server = grpc.aio.server(interceptors=[TokenGate(str(orders["token"]))], options=LIMITS)
    add = add_flyte if orders["sdk"] == "flyte" else add_flytekit
    add(server, [str(module) for module in orders["modules"]])
    os.umask(0o077)
    server.add_insecure_port(f"unix:{orders['socket']}")
    await server.start()
    os.write(ready, b"ready\n")
    await server.wait_for_termination()


def main() -> None:
    """Take the orders and serve."""
    # Connectors print: the pipe that says that we are ready is kept apart from what they print to.
    ready = os.dup(1)
    os.dup2(2, 1)
    orders = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    sys.path[:0] = [str(folder) for folder in orders["path"]]
    asyncio.run(serve(orders, ready))


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would be in the way of a regular end
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
