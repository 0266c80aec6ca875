"""
One run: a seed from its begin to its judgement.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import msgspec
from tests.simulation.casts import ENGINE, Cast
from tests.simulation.engine import Engines, KeepingSink
from tests.simulation.history import History
from tests.simulation.invariants import check_all
from tests.simulation.loop import SimulationStuckError
from tests.simulation.plan import LEASE_SECONDS, Plan
from tests.simulation.processes import crashed_before, lives_as_processes
from tests.simulation.promises import Promises
from tests.simulation.services import Service
from tests.simulation.shards import few_shards
from tests.simulation.store import FaultyStore
from tests.simulation.users import Users
from tests.simulation.world import World

from airscrew.engine.machine import SWEEP
from airscrew.state import keys
from airscrew.state.lease_lock import ENGINE_KEY
from airscrew.state.memory import MemoryStore
from airscrew.state.records import Stage
from airscrew.state.store import Put, prefix_end

PATIENCE_SECONDS = 4 * 3600.0
"""Virtual time after the last fault in which everything has to come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What came of a seed.

    Attributes:
        seed: Its number.
        violations: What must not have happened; empty when all is well.
        faults: What went wrong, by kind.
        lives: How many lives the engine had.
        executions: How many were accepted.
        executors: How many executors were used.
        callbacks: How many callbacks ran.
        seconds: How long it took in virtual time.
        sites: Where lives were when they ended.
        limits: How often it came to what is known not to be promised, by kind.
        story: What happened, when it was to be told.
    """

    seed: int
    violations: tuple[str, ...]
    faults: dict[str, int]
    lives: int
    executions: int
    executors: int
    callbacks: int
    seconds: float
    sites: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    story: str = ""


def simulate(
    seed: int, *, told: bool = False, about: str = "", cast: Cast = ENGINE, plan: Plan | None = None
) -> Outcome:
    """Run a seed, with the executors of a cast; by its plan, or one that is given."""
    collects = gc.isenabled()
    gc.disable()
    logging.disable(logging.CRITICAL)
    world = World.make(seed, cast.plan_of(seed) if plan is None else plan, told=told)
    simulation = _Simulation(world, cast)
    try:
        with few_shards(), lives_as_processes(world):
            world.loop.run_until_complete(simulation.run())
    except SimulationStuckError as error:
        world.violate(f"4: {error}")
    except Exception as error:  # noqa: BLE001 - a defect of the simulation itself must name its seed
        world.violate(f"the simulation broke: {type(error).__name__}: {error}")
    finally:
        for life in world.lives:
            life.dead = True
        world.loop.bury(list(world.lives))
        logging.disable(logging.NOTSET)
        if collects:
            gc.enable()
    for trouble in world.loop.trouble:
        world.violate(f"nobody caught: {trouble}")
    return Outcome(
        seed=seed,
        violations=tuple(world.violations),
        faults=dict(world.faults),
        lives=len(world.lives),
        executions=len(simulation.history.all()),
        executors=len({options.task_type for _, options, _ in simulation.history.all()}),
        callbacks=world.loop.steps,
        seconds=world.loop.time(),
        sites=world.sites,
        limits=world.limits,
        story=world.story.render(about),
    )


class _Simulation:
    def __init__(self, world: World, cast: Cast) -> None:
        self.world = world
        self.history = History(world)
        self.store = FaultyStore(world, MemoryStore(now=world.loop.time), self.history.tap)
        self.services = {kind.id: Service(world, f"svc-{kind.id}", kind.mode) for kind in cast.kinds}
        self.sinks = [KeepingSink(world, "steady", shaky=False), KeepingSink(world, "shaky", shaky=True)]
        promises = Promises(world, self.history)
        dice = Random(f"{world.seed} asked")
        self.engines = Engines(world, self.store, promises, self.services, self.sinks, dice, cast.kinds)
        self.cleared = False
        self.users = Users(world, self.engines, self.history, Random(f"{world.seed} users"))

    async def run(self) -> None:
        world = self.world
        if world.plan.left_over:
            await self._leave_a_lock()
        async with asyncio.TaskGroup() as group:
            engines = group.create_task(self.engines.run(world.plan))
            users = group.create_task(self.users.run())
            await asyncio.sleep(world.plan.calm_after)
            world.calm = True
            world.story.add("== CALM", "no more faults")
            over = world.loop.time() + PATIENCE_SECONDS
            while not (users.done() and await self._is_still()) and world.loop.time() < over:
                await self.users.retry_quarantined()
                await self.users.make_room()
                await asyncio.sleep(5.0)
            if not users.done():
                world.violate("4: somebody still waits for an answer")
            if self.users.dice.random() < 0.5 and not world.violations:
                await self.users.clear_leaks()
                self.cleared = True
            await self._stop(engines)
            users.cancel()
        services = list(self.services.values())
        await check_all(world, self.store, self.history, self.users, services, self.sinks, cleared=self.cleared)

    async def _leave_a_lock(self) -> None:
        """Leave what an engine that had the store for itself has behind when it crashes; its lease still runs."""
        lease = await self.store.inner.grant_lease(LEASE_SECONDS)
        self.world.story.add("store", "keeps the lock of an engine that has crashed")
        self.store.apply([], [Put(ENGINE_KEY, msgspec.json.encode(crashed_before()), lease)])

    async def _is_still(self) -> bool:
        """Tell whether the last lives run and nothing is left to do."""
        if not self.engines.is_settled():
            return False
        records = self.history.records
        if any(name not in records or records[name].stage is not Stage.DONE for name in self.history.options):
            return False
        events = await self.store.inner.range(keys.EVENTS, prefix_end(keys.EVENTS))
        requests = await self.store.inner.range(keys.REQUESTS, prefix_end(keys.REQUESTS))
        return not events.items and not any(SWEEP in keys.request_of(one.key) for one in requests.items)

    async def _stop(self, engines: asyncio.Task[None]) -> None:
        self.engines.stop()
        async with asyncio.timeout(600):
            await engines
