"""
The engine without a home: controller, outbox and interface over a store that somebody else opened.

``manager`` puts it on a machine with files, a lock and a socket; a test or a simulation opens it over a store in
memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass, field
from random import Random

from airscrew.engine.api.model import ExecutionView
from airscrew.engine.children import Children
from airscrew.engine.clock import Clock
from airscrew.engine.config import WorkKind, WorkScope
from airscrew.engine.controller.calls import Calls
from airscrew.engine.controller.commit import Committer
from airscrew.engine.controller.controller import Controller
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import SharedOwner, SoleOwner
from airscrew.engine.controller.ports import TaskCache, place_of
from airscrew.engine.controller.scope import Scope
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.controller.turn import Turns
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.executor import Setup
from airscrew.engine.hosting import Hosts
from airscrew.engine.installation import ensure_installation
from airscrew.engine.machine import Policy
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.outbox import Outbox, Sink
from airscrew.engine.quotas import Pools, QuotaDesk, following
from airscrew.engine.registry import Registry
from airscrew.engine.service.prune import Pruner
from airscrew.engine.service.reader import Reader, parse_name
from airscrew.engine.service.service import EngineService
from airscrew.engine.service.submission import Submitter
from airscrew.engine.sharing import Leadership, ShardWork
from airscrew.engine.timebase import BootClock, EngineClock, next_life, open_timebase
from airscrew.engine.workqueue import WorkQueue
from airscrew.idl.ids import ExecutionId, Uid
from airscrew.state.fencing import FencedStore
from airscrew.state.members import LEADER, Membership
from airscrew.state.records import Options
from airscrew.state.store import Store

FLUSH_SECONDS = 5.0
TIME_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreParts:
    """
    What an engine is made of.

    Attributes:
        store: Open; this engine is its only one, or a member of those that share it.
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
        membership: This engine among those that share the store; None for an engine that has it for itself.
        watched: Whether a watchdog looks for executors that block the loop; off where the time is virtual.
        meters: Where it counts what it does.
        pools: The quotas that are set.
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
    membership: Membership | None = None
    watched: bool = True
    meters: Meters = NO_METERS
    pools: Pools = field(default_factory=lambda: Pools({}))


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
        hosts: Its executors.
        setup: Makes what an executor is initialised with.
        quotas: Holds starts back; None without quotas.
    """

    api: EngineService
    controller: Controller
    outbox: Outbox
    clock: Clock
    installation: str
    hosts: Hosts
    setup: Callable[[str], Setup]
    quotas: QuotaDesk | None
    leadership: Leadership
    shared: ShardWork | None
    _draining: list[bool]

    async def drain(self, seconds: float, membership: Membership | None = None) -> bool:
        """Take nothing new and let calls under way return; False when that takes longer."""
        self._draining[0] = True
        try:
            async with asyncio.timeout(seconds):
                if membership is not None and self.shared is not None:
                    self.shared.is_leaving = True
                    await membership.leave(seconds)
                await self.controller.drain()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def open_core(parts: CoreParts) -> AsyncIterator[Core]:
    """
    Run an engine over a store until the body ends; then drain it.

    Everything unfinished and in scope is under control when the body begins; of an engine among several, all that is
    in the shards that it got.
    """
    installation = await ensure_installation(parts.store, parts.random)
    clock = await _open_clock(parts)
    life = await next_life(parts.store)
    core = _assemble(parts, installation, clock, life)
    await parts.registry.initialise(core.setup)
    with core.hosts.watchdog or nullcontext(), closing(core.hosts):
        async with following(core.quotas), _running(core, parts):
            yield core


async def _open_clock(parts: CoreParts) -> EngineClock:
    """Go on with the time of the engines that are there; where there is none, with the store's."""
    if parts.membership is not None:
        time = await parts.membership.hear_time(TIME_SECONDS)
        if time is not None:
            return EngineClock(parts.clock, time)
    return await open_timebase(parts.store, parts.clock, parts.boot)


@asynccontextmanager
async def _running(core: Core, parts: CoreParts) -> AsyncIterator[None]:
    """Run the loops of an engine until the body ends; then drain."""
    async with asyncio.TaskGroup() as group:
        chores = group.create_task(core.leadership.run(), name="chores")
        ready = asyncio.Event()
        cache = group.create_task(parts.cache.run(core.controller.wake), name="cache")
        loop = group.create_task(core.controller.run(ready.set), name="controller")
        await ready.wait()
        try:
            await _begin(core, parts)
            yield
        finally:
            if not await core.drain(parts.drain_seconds, parts.membership):
                loop.cancel()
            if core.leadership.is_held:
                await core.leadership.flush()
            for task in (chores, cache):
                task.cancel()


