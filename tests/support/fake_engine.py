"""
An engine in memory, for tests of what sits on ``EngineApi``: the command line, the server, the client.

What it gets right: identity and idempotence of submissions, labels, pages, watches, kill, retry, logs that are
followed, leaks, pruning, and the codes of refusals. Where it lies: nothing runs. An execution moves when the test moves
it (``change``), or along its script: one step for each view that a watch has delivered. Its template is looked at only
to refuse ``BAD_TEMPLATE``.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
from typing_extensions import override

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
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase

BAD_TEMPLATE = b"\xff not a template"
NOW = 1_700_000_000.0

RUNNING: Mapping[str, object] = {"phase": Phase.RUNNING, "executor": "echo", "reason": "it runs"}
SUCCESS: Mapping[str, object] = {"phase": Phase.SUCCESS, "reason": "", "ended_at": NOW + 3}
USER_FAILURE: Mapping[str, object] = {
    "phase": Phase.PERMANENT_FAILURE,
    "ended_at": NOW + 3,
    "error": ExecutionError(code="USER:ValueError", message="ValueError: no such thing", kind=ErrorKind.USER),
}
SYSTEM_FAILURE: Mapping[str, object] = {
    "phase": Phase.PERMANENT_FAILURE,
    "ended_at": NOW + 3,
    "error": ExecutionError(code="Lost", message="the process is gone", kind=ErrorKind.SYSTEM),
}


class FakeEngineApi(EngineApi):
    """See the module."""

    def __init__(self, *, script: Sequence[Mapping[str, object]] = ()) -> None:
        self.script = list(script)
        self.calls: list[tuple[str, object]] = []
        self.refuse: dict[str, Exception] = {}
        self.views: dict[str, ExecutionView] = {}
        self.requests: dict[str, SubmitRequest] = {}
        self.results: dict[str, OutputsView] = {}
        self.log: dict[str, bytearray] = {}
        self.leak_views: list[LeakView] = []
        self.quota_views: list[QuotaView] = []
        self.executor_views: list[ExecutorView] = []
        self.load_reply = LoadReply()
        self.kill_is_confirmed = True
        self._steps: dict[str, list[Mapping[str, object]]] = {}
        self._changed = asyncio.Condition()

    async def change(self, execution: str, **changes: object) -> None:
        """Move an execution and tell its watchers."""
        self._change(execution, changes)
        async with self._changed:
            self._changed.notify_all()

    async def step(self) -> None:
        """Take every execution one step along its script, as time does while nobody watches."""
        for execution, steps in self._steps.items():
            if steps:
                await self.change(execution, **steps.pop(0))

    async def write_log(self, execution: str, data: bytes) -> None:
        """Write into the log and tell its readers."""
        self.log.setdefault(execution, bytearray()).extend(data)
        async with self._changed:
            self._changed.notify_all()

    def _change(self, execution: str, changes: Mapping[str, object]) -> None:
        view = self._known(execution)
        self.views[execution] = msgspec.structs.replace(view, phase_version=view.phase_version + 1, **changes)

    def _called(self, method: str, argument: object = None) -> None:
        self.calls.append((method, argument))
        if method in self.refuse:
            raise self.refuse[method]

    def _known(self, execution: str) -> ExecutionView:
        if execution not in self.views:
            raise ApiError("not_found", f"no execution is called {execution}: see `airscrew list`")
        return self.views[execution]

    @override
    async def submit(self, request: SubmitRequest) -> SubmitReply:
        self._called("submit", request)
        if request.template == BAD_TEMPLATE:
            raise ApiError("invalid", "the template is no TaskTemplate")
        execution = f"{request.namespace}/{request.name or f'made-{len(self.views)}'}"
        if execution in self.views:
            if self.requests[execution] != request:
                raise ApiError("already_exists", f"{execution} exists with another request")
            return SubmitReply(execution=execution, uid=self.views[execution].uid, created=False)
        self.requests[execution] = request
        self._steps[execution] = list(self.script)
        self.views[execution] = ExecutionView(
            execution=execution,
            uid=f"{len(self.views):032x}",
            task_type="echo",
            task_name="demo.echo",
            phase=Phase.QUEUED,
            reason="accepted",
            labels=request.labels,
            origin=request.origin,
            accepted_at=NOW,
            since=NOW,
            max_attempts=request.max_attempts or 1,
        )
        return SubmitReply(execution=execution, uid=self.views[execution].uid)

    @override
    async def get(self, execution: str) -> ExecutionView:
        self._called("get", execution)
        return self._known(execution)

    @override
    async def list(self, request: ListRequest) -> ListReply:
        self._called("list", request)
        names = sorted(name for name, view in self.views.items() if _matches(request, name, view))
        begin = int(request.page_token or 0)
        page = names[begin : begin + request.limit]
        more = begin + request.limit < len(names)
        return ListReply(
            executions=[self.views[name] for name in page],
            next_page_token=str(begin + request.limit) if more else "",
        )

    @override
    async def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        self._called("watch", execution)
        version = -1
        while True:
            view = self._known(execution)
            if view.phase_version != version:
                version = view.phase_version
                yield view
                if view.is_over:
                    return
            if "watch" in self.refuse:
                raise self.refuse["watch"]
            if self._steps.get(execution):
                await self.change(execution, **self._steps[execution].pop(0))
                continue
            async with self._changed:
                await self._changed.wait()

    @override
    async def outputs(self, execution: str) -> OutputsView:
        self._called("outputs", execution)
        self._known(execution)
        return self.results.get(execution, self.results.get("", OutputsView()))

    @override
    async def kill(self, execution: str, reason: str, *, force: bool = False) -> None:
        self._called("kill", (execution, reason, force))
        if self._known(execution).is_over:
            return
        if self.kill_is_confirmed or force:
            self._steps[execution] = []
            await self.change(execution, phase=Phase.ABORTED, reason=reason, ended_at=NOW + 5)

    @override
    async def retry(self, execution: str, *, force: bool = False) -> SubmitReply:
        self._called("retry", (execution, force))
        view = self._known(execution)
        if not view.is_over:
            raise ApiError("invalid", f"{execution} is not over: kill it first")
        request = msgspec.structs.replace(self.requests[execution], name=f"{view.execution[8:]}-r", origin=execution)
        return await self.submit(request)

    @override
    async def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> AsyncIterator[LogChunk]:
        self._called("metrics" if metrics else "logs", (execution, attempt, follow))
        sent = 0
        while True:
            view, data = self._known(execution), self.log.get(execution, bytearray())
            if len(data) > sent:
                yield LogChunk(data=bytes(data[sent:]), attempt=attempt or 0)
                sent = len(data)
            elif not follow or view.is_over:
                return
            else:
                async with self._changed:
                    await self._changed.wait()

    @override
    async def load_executors(self) -> LoadReply:
        self._called("load_executors")
        return self.load_reply

    @override
    async def quotas(self) -> builtins.list[QuotaView]:
        self._called("quotas")
        return self.quota_views

    @override
    async def leaks(self) -> builtins.list[LeakView]:
        self._called("leaks")
        return self.leak_views

    @override
    async def clear_leak(self, key: str) -> None:
        self._called("clear_leak", key)
        if key not in {leak.key for leak in self.leak_views}:
            raise ApiError("not_found", f"no open ledger entry has the key {key}")
        self.leak_views = [leak for leak in self.leak_views if leak.key != key]

    @override
    async def prune(self, *, older_than_seconds: float, keep: int = 0, dry_run: bool = False) -> builtins.list[str]:
        self._called("prune", (older_than_seconds, keep, dry_run))
        names = sorted(name for name, view in self.views.items() if view.is_over)[keep:]
        if not dry_run:
            for name in names:
                del self.views[name]
        return names

    @override
    async def executors(self) -> builtins.list[ExecutorView]:
        self._called("executors")
        return self.executor_views


def _matches(request: ListRequest, name: str, view: ExecutionView) -> bool:
    return (
        (not request.namespace or name.startswith(request.namespace + "/"))
        and request.labels.items() <= view.labels.items()
        and (not request.phases or view.phase in request.phases)
        and not (request.active and view.is_over)
    )
