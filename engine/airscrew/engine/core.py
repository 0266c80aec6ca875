"""
The engine without a home: controller, outbox and interface over a store that somebody else opened.

``manager`` puts it on a machine with files, a lock and a socket; a test or a simulation opens it over a store in
memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from airscrew.engine.api.model import ExecutorView
from airscrew.engine.children import Children
from airscrew.engine.clock import Clock
from airscrew.engine.config import WorkKind, WorkScope
from airscrew.engine.controller.calls import Calls, UnlimitedAllocation, place_of
from airscrew.engine.controller.commit import Committer
from airscrew.engine.controller.controller import Controller
from airscrew.engine.controller.gates import Gate
from airscrew.engine.controller.host import Host
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ports import TaskCache
from airscrew.engine.controller.turn import Dispatch, Turns
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.executor import Executor, Setup
from airscrew.engine.machine import Policy, Traits
from airscrew.engine.outbox import Outbox, Sink
from airscrew.engine.registry import Registry
from airscrew.engine.service.prune import Pruner
from airscrew.engine.service.reader import Reader, parse_name
from airscrew.engine.service.service import EngineService
from airscrew.engine.service.submission import Submitter
from airscrew.engine.timebase import BootClock, next_life, open_timebase
from airscrew.engine.workqueue import WorkQueue
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import ExecutionId, Uid
from airscrew.state import keys
from airscrew.state.store import Compare, Put, Store

FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreParts:
    """
    What an engine is made of.

    Attributes:
        store: Open; this engine is its only one.
        registry: The executors; not closed by the engine.
        data: The data plane.
        cache: The task cache.
        clock: The machine's clocks.
        boot: The machine's boot clock.
        random: A source of randomness.
        sinks: Where phase events go.
        policy: The operator's.
        timeouts: The operator's defaults in seconds.
        executor_config: Each executor's own part of the configuration.
        state_directory: Below it each executor has a folder of its own.
        scope: Which executions are worked on.
        workers: How many turns are taken at once.
        drain_seconds: How long calls under way may take at the end.
    """

    store: Store
    registry: Registry
    data: LocalDataPlane
    cache: TaskCache
    clock: Clock
    boot: BootClock
    random: Random
    sinks: Sequence[Sink] = ()
    policy: Policy = field(default_factory=Policy)
    timeouts: dict[str, float] = field(default_factory=dict[str, float])
    executor_config: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])
    state_directory: str = ""
    scope: WorkScope = field(default_factory=WorkScope.everything)
    workers: int = 64
    drain_seconds: float = 30.0


@dataclass(slots=True, kw_only=True)
class Core:
    """
    A running engine.

    Attributes:
        api: Its interface.
        controller: Its loop.
        outbox: Its events.
        clock: Its time.
        installation: The installation's UID.
    """

    api: EngineService
    controller: Controller
    outbox: Outbox
    clock: Clock
    installation: str
    _draining: list[bool]

    async def drain(self, seconds: float) -> bool:
        """Take nothing new and let calls under way return; False when that takes longer."""
        self._draining[0] = True
        try:
            async with asyncio.timeout(seconds):
                await self.controller.drain()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def open_core(parts: CoreParts) -> AsyncIterator[Core]:
    """
    Run an engine over a store until the body ends; then drain it.

    Everything unfinished and in scope is under control when the body begins.
    """
    installation = await ensure_installation(parts.store, parts.random)
    clock = await open_timebase(parts.store, parts.clock, parts.boot)
    life = await next_life(parts.store)
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="executor") as threads:
        core = _assemble(parts, installation, clock, life, threads)
        await parts.registry.initialise(_setup_for(parts, core))
        async with asyncio.TaskGroup() as group:
            outbox = group.create_task(core.outbox.run(), name="outbox")
            ready = asyncio.Event()
            cache = group.create_task(parts.cache.run(core.controller.wake), name="cache")
            loop = group.create_task(core.controller.run(ready.set), name="controller")
            await ready.wait()
            try:
                yield core
            finally:
                if not await core.drain(parts.drain_seconds):
                    loop.cancel()
                await core.outbox.flush(FLUSH_SECONDS)
                for task in (outbox, cache):
                    task.cancel()


async def ensure_installation(store: Store, random: Random) -> str:
    """Return the installation's UID; drawn once, when the store is new."""
    found = await store.get(keys.INSTALLATION)
    if found is not None:
        return found.value.decode()
    uid = f"{random.getrandbits(128):032x}"
    result = await store.txn([Compare(keys.INSTALLATION, 0)], [Put(keys.INSTALLATION, uid.encode())])
    return uid if result.succeeded else await ensure_installation(store, random)


def traits_of(executor: Executor[object]) -> Traits:
    """Reduce an executor to what the machine needs to know of it."""
    return Traits(
        id=executor.id,
        start=executor.start_declaration,
        check_interval=executor.check_interval,
        finalizes=type(executor).finalize is not Executor.finalize,
        uses_cache=not executor.disables_cache,
    )


