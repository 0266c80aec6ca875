"""
The engine on a machine: home folder, lock, store, executors, socket; opened in order and closed in reverse.

Guarantees: one process at a time is a store's engine (the lock is taken before the store is opened for work and given
back last); whatever fails on the way up closes what was opened; a problem of one executor, or of the socket, does not
keep the engine down.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from airscrew.engine.arrivals import Arrivals, LookForArrivals
from airscrew.engine.chores import FileStamp, doing_chores
from airscrew.engine.clock import Clock, SystemClock
from airscrew.engine.config import EngineSettings, WorkKind, WorkScope
from airscrew.engine.core import Core, CoreParts, open_core
from airscrew.engine.data.secrets import open_secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.hosting import executor_view
from airscrew.engine.installation import ensure_installation
from airscrew.engine.logs import masking
from airscrew.engine.machine import Policy
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.outbox import FileSink, LogSink, Sink
from airscrew.engine.quotas import Pools
from airscrew.engine.registry import (
    Arrived,
    Candidate,
    Known,
    Registry,
    discover,
    look_again,
    look_for_arrivals,
    nearest,
)
from airscrew.engine.service.reader import Reader
from airscrew.engine.service.service import StoreViewer
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.timebase import LinuxBootClock
from airscrew.idl.errors import UsageError
from airscrew.state.beside import running_beside
from airscrew.state.holder import myself
from airscrew.state.lock import EngineLock
from airscrew.state.members import Member, Membership, join
from airscrew.state.records import SCHEMA_VERSION
from airscrew.state.urls import open_store

if TYPE_CHECKING:
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.vitals import Instruments
    from airscrew.state.store import LeaseStore, Store

log = logging.getLogger("airscrew.manager")

SOCKET_SECONDS = 0.2
PROCESS_EXECUTOR = "process"
POD_EXECUTOR = "pod"


@asynccontextmanager
async def open_engine(
    settings: EngineSettings,
    *,
    work: WorkScope,
    serve_socket: bool = True,
    registry: Registry | None = None,
    clock: Clock | None = None,
    random: Random | None = None,
    instruments: Instruments | None = None,
) -> AsyncIterator[EngineApi]:
    """
    Be the engine of a store until the body ends; then drain.

    Args:
        settings: What the operator decided.
        work: Which executions are worked on.
        serve_socket: Whether others of this machine may reach it by the socket beside the store.
        registry: Executors of an embedding program, kept open after this engine; None to find the installed ones.
        clock: The machine's clocks.
        random: A source of randomness.
        instruments: What watches the engine; None when nobody does.

    Raises:
        StoreBusyError: Another process is the store's engine.
        StoreUnavailableError: The store does not answer, or does not let us in.
        UsageError: The home cannot be used; says why.
    """
    clock, random = clock or SystemClock(), random or SystemRandom()
    async with AsyncExitStack() as stack:
        prepare_home(settings)
        meters = NO_METERS if instruments is None else instruments.meters
        store, membership = await _open_owned(settings, work, stack, clock, random, meters)
        found = registry or find_executors(settings, is_serving=work.kind is WorkKind.ALL)
        if registry is None:
            stack.push_async_callback(_close, found)
        found.check_conflicts()
        data = await make_data(settings, store, stack, random)
        stack.enter_context(masking(data.secrets.redactor.redact))
        parts = make_parts(settings, store, found, data, clock=clock, random=random, work=work)
        parts = replace(parts, membership=membership, meters=meters)
        core = await stack.enter_async_context(open_core(parts))
        if instruments is not None:
            await stack.enter_async_context(_watched(core, store, membership, instruments))
        if registry is None:
            look = _look_for(settings, is_serving=work.kind is WorkKind.ALL)
            await stack.enter_async_context(_taking_in(core, found, look, membership))
        socket = None if not serve_socket else _Socket(waits=work.kind is not WorkKind.ALL)
        await stack.enter_async_context(_beside(core, store, settings, socket))
        yield core.api


async def _open_owned(
    settings: EngineSettings, work: WorkScope, stack: AsyncExitStack, clock: Clock, random: Random, meters: Meters
) -> tuple[Store, Membership | None]:
    """
    Open the store that this process is an engine of.

    A file is one process's, by a lock of the kernel. On a server the engines that work on everything share the store;
    one that works on some executions alone has it for itself, by a lock under a lease.
    """
    if settings.keeps_file:
        lock = stack.enter_context(EngineLock(settings.store_file))
        return _timed(await stack.enter_async_context(open_store(settings.store_url, lock=lock)), meters), None
    store = _timed(await stack.enter_async_context(open_store(settings.store_url)), meters)
    if settings.store_url.startswith("memory:"):
        return store, None
    if work.kind is not WorkKind.ALL:
        from airscrew.state.lease_lock import hold_engine

        return await stack.enter_async_context(hold_engine(store)), None
    me = _describe_member(random)
    membership = join(store, me, monotonic=clock.monotonic, now=clock.now, seconds=settings.lease_seconds)
    return store, await stack.enter_async_context(membership)


def _timed(store: LeaseStore, meters: Meters) -> LeaseStore:
    if not meters.are_kept:
        return store
    from airscrew.engine.metrics.store import TimedStore

    return TimedStore(store, meters)


@asynccontextmanager
async def _watched(
    core: Core, store: Store, membership: Membership | None, instruments: Instruments
) -> AsyncIterator[None]:
    """Keep an engine's vitals and gauges up to date until the block ends."""
    from airscrew.engine.observing import Observer
    from airscrew.engine.vitals.beats import look_at_store

    observer = Observer(core, membership)
    is_certain = (lambda: True) if membership is None else (lambda: membership.is_certain)
    instruments.looks.append(observer.look)
    try:
        async with running_beside(
            store_look=look_at_store(instruments.vitals, store, is_certain), ledger_look=observer.look_at_ledger()
        ):
            yield
    finally:
        instruments.looks.remove(observer.look)


