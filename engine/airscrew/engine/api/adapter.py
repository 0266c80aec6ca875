"""
The calls of ``EngineService`` on an ``EngineApi``: messages in, messages out, and nothing decided on the way.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator

import msgspec

from airscrew.engine.api.model import ListRequest, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.api.wire import decode, encode
from airscrew.idl.proto.service.v1 import service_pb2 as pb


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which engine this is.

    Attributes:
        version: Of airscrew.
        pid: Its process.
        started_at: Unix seconds.
        home: The folder that it works in.
    """

    version: str
    pid: int
    started_at: float
    home: str = ""


class Adapter:
    """Answers the calls of the service, one method each."""

    def __init__(self, api: EngineApi, info: ServerInfo) -> None:
        self._api = api
        self._info = info

    async def info(self, _request: pb.InfoRequest) -> pb.InfoReply:
        """Answer ``Info``."""
        return encode(self._info, pb.InfoReply())

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitReply:
        """Answer ``Submit``."""
        return encode(await self._api.submit(decode(request, SubmitRequest)), pb.SubmitReply())

    async def get(self, request: pb.GetRequest) -> pb.ExecutionView:
        """Answer ``Get``."""
        return encode(await self._api.get(request.execution), pb.ExecutionView())

    async def list(self, request: pb.ListRequest) -> pb.ListReply:
        """Answer ``List``."""
        return encode(await self._api.list(decode(request, ListRequest)), pb.ListReply())

    async def watch(self, request: pb.WatchRequest) -> AsyncIterator[pb.ExecutionView]:
        """Answer ``Watch``."""
        async for view in self._api.watch(request.execution):
            yield encode(view, pb.ExecutionView())

    async def outputs(self, request: pb.OutputsRequest) -> pb.OutputsView:
        """Answer ``Outputs``."""
        return encode(await self._api.outputs(request.execution), pb.OutputsView())

    async def kill(self, request: pb.KillRequest) -> pb.KillReply:
        """Answer ``Kill``."""
        await self._api.kill(request.execution, request.reason, force=request.force)
        return pb.KillReply()

    async def retry(self, request: pb.RetryRequest) -> pb.SubmitReply:
        """Answer ``Retry``."""
        return encode(await self._api.retry(request.execution, force=request.force), pb.SubmitReply())

    async def logs(self, request: pb.LogsRequest) -> AsyncIterator[pb.LogChunk]:
        """Answer ``Logs``."""
        attempt = request.attempt if request.HasField("attempt") else None
        more = {"follow": request.follow, "metrics": request.metrics}
        async for chunk in self._api.logs(request.execution, attempt=attempt, **more):
            yield encode(chunk, pb.LogChunk())

    async def leaks(self, _request: pb.LeaksRequest) -> pb.LeaksReply:
        """Answer ``Leaks``."""
        leaks = await self._api.leaks()
        return pb.LeaksReply(leaks=[encode(leak, pb.LeakView()) for leak in leaks])

    async def clear_leak(self, request: pb.ClearLeakRequest) -> pb.ClearLeakReply:
        """Answer ``ClearLeak``."""
        await self._api.clear_leak(request.key)
        return pb.ClearLeakReply()

    async def prune(self, request: pb.PruneRequest) -> pb.PruneReply:
        """Answer ``Prune``."""
        names: builtins.list[str] = await self._api.prune(
            older_than_seconds=request.older_than_seconds, keep=request.keep, dry_run=request.dry_run
        )
        return pb.PruneReply(executions=names)

    async def executors(self, _request: pb.ExecutorsRequest) -> pb.ExecutorsReply:
        """Answer ``Executors``."""
        views = await self._api.executors()
        return pb.ExecutorsReply(executors=[encode(view, pb.ExecutorView()) for view in views])

    async def load_executors(self, _request: pb.LoadExecutorsRequest) -> pb.LoadReply:
        """Answer ``LoadExecutors``."""
        return encode(await self._api.load_executors(), pb.LoadReply())

    async def quotas(self, _request: pb.QuotasRequest) -> pb.QuotasReply:
        """Answer ``Quotas``."""
        return pb.QuotasReply(quotas=[encode(view, pb.QuotaView()) for view in await self._api.quotas()])