class _Executors:
    """The executors of one engine: hosts, gates, and who has which execution."""

    def __init__(self, registry: Registry, threads: ThreadPoolExecutor, wake: Callable[[ExecutionId], None]) -> None:
        self._registry = registry
        self._threads = threads
        self._wake = wake
        self._hosts: dict[str, Host] = {}
        self._gates: dict[str, Gate] = {}
        self._traits: dict[str, Traits] = {}

    def host_of(self, executor_id: str) -> Host | None:
        host = self._hosts.get(executor_id)
        if host is None:
            executor = self._registry.get(executor_id)
            if executor is None:
                return None
            host = self._hosts[executor_id] = Host(executor, self._threads)
        return host

    def dispatch(self, live: Live) -> Dispatch:
        executor_id = live.record.executor or self._choose(live)
        host = self.host_of(executor_id) if executor_id else None
        if host is None:
            absent = self._registry.why_absent(executor_id) if executor_id else self._why_none(live)
            return Dispatch(executor_id, None, None, absent)
        traits = self._traits.get(executor_id)
        if traits is None:
            traits = self._traits[executor_id] = traits_of(host.executor)
            self._gates[executor_id] = Gate(host.executor.concurrency, self._wake)
        return Dispatch(executor_id, traits, self._gates[executor_id])

    def views(self, now: float) -> list[ExecutorView]:
        return [
            executor_view(candidate.id, self._registry, self._gates.get(candidate.id), now)
            for candidate, _, _ in self._registry.all()
        ]

    def _choose(self, live: Live) -> str:
        try:
            return self._resolve(live).id
        except UsageError:
            return ""

    def _why_none(self, live: Live) -> str:
        try:
            self._resolve(live)
        except UsageError as error:
            return str(error)
        return ""

    def _resolve(self, live: Live) -> Executor[object]:
        # A template is accepted for an unknown type only with a container: what is stored was resolved once before.
        options = live.options
        return self._registry.resolve(options.task_type, has_container=True, wanted=options.executor)


def executor_view(executor_id: str, registry: Registry, gate: Gate | None, now: float) -> ExecutorView:
    """Show an installed executor."""
    candidate, executor, problem = next(found for found in registry.all() if found[0].id == executor_id)
    return ExecutorView(
        id=executor_id,
        task_types=list(executor.task_types) if executor is not None else [],
        origin=candidate.origin,
        version=candidate.version,
        enabled=candidate.enabled,
        problem=problem,
        start=type(executor.start_declaration).__name__ if executor is not None else "",
        breaker=gate.breaker(now) if gate is not None else "",
        live=gate.live if gate is not None else 0,
    )


def _assemble(parts: CoreParts, installation: str, clock: Clock, life: int, threads: ThreadPoolExecutor) -> Core:
    draining = [False]
    scope = _Scope(parts.scope)
    bell = _Bell()
    executors = _Executors(parts.registry, threads, bell.wake)
    reader = Reader(parts.store, installation, parts.data.output_prefix)
    submitter = Submitter(
        store=parts.store,
        registry=parts.registry,
        desk=parts.data,
        clock=clock,
        new_uid=lambda: Uid(f"{parts.random.getrandbits(128):032x}"),
        timeouts=parts.timeouts,
    )
    committer = Committer(parts.store, life, parts.random, clock)
    api = EngineService(
        store=parts.store,
        reader=reader,
        desk=parts.data,
        list_executors=lambda: executors.views(clock.now()),
        submitter=submitter,
        pruner=Pruner(parts.store, reader, parts.data.delete_files),
        clock=clock,
        is_draining=lambda: draining[0],
        on_submit=lambda name: bell.submitted(name, scope),
    )
    calls = Calls(
        host_of=executors.host_of,
        data=parts.data,
        cache=parts.cache,
        children=Children(reader=reader, data=parts.data, submit=api.submit, kill_child=api.kill),
        clock=clock,
        wake=bell.wake,
        allocation=UnlimitedAllocation(),
    )
    turns = Turns(
        calls=calls,
        committer=committer,
        dispatch=executors.dispatch,
        policy=parts.policy,
        clock=clock,
        nonce=lambda: f"{parts.random.getrandbits(64):016x}",
        is_stopping=lambda: draining[0],
    )
    controller = Controller(
        store=parts.store,
        installation=installation,
        turns=turns,
        dispatch=executors.dispatch,
        queue=WorkQueue(clock=parts.clock),
        clock=clock,
        in_scope=scope.covers,
        on_control=lambda live: _taken_up(live, parts.cache),
        workers=parts.workers,
    )
    bell.controller = controller
    outbox = Outbox(parts.store, parts.sinks, clock=clock, random=parts.random)
    return Core(
        api=api, controller=controller, outbox=outbox, clock=clock, installation=installation, _draining=draining
    )


class _Bell:
    """Reaches the controller for the parts that are made before it."""

    controller: Controller

    def wake(self, execution: ExecutionId) -> None:
        self.controller.wake(execution)

    def submitted(self, name: str, scope: _Scope) -> None:
        execution = parse_name(name)
        scope.add(execution)
        self.controller.look(execution)


def _taken_up(live: Live, cache: TaskCache) -> None:
    """Keep alive what an earlier life of the engine had reserved for an execution."""
    options = live.options.cache
    if options is not None and options.serializable and live.record.cache == "miss" and live.record.cache_key:
        cache.hold(place_of(live), live.record.cache_key)


class _Scope:
    """Which executions this process works on; grows by what is submitted through it, and by their children."""

    def __init__(self, scope: WorkScope) -> None:
        self._everything = scope.kind is WorkKind.ALL
        self._named = set(scope.executions)

    def add(self, execution: ExecutionId) -> None:
        if not self._everything:
            self._named.add(str(execution))

    def covers(self, live: Live) -> bool:
        if self._everything or str(live.execution) in self._named:
            return True
        if live.options.parent in self._named:
            self._named.add(str(live.execution))
            return True
        return bool(live.record.kill) or "kill" in live.requests


def _setup_for(parts: CoreParts, core: Core) -> Callable[[str], Setup]:
    def setup(executor_id: str) -> Setup:
        return Setup(
            installation=core.installation,
            config=parts.executor_config.get(executor_id, {}),
            state_directory=f"{parts.state_directory}/{executor_id}" if parts.state_directory else "",
            clock=core.clock,
            random=parts.random,
            wake=core.controller.wake_key,
        )

    return setup