def _describe_member(random: Random) -> Member:
    process = myself()
    return Member(
        id=f"{process.host}-{random.getrandbits(32):08x}",
        version=version("airscrew"),
        schema=SCHEMA_VERSION,
        process=process,
    )


@asynccontextmanager
async def open_viewer(settings: EngineSettings) -> AsyncIterator[EngineApi]:
    """Show what a store holds without being its engine; a store that is not there is an empty one."""
    async with AsyncExitStack() as stack:
        exists = not settings.keeps_file or settings.store_file.exists()
        store = await stack.enter_async_context(open_store(settings.store_url if exists else "memory:"))
        data = await make_data(settings, store, stack, SystemRandom())
        registry = find_executors(settings, is_serving=False)
        yield StoreViewer(
            store=store,
            reader=Reader(store, data.installation, data.output_prefix),
            desk=data,
            list_executors=lambda: [executor_view(one.id, registry, None, 0.0) for one, _, _ in registry.all()],
            pools=Pools(settings.quotas),
        )


def prepare_home(settings: EngineSettings) -> None:
    """Make the home folder, for its owner alone."""
    for folder in (settings.home_path, settings.home_path / "data", settings.home_path / "executors"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def find_executors(settings: EngineSettings, *, is_serving: bool) -> Registry:
    """Find the installed executors, and leave out those that the settings do not want."""
    candidates = discover()
    enabled = settings.enabled_executors
    installed = [one.id for one in candidates]
    unknown = [f"{name!r}{nearest(name, installed)}" for name in enabled or () if name not in installed]
    if unknown:
        raise UsageError(f"enabled_executors names what is not installed: {', '.join(unknown)}")
    bound = [executor for quota in settings.quotas.values() for executor in quota.executors]
    strange = [f"{name!r}{nearest(name, installed)}" for name in bound if name not in installed]
    if strange:
        raise UsageError(f"quotas name executors that are not installed: {', '.join(strange)}")
    registry = Registry(defaults=dict(settings.default_for_task_types))
    registry.add(candidates, disabled=unwanted(settings, candidates, is_serving=is_serving))
    return registry


def unwanted(settings: EngineSettings, candidates: Sequence[Candidate], *, is_serving: bool) -> frozenset[str]:
    """Say which of the installed executors the settings leave out."""
    enabled = settings.enabled_executors
    wanted = {*settings.executors, *(enabled or ())}
    disabled = {one.id for one in candidates if enabled is not None and one.id not in enabled}
    disabled |= {one.id for one in candidates if one.needs_config and one.id not in wanted}
    # Tasks with a container run as Pods where there is a cluster to run them, and else as processes of this machine.
    wants_pods = POD_EXECUTOR in settings.executors or POD_EXECUTOR in (enabled or ())
    if not wants_pods:
        disabled.add(POD_EXECUTOR)
    wants_processes = settings.process_executor
    if wants_processes is False or (wants_processes is None and (is_serving or wants_pods)):
        disabled.add(PROCESS_EXECUTOR)
    return frozenset(disabled)


@asynccontextmanager
async def _taking_in(
    core: Core, registry: Registry, look: LookForArrivals, membership: Membership | None
) -> AsyncIterator[None]:
    """Let executors be loaded that are installed while the engine works."""
    wake = core.controller.wake_those_of
    arrivals = Arrivals(registry=registry, look=look, setup=core.setup, wake=wake, membership=membership)
    core.api.take_in = arrivals.load_arrivals
    async with running_beside(arrivals=arrivals.keep_arrivals()):
        yield


def _look_for(settings: EngineSettings, *, is_serving: bool) -> LookForArrivals:
    """Look for executors that are installed while the engine works, off its loop: imports take time."""

    def look_now(known: Sequence[Known]) -> Arrived:
        return look_for_arrivals(look_again(), known, partial(unwanted, settings, is_serving=is_serving))

    async def look(known: Sequence[Known]) -> Arrived:
        return await asyncio.get_running_loop().run_in_executor(None, look_now, known)

    return look


async def make_data(settings: EngineSettings, store: Store, stack: AsyncExitStack, random: Random) -> LocalDataPlane:
    """Make the data plane that the settings describe."""
    secrets = settings.secrets
    return LocalDataPlane(
        store=store,
        storage=await stack.enter_async_context(Storage()),
        base=settings.data_uri,
        work_base=str(settings.home_path / "work"),
        secrets=open_secrets(secrets.providers, env_prefix=secrets.env_prefix, directory=secrets.directory),
        installation=await ensure_installation(store, random),
    )


def make_parts(
    settings: EngineSettings,
    store: Store,
    registry: Registry,
    data: LocalDataPlane,
    *,
    clock: Clock,
    random: Random,
    work: WorkScope,
) -> CoreParts:
    """Put together what an engine is made of."""
    timeouts = settings.timeouts
    sinks: list[Sink] = [LogSink(), FileSink(settings.home_path / "events.jsonl")]
    return CoreParts(
        store=store,
        registry=registry,
        data=data,
        cache=StoreTaskCache.make(store, data, clock, data.storage.exists),
        clock=clock,
        boot=LinuxBootClock(),
        random=random,
        sinks=sinks,
        policy=Policy(
            system_retries=settings.retries.system,
            check_failures=settings.retries.check_failures,
            kill_deadline=settings.kill_deadline,
        ),
        timeouts={
            "queued": timeouts.queued,
            "pending": timeouts.pending,
            "attempt": timeouts.attempt,
            "total": timeouts.total,
        },
        executor_config={name: dict(config) for name, config in settings.executors.items()},
        state_directory=str(settings.home_path / "executors"),
        scope=work,
        workers=settings.workers,
        drain_seconds=settings.drain_seconds,
        pools=Pools(settings.quotas),
    )


@asynccontextmanager
async def _beside(core: Core, store: Store, settings: EngineSettings, socket: _Socket | None) -> AsyncIterator[None]:
    """What runs beside the loop: the socket, and the leader's chores of the anchor of time and retention."""
    stamp = FileStamp(settings.home_path / "pruned", time.time)
    async with doing_chores(core, store, settings.retention, stamp=stamp, boot=LinuxBootClock()) as group:
        if socket is not None:
            group.create_task(socket.serve(core, settings), name="socket")
            await socket.ready.wait()
        try:
            yield
        finally:
            if socket is not None:
                socket.stop.set()


@dataclass(slots=True)
class _Socket:
    """
    The socket beside the store.

    Attributes:
        waits: Whether it is opened only when the engine lives for longer than a short task: what it takes to import
            and open it would be a tenth of that. Else the engine is ready when its socket is.
        ready: Set when the engine may begin.
        stop: Set when it ends.
    """

    waits: bool
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, core: Core, settings: EngineSettings) -> None:
        """Serve an engine until it ends; without a socket it works all the same."""
        try:
            if self.waits:
                self.ready.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(SOCKET_SECONDS):
                        await self.stop.wait()
            if not self.stop.is_set():
                await asyncio.get_running_loop().run_in_executor(None, import_module, "airscrew.engine.api.server")
                await self._serve(core, settings)
        finally:
            self.ready.set()

    async def _serve(self, core: Core, settings: EngineSettings) -> None:
        from airscrew.engine.api.adapter import ServerInfo
        from airscrew.engine.api.address import socket_beside
        from airscrew.engine.api.server import serving

        info = ServerInfo(version=version("airscrew"), pid=os.getpid(), started_at=time.time(), home=settings.home)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(serving(core.api, socket_beside(settings.store_file), info))
            except (OSError, UsageError) as error:
                log.warning("the socket cannot be served", extra={"error": str(error)})
            self.ready.set()
            await self.stop.wait()


async def _close(registry: Registry) -> None:
    for name, problem in (await registry.close()).items():
        log.warning("an executor did not close", extra={"executor": name, "problem": problem})
