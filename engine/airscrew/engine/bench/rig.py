"""
What the measurements share: an engine over a chosen store, echo templates, figures of the process, lag of the loop.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.clock import SystemClock
from airscrew.engine.collector import look_seldom
from airscrew.engine.config import Secrets
from airscrew.engine.core import Core, CoreParts, open_core
from airscrew.engine.data.secrets import open_secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.executor import AnyExecutor
from airscrew.engine.installation import ensure_installation
from airscrew.engine.metrics import NO_METERS, Recorder
from airscrew.engine.metrics.store import TimedStore
from airscrew.engine.outbox import FileSink, LogSink
from airscrew.engine.registry import Registry, discover
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.timebase import LinuxBootClock
from airscrew.state.urls import open_store

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions
    from airscrew.state.store import Store

LAG_STEP_SECONDS = 0.005


@dataclass(slots=True)
class Lag:
    """How late the loop's timers come, in milliseconds, sampled every few milliseconds."""

    samples: list[float] = field(default_factory=list[float])

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_STEP_SECONDS
            await asyncio.sleep(LAG_STEP_SECONDS)
            self.samples.append(max(loop.time() - due, 0.0) * 1000)

    def percentile(self, share: float) -> float:
        """Return the lag that so large a share of the samples stays under."""
        ordered = sorted(self.samples) or [0.0]
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def store_url(options: BenchOptions) -> str:
    """Say which store is measured."""
    if not options.store:
        return f"sqlite:{Path(options.directory) / 'bench.db'}"
    return "memory:" if options.store == "memory" else options.store


def cpu_seconds() -> float:
    """Return what this process has used of the processors."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb() -> float:
    """Return how much memory this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


@asynccontextmanager
async def bench_engine(
    options: BenchOptions,
    *,
    sinks: bool = True,
    executors: Mapping[str, dict[str, object]] | None = None,
    others: Sequence[AnyExecutor] = (),
) -> AsyncIterator[tuple[Core, Store]]:
    """
    Run an engine over the chosen store, with the sinks that are on by default.

    Args:
        options: Which store, and where files are.
        sinks: Whether events go anywhere.
        executors: The only ones that are on, with their configuration; None for those that reach nothing outside.
        others: Executors beside the installed ones.
    """
    random = Random(1)
    async with AsyncExitStack() as stack:
        meters = Recorder() if options.metrics else NO_METERS
        store = await stack.enter_async_context(open_store(store_url(options)))
        if options.metrics:
            store = TimedStore(store, meters)
        secrets = Secrets()
        data = LocalDataPlane(
            store=store,
            storage=await stack.enter_async_context(Storage()),
            base=f"{options.directory}/data",
            work_base=f"{options.directory}/work",
            secrets=open_secrets(secrets.providers),
            installation=await ensure_installation(store, random),
        )
        registry = Registry()
        for one in others:
            registry.register(one)
        candidates = discover()
        reaching = {"process", "http_job", "pod"} | {one.id for one in candidates if one.needs_config}
        off = reaching if executors is None else {one.id for one in candidates} - {*executors}
        registry.add(candidates, disabled=frozenset(off))
        if executors is not None:
            stack.push_async_callback(registry.close)
        clock = SystemClock()
        file = FileSink(Path(options.directory) / "events.jsonl")
        parts = CoreParts(
            store=store,
            registry=registry,
            data=data,
            cache=StoreTaskCache.make(store, data, clock),
            clock=clock,
            boot=LinuxBootClock(),
            random=random,
            sinks=[LogSink(), file] if sinks else [],
            workers=256,
            meters=meters,
            executor_config=dict(executors or {}),
        )
        core = await stack.enter_async_context(open_core(parts))
        look_seldom()
        yield core, store


async def until_under_control(core: Core, tasks: int) -> None:
    """Wait until so many tasks are under control, and none of them waits for a turn."""
    # A poll disturbs what is measured less than an event at each change would.
    while core.controller.unfinished < tasks or core.controller.ready:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def submit_all(core: Core, requests: Iterable[SubmitRequest], submitters: int) -> None:
    """Submit so many at once until all are accepted."""
    left = iter(requests)

    async def submit() -> None:
        for request in left:
            await core.api.submit(request)

    async with asyncio.TaskGroup() as group:
        for _ in range(submitters):
            group.create_task(submit())


async def run_echoes(core: Core, prefix: str, tasks: int, submitters: int) -> None:
    """Submit so many echo tasks by the public way, and wait until the last one is over."""
    template = echo_template()
    left = asyncio.Semaphore(0)

    def over(live: object) -> None:
        del live
        left.release()

    core.controller.on_done = over
    requests = (
        SubmitRequest(name=f"{prefix}-{number}", template=template, inputs=integer_inputs(number))
        for number in range(tasks)
    )
    await submit_all(core, requests, submitters)
    for _ in range(tasks):
        await left.acquire()


def echo_template() -> bytes:
    """Make the template of an echo task of one integer."""
    from airscrew.idl.template.build import make_template

    return make_template("echo", inputs={"x": int}, outputs={"o0": int}, name="bench.echo").raw


def integer_inputs(number: int) -> bytes:
    """Make the inputs of an echo task."""
    from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar

    literal = Literal(scalar=Scalar(primitive=Primitive(integer=number)))
    return bytes(LiteralMap(literals={"x": literal}).SerializeToString())


def now() -> float:
    """Return seconds that never go back."""
    return time.monotonic()
