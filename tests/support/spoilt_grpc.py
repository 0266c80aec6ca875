"""
A gRPC server that passes every call on to another one, unless a test wants it to go wrong.

It knows no messages. Faults are those of the conformance kit; ``refused`` and ``busy`` have no counterpart that a
server could play: whether a connection comes about is not its to say, and UNAVAILABLE does not mean that nothing was
done.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from airscrew.engine.testing.job_service import Fault

SLOW_SECONDS = 3.0


class SpoiltGrpc(grpc.GenericRpcHandler):
    """
    Passes unary calls on to ``endpoint``; open it with ``async with``.

    Attributes:
        calls: How often each method was called.
    """

    def __init__(self, endpoint: str) -> None:
        self._behind = endpoint
        self._faults: dict[str, tuple[Fault, int]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="grpc-", dir="/tmp")
        self.endpoint = f"unix:{Path(self._folder.name) / 's'}"
        self.calls: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._behind)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(self.endpoint)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._channel.close()
        self._folder.cleanup()

    def spoil(self, method: str, fault: Fault, times: int) -> None:
        """Let the next calls of a method meet a fault."""
        self._faults[method] = (fault, times)

    def heal(self) -> None:
        """End all faults."""
        self._faults.clear()

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method

        async def pass_on(request: bytes, context: Any) -> bytes:
            try:
                return await self._pass_on(path, request, context)
            except grpc.aio.AioRpcError as error:  # what is behind us has said so
                await context.abort(error.code(), error.details() or "")
                raise

        return grpc.unary_unary_rpc_method_handler(pass_on)

    async def _pass_on(self, path: str, request: bytes, context: Any) -> bytes:
        name = path.rpartition("/")[2]
        self.calls[name] += 1
        match self._take(name):
            case None | Fault.HIDDEN:
                return await self._ask(path, request)
            case Fault.TOO_MANY:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many jobs")
            case Fault.LOST_REQUEST:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case Fault.ERROR:
                await context.abort(grpc.StatusCode.INTERNAL, "something went wrong")
            case Fault.GARBAGE:
                await self._ask(path, request)
                return b"\xff\xff\xff"
            case Fault.SLOW:
                reply = await self._ask(path, request)
                await asyncio.sleep(SLOW_SECONDS)
                return reply
            case Fault.LOST_REPLY:
                await self._ask(path, request)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case Fault.LATE:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(SLOW_SECONDS)
                return await self._ask(path, request)
            case Fault.TWICE:
                await self._ask(path, request)
                return await self._ask(path, request)
            case fault:
                raise AssertionError(f"no server can play {fault}")
        raise AssertionError

    def _take(self, name: str) -> Fault | None:
        fault, times = self._faults.get(name, (None, 0))
        if fault is None or not times:
            return None
        self._faults[name] = (fault, times - 1)
        return fault

    async def _ask(self, path: str, request: bytes) -> bytes:
        return bytes(await self._channel.unary_unary(path)(request, timeout=10))
