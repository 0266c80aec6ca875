"""
A whole engine for one example: its service, its loop and its data plane over a store in memory, on virtual time.

Beside whatever an example submits runs a healthy task, which must succeed with its own outputs; then the engine must
still answer, and stop when it is told to.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
from tests.fuzz.target import nothing_unforeseen
from tests.support.literal_maps import literals
from tests.support.templates import echo_template
from typing_extensions import override

from airscrew.engine.api.codes import STATUSES
from airscrew.engine.api.model import ApiError, ExecutionView, ListRequest, SubmitRequest
from airscrew.engine.api.wire import encode
from airscrew.engine.clock import LoopClock
from airscrew.engine.config import Secrets
from airscrew.engine.core import Core, CoreParts, open_core
from airscrew.engine.data.secrets import open_secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.executor import AnyExecutor
from airscrew.engine.installation import ensure_installation
from airscrew.engine.registry import Registry
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.testing.virtual_time import run_virtual
from airscrew.engine.timebase import BootClock
from airscrew.idl.proto.service.v1 import service_pb2 as pb
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Store

EPOCH = 1_700_000_000.0
PATIENCE_SECONDS = 3600.0
"""What takes longer than this is killed, and must be over within as long again; virtual."""

DAYS_SECONDS = 40 * 24 * 3600.0

REFUSALS = frozenset(STATUSES) - {"failed", "unavailable"}
"""What may be answered to bad bytes: ``failed`` is a defect of ours, ``unavailable`` would have them sent again."""


class _Boot(BootClock):
    @override
    def boot_id(self) -> str:
        return "boot"

    @override
    def uptime(self) -> float:
        return asyncio.get_running_loop().time() + 1000.0


@asynccontextmanager
async def open_engine(
    folder: str, store: Store, executors: Sequence[AnyExecutor], config: dict[str, dict[str, object]] | None = None
) -> AsyncIterator[Core]:
    """Run an engine with these executors; files lie in a folder."""
    random, clock = Random(1), LoopClock(EPOCH)
    async with AsyncExitStack() as stack:
        data = LocalDataPlane(
            store=store,
            storage=await stack.enter_async_context(Storage(random=random)),
            base=f"{folder}/data",
            work_base=f"{folder}/work",
            secrets=open_secrets(Secrets().providers),
            installation=await ensure_installation(store, random),
        )
        registry = Registry()
        for executor in executors:
            registry.register(executor)
        stack.push_async_callback(registry.close)
        parts = CoreParts(
            store=store,
            registry=registry,
            data=data,
            cache=StoreTaskCache.make(store, data, clock),
            clock=clock,
            boot=_Boot(),
            random=random,
            watched=False,
            executor_config=config or {},
        )
        yield await stack.enter_async_context(open_core(parts))


def play(
    body: Callable[[Core, Path], Awaitable[None]],
    *executors: AnyExecutor,
    store: Store | None = None,
    config: dict[str, dict[str, object]] | None = None,
) -> None:
    """Run an engine around a body and a healthy task; nothing unforeseen may happen."""

    async def story(folder: str) -> None:
        async with open_engine(folder, store or MemoryStore(), executors, config) as core:
            await core.api.submit(healthy_request())
            await body(core, Path(folder))
            await see_healthy(core)

    with tempfile.TemporaryDirectory(prefix="airscrew-fuzz-") as folder, nothing_unforeseen():
        run_virtual(story(folder), limit_seconds=DAYS_SECONDS)


def healthy_request() -> SubmitRequest:
    """The request of the task that nothing may happen to."""
    template = echo_template({"x": "int"}, name="demo.healthy").SerializeToString()
    return SubmitRequest(name="healthy", template=template, inputs=literals(x=(7, int)).SerializeToString())


async def see_healthy(core: Core) -> None:
    """See that it has succeeded, that the engine lists it and still takes another one."""
    view = await settled(core, "default/healthy")
    assert view.phase.name == "SUCCESS", view
    assert (await core.api.outputs("default/healthy")).values == {"o0": 7}
    again = await core.api.submit(msgspec.structs.replace(healthy_request(), name="after"))
    assert (await settled(core, again.execution)).phase.name == "SUCCESS"


async def submitted(core: Core, request: SubmitRequest) -> str:
    """Submit what may be anything; the name of the execution, or nothing when it is refused as it must be."""
    try:
        return (await core.api.submit(request)).execution
    except ApiError as error:
        see_refusal(error)
        return ""


def see_refusal(error: ApiError, good: Set[str] = REFUSALS) -> None:
    """See that a refusal says in a line what is wrong, by default with what was sent."""
    assert error.code in good, f"{error.code}: {error}"
    assert str(error)
    assert "\n" not in str(error), str(error)


async def see_end(core: Core, execution: str) -> ExecutionView:
    """See that an execution comes to an end that says why, or is quarantined with a reason, and can be shown."""
    view = await settled(core, execution)
    see_shown(view)
    if view.phase.name != "SUCCESS" and not view.quarantined:
        assert view.error is not None, view
        assert view.error.code, view
    listed = [one.execution for one in (await core.api.list(ListRequest(limit=100))).executions]
    assert execution in listed
    try:
        encode(await core.api.outputs(execution), pb.OutputsView())
    except ApiError as error:
        see_refusal(error)
    return view


def see_shown(view: ExecutionView) -> None:
    """See that an execution can be sent and printed."""
    encode(view, pb.ExecutionView()).SerializeToString()
    msgspec.json.encode(view)


async def settled(core: Core, execution: str) -> ExecutionView:
    """Wait until an execution is over or quarantined; what runs on for an hour is killed."""
    view = await _waited(core, execution)
    if view is None:
        await core.api.kill(execution, "it takes long")
        view = await _waited(core, execution)
    assert view is not None, f"{execution} hangs: {await core.api.get(execution)}"
    return view


async def _waited(core: Core, execution: str) -> ExecutionView | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for view in core.api.watch(execution):
                if view.ended_at or view.quarantined:
                    return view
    except TimeoutError:
        return None
    return None
