"""
Lives of the engine over the same store and services, one after the other; some live on while the next one begins.

A life has a machine: its clocks, its way to the store, its way to the services. It may stand still or be cut off for
longer than its lease; then another one takes the store's lock, and the first must find that out before it writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.simulation.crash_sites import tracer
from tests.simulation.executors import naming_a_pool
from tests.simulation.files import SimulatedStorage
from tests.simulation.plan import LEASE_SECONDS, End, LifePlan, Plan
from tests.simulation.processes import process_of
from tests.simulation.promises import Promises
from tests.simulation.services import Service
from tests.simulation.store import FaultyStore
from tests.simulation.world import SECRET, EngineLife, World
from typing_extensions import override

from airscrew.engine.api.model import ApiError
from airscrew.engine.chores import Stamp, doing_chores
from airscrew.engine.clock import LoopClock
from airscrew.engine.config import Retention
from airscrew.engine.core import Core, CoreParts, open_core
from airscrew.engine.data.secrets import EnvironmentSecrets, Secrets
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.installation import ensure_installation
from airscrew.engine.machine import Policy
from airscrew.engine.metrics import NO_METERS, Recorder
from airscrew.engine.outbox.sinks import RefusedError, Sink
from airscrew.engine.quotas import Pools
from airscrew.engine.registry import Registry
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.timebase import BootClock
from airscrew.state.errors import StoreBusyError, StoreError
from airscrew.state.lease_lock import hold_engine
from airscrew.state.members import Member, join
from airscrew.state.records import SCHEMA_VERSION, PhaseEvent
from airscrew.state.store import Store

T = TypeVar("T")

POLICY = Policy(check_failures=6, backoff_cap=20.0, kill_deadline=60.0, kill_pace=2.0)
RESTART_SECONDS = 2.0
AFTERLIFE_SECONDS = 90.0
"""For how long one that comes back may run on before its machine is switched off."""


class EngineDownError(Exception):
    """No engine runs, or it died before it answered."""


@dataclass(slots=True)
class SimBoot(BootClock):
    """
    A machine that is never booted again.

    Attributes:
        machine: Its number.
    """

    machine: int = 0

    @override
    def boot_id(self) -> str:
        return f"boot-{self.machine}"

    @override
    def uptime(self) -> float:
        return asyncio.get_running_loop().time() + 1000.0 * (1 + self.machine)


class NoStamp(Stamp):
    """Nobody remembers anything: what is done now and then is due each time."""

    @override
    def age(self) -> None:
        return None

    @override
    def renew(self) -> None:
        return


@dataclass(slots=True)
class KeepingSink(Sink):
    """
    Keeps events for ever; takes them badly when it is told to.

    Attributes:
        world: The run.
        name: Its name.
        shaky: Whether it fails before and after it took them.
        events: What it has, in the order of arrival.
    """

    world: World
    name: str
    shaky: bool
    events: list[PhaseEvent] = field(default_factory=list)

    @override
    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        world = self.world
        rate = world.plan.rates.sink if self.shaky else 0.0
        await asyncio.sleep(world.dice.random() if world.chance(rate) else 0)
        if world.chance(rate):
            world.fault("sink failed")
            raise OSError("the sink is away, on purpose")
        if self.shaky and any(self.refuses(event) for event in events):
            raise RefusedError("the sink does not want this, on purpose")
        self.events.extend(events)
        for event in events:
            world.story.add(self.name, lambda: f"{event.execution} {event.id[-8:]} {event.phase.title}")  # noqa: B023
        await asyncio.sleep(0)
        if world.chance(rate):
            world.fault("sink took it and failed")
            raise OSError("the sink's answer is lost, on purpose")

    def refuses(self, event: PhaseEvent) -> bool:
        """Refuse the same few events every time."""
        return self.shaky and event.version == 3 and event.uid[0] in "789"


@dataclass(slots=True)
class Engines:
    """
    Runs the lives.

    Attributes:
        world: The run.
        store: As engines reach it.
        promises: What executors check.
        services: By executor id.
        sinks: Where events go.
        dice: Whom people ask.
        kinds: The classes of the executors.
        running: The life of each engine that people ask, by the engine's number.
        away: Lives that were left and still live.
    """

    world: World
    store: FaultyStore
    promises: Promises
    services: dict[str, Service]
    sinks: list[KeepingSink]
    dice: Random
    kinds: tuple[type[Any], ...]
    running: dict[int, EngineLife] = field(default_factory=dict)
    away: list[EngineLife] = field(default_factory=list)

    async def run(self, plan: Plan) -> None:
        """Run the engines, each one life after the other; ends when each has stopped."""
        async with asyncio.TaskGroup() as group:
            for engine, lives in enumerate((plan.lives, *plan.others)):
                group.create_task(self._run_lives(engine, lives))

    async def _run_lives(self, engine: int, lives: Sequence[LifePlan]) -> None:
        """Run one life after the other, the last one until it is asked to stop; one that cannot begin comes again."""
        if engine:
            await asyncio.sleep(self.dice.choice((0.0, 5.0, 40.0)) * self.dice.random())
        for plan in lives:
            while not await self._live(engine, plan):  # noqa: ASYNC110 - a supervisor that starts it again
                await asyncio.sleep(RESTART_SECONDS)
            await asyncio.sleep(plan.pause)

    def is_settled(self) -> bool:
        """Tell whether the last life of each engine runs, and no other one."""
        engines = 1 + len(self.world.plan.others)
        lives = self.running.values()
        return not self.away and len(lives) == engines and all(_is_last_and_up(life) for life in lives)

    def stop(self) -> None:
        """Ask all to end."""
        for life in self.running.values():
            if not life.dead:
                life.stop.set()

    def _up(self) -> EngineLife | None:
        """Choose an engine that answers."""
        up = [life for life in self.running.values() if not life.dead and life.core is not None]
        return self.dice.choice(up) if len(up) > 1 else next(iter(up), None)

    async def ask(self, question: Callable[[Core], Awaitable[T]]) -> T:
        """
        Ask the engine that runs now.

        Raises:
            EngineDownError: None runs, or it died before it answered.
            ApiError: It refused.
        """
        life = self._up()
        if life is None:
            raise EngineDownError
        loop, done = self.world.loop, self.world.loop.create_future()

        async def answer() -> tuple[T | None, Exception | None]:
            try:
                return await question(life.core), None
            except (ApiError, StoreError, OSError) as error:
                return None, error

        def settle(*_: object) -> None:
            if not done.done():
                done.set_result(None)

        task = loop.create_task(answer(), context=life.context.copy())
        task.add_done_callback(settle)
        life.over.append(settle)
        await done
        if not task.done() or task.cancelled():
            raise EngineDownError
        value, error = task.result()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    async def _live(self, engine: int, plan: LifePlan) -> bool:
        """Run one life; False when it could not begin."""
        world = self.world
        number = len(world.lives) + 1
        life = EngineLife(number=number, plan=plan, crash_at_step=plan.count if plan.end is End.STEP else 0)
        if plan.site and not plan.leaves:
            life.visits_left = plan.count
            life.crash_at_wait = plan.site if plan.end is End.WAIT else ""
            life.trace = tracer(plan.site, life.visit) if plan.end is End.SITE else None
        life.on_crash = lambda: world.crash(life, f"{plan.end.value} ({plan.site} {plan.count})")
        world.lives.append(life)
        over = world.loop.create_future()

        def end(*_: object) -> None:
            if not over.done():
                over.set_result(None)

        life.over.append(end)
        world.story.add("== LIFE", lambda: f"{number} begins: {plan}")
        self.running[engine] = life
        task = world.loop.create_task(self._engine(life), name=f"life-{number}", context=life.context)
        task.add_done_callback(end, context=world.context)
        life.on_hold = lambda: (self._leave(life), end())[0]
        timer = world.loop.call_later(min(plan.seconds, 1e7), self._time_is_up, life, end, context=world.context)
        await over
        timer.cancel()
        if life in self.away:
            task.add_done_callback(lambda done: self._ended(life, done), context=world.context)
            return True
        return self._ended(life, task)

    def _ended(self, life: EngineLife, task: asyncio.Task[None]) -> bool:
        """Take note that a life is over; False when it could not begin."""
        if life in self.away:
            self.away.remove(life)
        if life.dead:
            if task.done() and not task.cancelled():
                task.exception()  # it had fallen over when it was killed
            return True
        life.dead = True
        life.ended_at = self.world.loop.time()
        for tell in life.over:
            tell()
        return self._judge_end(life, task)

    def _time_is_up(self, life: EngineLife, leave: Callable[[], None]) -> None:
        if life.plan.end in {End.STOP, End.SITE, End.WAIT}:
            life.stop.set()
        elif life.plan.leaves and life.core is not None:
            self._leave(life)
            leave()
        else:
            self.world.crash(life, "its time is up")

    def _leave(self, life: EngineLife) -> None:
        """Let a life stand still, or cut it off from the store, and come back later; its successor begins meanwhile."""
        world, plan = self.world, life.plan
        self.away.append(life)
        stands_still = plan.end is not End.PARTITION
        life.has_stood_still |= stands_still
        life.pauses += stands_still
        life.is_paused = stands_still
        life.is_mute = not stands_still and world.plan.is_shared and bool(life.number % 4)
        life.is_cut_off = not stands_still and not life.is_mute
        world.fault("life paused" if stands_still else "life cut off")
        world.story.add("== LEFT", f"life {life.number} {'stands still' if stands_still else 'is cut off'}")
        world.loop.call_later(plan.away, self._come_back, life, context=world.context)

    def _come_back(self, life: EngineLife) -> None:
        if life.dead:
            return
        life.is_cut_off = life.is_mute = False
        if life.plan.site:
            life.visits_left, life.trace = life.plan.count, tracer(life.plan.site, life.visit)
        self.world.loop.resume(life)
        self.world.story.add("== BACK", f"life {life.number}; life {self.world.owner} has the lock")
        if self.world.plan.is_shared and life.number % 3 == 2:
            life.stop.set()  # a member again, and it leaves in order
        self.world.loop.call_later(AFTERLIFE_SECONDS, self._switch_off, life, context=self.world.context)

    def _switch_off(self, life: EngineLife) -> None:
        self.world.crash(life, "its machine is switched off")
        if life in self.away:
            self.away.remove(life)

    def _judge_end(self, life: EngineLife, task: asyncio.Task[None]) -> bool:
        """Say whether a life that ended by itself ended as it should."""
        error = task.exception() if not task.cancelled() else asyncio.CancelledError()
        self.world.story.add("== END", f"life {life.number}: {_told(error)}")
        if error is None:
            life.why = "stopped"
            return True
        life.why = f"fell over: {_told(error)}"
        if _only_store_errors(error) and (life.core is None or self.world.is_former(life)):
            return False
        self.world.violate(f"life {life.number} fell over: {_leaves(error)!r}")
        return False

    async def _engine(self, life: EngineLife) -> None:
        async with AsyncExitStack() as stack:
            store: Store = self.store
            if self.world.plan.is_locked:
                store = await stack.enter_async_context(hold_engine(self.store, seconds=LEASE_SECONDS))
            clock = LoopClock()
            clock.wall_offset = life.plan.wall_offset
            if self.world.plan.is_shared:
                me = Member(id=life.member, schema=SCHEMA_VERSION, process=process_of(life))
                members = join(self.store, me, monotonic=clock.monotonic, now=clock.now, seconds=LEASE_SECONDS)
                life.membership = await stack.enter_async_context(members)
            core = await stack.enter_async_context(open_core(await self._parts(life, store, clock)))
            life.core = core
            async with self._chores(life, store):
                await life.stop.wait()
            self.world.story.add("== STOP", f"life {life.number} drains")
        await life.registry.close()

    def _chores(self, life: EngineLife, store: Store) -> AbstractAsyncContextManager[object]:
        """Do an engine's chores, where a plan has any done."""
        if not self.world.plan.retention:
            return nullcontext()
        retention, boot = Retention(finished_age=self.world.plan.retention), SimBoot(life.plan.machine)
        return doing_chores(life.core, store, retention, stamp=NoStamp(), boot=boot)

    async def _parts(self, life: EngineLife, store: Store, clock: LoopClock) -> CoreParts:
        world = self.world
        random = Random(f"{world.seed} engine {life.number}")
        secrets = Secrets([EnvironmentSecrets({"_FSEC_TOKEN": SECRET})])
        data = LocalDataPlane(
            store=store,
            storage=SimulatedStorage(world),
            base="/nowhere/data",
            work_base="/nowhere/work",
            secrets=secrets,
            installation=await ensure_installation(store, random),
        )
        registry = Registry()
        for kind in map(naming_a_pool, self.kinds) if world.plan.names_pool else self.kinds:
            registry.register(kind(self.promises, self.services[kind.id], life.plan.plugin_version))
        life.registry = registry
        return CoreParts(
            store=store,
            registry=registry,
            data=data,
            cache=StoreTaskCache.make(store, data, clock, data.storage.exists),
            clock=clock,
            boot=SimBoot(life.plan.machine),
            random=random,
            sinks=list(self.sinks),
            policy=POLICY,
            workers=life.plan.workers,
            drain_seconds=15.0,
            pools=Pools(world.plan.quotas),
            membership=life.membership,
            watched=False,
            meters=Recorder() if life.number % 2 else NO_METERS,
        )


def _is_last_and_up(life: EngineLife) -> bool:
    return not life.dead and life.core is not None and life.plan.end is End.STOP and not life.plan.count


def _told(error: BaseException | None) -> str:
    """Say what ended a life; who holds a lock is another process in every run."""
    if error is None:
        return "in order"
    return ", ".join(type(one).__name__ if isinstance(one, StoreBusyError) else repr(one) for one in _leaves(error))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _only_store_errors(error: BaseException) -> bool:
    return all(isinstance(leaf, StoreError) for leaf in _leaves(error))