async def _begin(core: Core, parts: CoreParts) -> None:
    """Have everything, or get a share of it."""
    if parts.membership is None or core.shared is None:
        core.leadership.begin()
        return
    parts.membership.set_time(core.clock.now)
    await parts.membership.begin(core.shared, parts.registry.state_versions())


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the parts of one engine share."""

    parts: CoreParts
    installation: str
    clock: EngineClock
    life: int
    scope: Scope
    bell: _Bell
    hosts: Hosts
    quotas: QuotaDesk | None
    draining: list[bool]

    def announce(self, execution: ExecutionId, options: Options) -> None:
        """Let the controller expect what is about to be accepted."""
        self.scope.add(execution)
        self.bell.controller.expect(execution, options)


def _assemble(parts: CoreParts, installation: str, clock: EngineClock, life: int) -> Core:
    bell, scope, draining = _Bell(), Scope(parts.scope), [False]
    setup = _setup_for(parts, installation, clock, bell)
    hosts = Hosts(
        parts.registry, bell.wake, setup, on_moved=bell.wake_all_of, watched=parts.watched, meters=parts.meters
    )
    quotas = QuotaDesk(
        store=parts.store,
        pools=parts.pools,
        clock=clock,
        wake=bell.wake,
        spread=parts.random.random,
        heeds_others=parts.scope.kind is WorkKind.ALL,
    )
    frame = _Frame(parts, installation, clock, life, scope, bell, hosts, quotas if parts.pools else None, draining)
    api = _make_service(frame)
    bell.reader = api.reader
    bell.controller = _make_controller(frame, api)
    member = parts.membership
    store = parts.store if member is None else FencedStore(member.store, member.unit(LEADER))
    outbox = Outbox(store, parts.sinks, clock=clock, random=parts.random)
    leadership = Leadership(outbox.run, lambda: outbox.flush(FLUSH_SECONDS))
    return Core(
        api=api,
        controller=bell.controller,
        outbox=outbox,
        leadership=leadership,
        shared=None if member is None else ShardWork(bell.controller, leadership, clock),
        clock=clock,
        installation=installation,
        hosts=hosts,
        setup=setup,
        quotas=frame.quotas,
        _draining=draining,
    )


def _make_service(frame: _Frame) -> EngineService:
    parts, clock, bell, scope = frame.parts, frame.clock, frame.bell, frame.scope
    reader = Reader(parts.store, frame.installation, parts.data.output_prefix)
    submitter = Submitter(
        store=parts.store,
        registry=parts.registry,
        desk=parts.data,
        clock=clock,
        new_uid=lambda: Uid(f"{parts.random.getrandbits(128):032x}"),
        announce=frame.announce,
        timeouts=parts.timeouts,
    )
    return EngineService(
        store=parts.store,
        reader=reader,
        desk=parts.data,
        list_executors=lambda: frame.hosts.views(clock.now()),
        pools=parts.pools,
        submitter=submitter,
        pruner=Pruner(parts.store, reader, parts.data.delete_files),
        clock=clock,
        is_draining=lambda: frame.draining[0],
        on_known=lambda name: bell.look(scope.add(parse_name(name))),
    )


def _make_controller(frame: _Frame, api: EngineService) -> Controller:
    parts, clock, bell, hosts = frame.parts, frame.clock, frame.bell, frame.hosts
    member = parts.membership
    owner = SoleOwner() if member is None else SharedOwner(member)
    calls = Calls(
        host_of=hosts.host_of,
        data=parts.data,
        cache=parts.cache,
        children=Children(reader=api.reader, data=parts.data, submit=api.submit, kill_child=api.kill),
        clock=clock,
        wake=bell.wake,
        redact=parts.data.secrets.redactor.redact,
        owner=owner,
        meters=parts.meters,
        refuses=parts.pools.refusal,
    )
    turns = Turns(
        calls=calls,
        committer=Committer(parts.store, frame.life, parts.random, clock, owner, parts.meters),
        owner=owner,
        dispatch=hosts.dispatch,
        policy=parts.policy,
        clock=clock,
        nonce=lambda: f"{parts.random.getrandbits(64):016x}",
        is_stopping=lambda: frame.draining[0],
        meters=parts.meters,
        quotas=frame.quotas,
    )
    return Controller(
        store=parts.store,
        installation=frame.installation,
        turns=turns,
        dispatch=hosts.dispatch,
        queue=WorkQueue(clock=parts.clock),
        clock=clock,
        in_scope=frame.scope.covers,
        on_control=lambda live: _taken_up(live, parts.cache),
        on_lost=lambda live: parts.cache.drop(place_of(live)),
        shards=OpenShards.all() if member is None else OpenShards(),
        workers=parts.workers,
        meters=parts.meters,
    )


class _Bell:
    """Reaches the controller for the parts that are made before it."""

    controller: Controller
    reader: Reader

    def wake(self, execution: ExecutionId) -> None:
        self.controller.wake(execution)

    def wake_key(self, key: str) -> None:
        self.controller.wake_key(key)

    def wake_all_of(self, executor_id: str) -> None:
        self.controller.wake_all_of(executor_id)

    def look(self, execution: ExecutionId) -> None:
        self.controller.look(execution)

    def watch(self, name: str) -> AsyncGenerator[ExecutionView, None]:
        return self.reader.watch(name)


def _taken_up(live: Live, cache: TaskCache) -> None:
    """Keep alive what an earlier life of the engine had reserved for an execution."""
    options = live.options.cache
    if options is not None and options.serializable and live.record.cache == "miss" and live.record.cache_key:
        cache.hold(place_of(live), live.record.cache_key)


def _setup_for(parts: CoreParts, installation: str, clock: Clock, bell: _Bell) -> Callable[[str], Setup]:
    def setup(executor_id: str) -> Setup:
        return Setup(
            installation=installation,
            config=parts.executor_config.get(executor_id, {}),
            state_directory=f"{parts.state_directory}/{executor_id}" if parts.state_directory else "",
            clock=clock,
            random=parts.random,
            wake=bell.wake_key,
            watch=bell.watch,
        )

    return setup
