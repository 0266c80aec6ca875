"""
Lives of the engine, one after the other, over the same store and services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.simulation.crash_sites import tracer
from tests.simulation.executors import KINDS, Promises
from tests.simulation.files import SimulatedStorage
from tests.simulation.plan import End, LifePlan
from tests.simulation.services import Service
from tests.simulation.store import FaultyStore
from tests.simulation.world import SECRET, EngineLife, World
from typing_extensions import override

from airscrew.engine.api.model import ApiError
from airscrew.engine.clock import LoopClock
from airscrew.engine.core import Core, CoreParts, ensure_installation, open_core
from airscrew.engine.data.secrets import EnvironmentSecrets, Secrets
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.machine import Policy
from airscrew.engine.outbox.sinks import RefusedError, Sink
from airscrew.engine.registry import Registry
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.timebase import BootClock
from airscrew.state.errors import StoreError
from airscrew.state.records import PhaseEvent

T = TypeVar("T")

POLICY = Policy(check_failures=6, backoff_cap=20.0, kill_deadline=60.0, kill_pace=2.0)
RESTART_SECONDS = 2.0


class EngineDownError(Exception):
    """No engine runs, or it died before it answered."""


class SimBoot(BootClock):
    """A machine that is never booted again."""

    @override
    def boot_id(self) -> str:
        return "boot"

    @override
    def uptime(self) -> float:
        return asyncio.get_running_loop().time() + 1000.0


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
    """

    world: World
    store: FaultyStore
    promises: Promises
    services: dict[str, Service]
    sinks: list[KeepingSink]
    current: EngineLife | None = None

    async def run(self, lives: Sequence[LifePlan]) -> None:
        """Run one life after the other, the last one until it is asked to stop; one that cannot begin comes again."""
        for plan in lives:
            while not await self._live(plan):  # noqa: ASYNC110 - a supervisor that starts it again
                await asyncio.sleep(RESTART_SECONDS)
            await asyncio.sleep(plan.pause)

    async def ask(self, question: Callable[[Core], Awaitable[T]]) -> T:
        """
        Ask the engine that runs now.

        Raises:
            EngineDownError: None runs, or it died before it answered.
            ApiError: It refused.
        """
        life = self.current
        if life is None or life.dead or life.core is None:
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

    async def _live(self, plan: LifePlan) -> bool:
        """Run one life; False when it could not begin."""
        world = self.world
        number = len(world.lives) + 1
        life = EngineLife(number=number, plan=plan, crash_at_step=plan.count if plan.end is End.STEP else 0)
        if plan.site:
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
        self.current = life
        task = world.loop.create_task(self._engine(life), name=f"life-{number}", context=life.context)
        task.add_done_callback(end, context=world.context)
        timer = world.loop.call_later(min(plan.seconds, 1e7), self._time_is_up, life, context=world.context)
        await over
        timer.cancel()
        if life.dead:
            if task.done() and not task.cancelled():
                task.exception()  # it had fallen over when it was killed
            return True
        life.dead = True
        for tell in life.over:
            tell()
        return self._judge_end(life, task)

    def _time_is_up(self, life: EngineLife) -> None:
        if life.plan.end in {End.STOP, End.SITE, End.WAIT}:
            life.stop.set()
        else:
            self.world.crash(life, "its time is up")

    def _judge_end(self, life: EngineLife, task: asyncio.Task[None]) -> bool:
        """Say whether a life that ended by itself ended as it should."""
        error = task.exception() if not task.cancelled() else asyncio.CancelledError()
        self.world.story.add("== END", f"life {life.number}: {error!r}")
        if error is None:
            life.why = "stopped"
            return True
        life.why = f"fell over: {error!r}"
        if _only_store_errors(error) and life.core is None:
            return False
        self.world.violate(f"life {life.number} fell over: {_leaves(error)!r}")
        return False

    async def _engine(self, life: EngineLife) -> None:
        async with open_core(await self._parts(life)) as core:
            life.core = core
            await life.stop.wait()
            self.world.story.add("== STOP", f"life {life.number} drains")
        await life.registry.close()

    async def _parts(self, life: EngineLife) -> CoreParts:
        world = self.world
        random = Random(f"{world.seed} engine {life.number}")
        secrets = Secrets([EnvironmentSecrets({"_FSEC_TOKEN": SECRET})])
        data = LocalDataPlane(
            store=self.store,
            storage=SimulatedStorage(world),
            base="/nowhere/data",
            work_base="/nowhere/work",
            secrets=secrets,
            installation=await ensure_installation(self.store, random),
        )
        registry = Registry()
        for kind in KINDS:
            registry.register(kind(self.promises, self.services[kind.id], life.plan.plugin_version))
        life.registry = registry
        clock = LoopClock()
        return CoreParts(
            store=self.store,
            registry=registry,
            data=data,
            cache=StoreTaskCache.make(self.store, data, clock, data.storage.exists),
            clock=clock,
            boot=SimBoot(),
            random=random,
            sinks=list(self.sinks),
            policy=POLICY,
            workers=life.plan.workers,
            drain_seconds=15.0,
            watched=False,
        )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _only_store_errors(error: BaseException) -> bool:
    return all(isinstance(leaf, StoreError) for leaf in _leaves(error))
