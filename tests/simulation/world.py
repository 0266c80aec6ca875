"""
What everybody in a simulation shares: the loop, the dice, the story, the faults so far, the violations so far.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.crash_sites import running_at, waiting_at
from tests.simulation.loop import LIFE, Life, SimulatedLoop
from tests.simulation.plan import End, LifePlan, Plan
from tests.simulation.story import Story

from airscrew.idl.ids import ExecutionId
from airscrew.state.members import Membership, shard_unit

SECRET = "t0ps3cr3t-4711"


@dataclass(slots=True, eq=False, kw_only=True)
class EngineLife(Life):
    """
    One life of the engine.

    Attributes:
        plan: How it goes.
        writes: How many writes it has sent.
        calls: How many requests to services it has sent.
        creates: How many of them were for new jobs.
        context: What its tasks run in.
        core: The engine, once it is open.
        registry: Its executors.
        over: Called when it dies or ends.
        why: How it ended.
        is_cut_off: Whether it does not reach the store.
        is_mute: Whether its signs of life do not reach the store, and no news reaches it; all else does.
        has_owned: Whether it has ever held the store's lock.
        stop: Asks it to end orderly.
        membership: What it is among others; None for an engine alone.
        on_hold: Called when it is to stand still in the middle of something.
        has_stood_still: Whether it ever did.
        pauses: How often it has stood still.
        died_at: When it was killed.
        ended_at: When it ended in another way.
    """

    plan: LifePlan
    writes: int = 0
    calls: int = 0
    creates: int = 0
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    core: Any = None
    registry: Any = None
    over: list[Callable[[], None]] = field(default_factory=list)
    why: str = ""
    is_cut_off: bool = False
    is_mute: bool = False
    has_owned: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    membership: Membership | None = None
    on_hold: Callable[[], None] = lambda: None
    has_stood_still: bool = False
    pauses: int = 0
    died_at: float = float("inf")
    ended_at: float = float("inf")

    @property
    def fell_over(self) -> bool:
        """Whether it ended by itself, and not as it should."""
        return self.why.startswith("fell over")

    @property
    def member(self) -> str:
        """Its id as a member."""
        return f"m{self.number}"

    def __post_init__(self) -> None:
        """Make the context carry the life."""
        self.context.run(LIFE.set, self)


def unit_of(execution: str) -> str:
    """Name the unit of claims that an execution belongs to."""
    return shard_unit(ExecutionId.parse(execution).shard)


@dataclass(slots=True)
class World:
    """
    One run.

    Attributes:
        seed: Its number.
        loop: Its loop.
        plan: What was drawn.
        dice: For faults.
        story: What happened.
        context: What belongs to no life runs in it.
        calm: Whether faults are over.
        faults: What went wrong so far, by kind.
        violations: What must not have happened.
        lives: All lives so far.
        sites: Where lives were when they ended.
        limits: How often a run came to what is known not to be promised, by kind.
        claims: The member that has each unit, as the store has it.
        terms: How often each unit has changed hands.
        owner: The number of the life that took the store's lock last; 0 where there is no lock.
        files: What lies in storage.
        serial: The last number drawn.
    """

    seed: int
    loop: SimulatedLoop
    plan: Plan
    dice: Random
    story: Story
    context: contextvars.Context
    calm: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    lives: list[EngineLife] = field(default_factory=list)
    sites: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    claims: dict[str, str] = field(default_factory=dict)
    terms: Counter[str] = field(default_factory=Counter)
    owner: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    serial: int = 0

    @classmethod
    def make(cls, seed: int, plan: Plan, *, told: bool) -> World:
        """Begin a run."""
        loop = SimulatedLoop(Random(f"{seed} order"))
        return cls(
            seed=seed,
            loop=loop,
            plan=plan,
            dice=Random(f"{seed} faults"),
            story=Story(loop.time, told),
            context=contextvars.copy_context(),
        )

    def chance(self, rate: float) -> bool:
        """Throw the dice; never once all is calm."""
        return not self.calm and rate > 0 and self.dice.random() < rate

    def fault(self, kind: str) -> None:
        """Count something that went wrong."""
        self.faults[kind] += 1

    def limit(self, kind: str) -> None:
        """Count what is known not to be promised."""
        self.limits[kind] += 1
        self.story.add("== LIMIT", kind)

    def is_former(self, life: EngineLife | None, execution: str = "") -> bool:
        """Tell whether another life has taken the store's lock, or an execution's shard, since."""
        if self.plan.is_shared:
            return life is not None and bool(execution) and self.claims.get(unit_of(execution)) != life.member
        return life is not None and life.has_owned and self.owner != life.number

    def violate(self, what: str) -> None:
        """Note what must not have happened."""
        self.story.add("== VIOLATION", what)
        if what not in self.violations:
            self.violations.append(what)

    def next_serial(self) -> int:
        """Draw a number that nobody had before."""
        self.serial += 1
        return self.serial

    def life(self) -> EngineLife | None:
        """Return the life that the caller belongs to; None for the outside."""
        life = LIFE.get()
        return life if isinstance(life, EngineLife) else None

    def crash(self, life: EngineLife, why: str) -> None:
        """End a life at once: nothing of it runs any more."""
        if life.dead:
            return
        if life.core is not None or life.steps:
            self.sites.update(waiting_at(life.tasks) + running_at())
        life.dead = life.killed = True
        life.died_at = self.loop.time()
        life.why = why
        self.fault(f"crash {life.plan.end.name}")
        self.story.add("== CRASH", f"life {life.number}: {why}, after {life.steps} callbacks, {life.writes} writes")
        for tell in life.over:
            self.loop.call_soon(tell, context=self.context)

    async def dead(self) -> None:
        """Wait for ever: what the code of a life does that has just died."""
        await self.loop.create_future()

    def write_ends_life(self) -> End | None:
        """Count a write of the life that runs, and say whether the life ends at it."""
        life = self.life()
        if life is None:
            return None
        life.writes += 1
        is_write = life.plan.end in {End.WRITE_BEFORE, End.WRITE_AFTER, End.WRITE_LATE, End.POWER}
        return life.plan.end if is_write and life.writes == life.plan.count else None

    def call_ends_life(self, what: str, kind: str) -> bool:
        """Count a request of the life that runs, and say whether the life ends at it."""
        life = self.life()
        if life is None:
            return False
        life.calls += 1
        counts = what == "create" and self.plan.held_kind in {"", kind}
        life.creates += counts
        match life.plan.end:
            case End.CALL:
                return life.calls == life.plan.count
            case End.HOLD if counts and life.creates == life.plan.count:
                life.on_hold()
                return False
            case End.CREATE:
                return counts and life.creates == life.plan.count
            case _:
                return False
