"""
What a seed means: how much goes wrong, when lives end and how, what is submitted. Drawn before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from tests.simulation.crash_sites import simulated_sites

CALM_AFTER = (40.0, 160.0)
"""Faults end somewhere between these times."""


class End(Enum):
    """How a life ends."""

    STEP = "before its Nth callback"
    WRITE_BEFORE = "before its Nth write to the store"
    WRITE_AFTER = "after its Nth write to the store, before the reply"
    WRITE_LATE = "with its Nth write on the way, which arrives in the next life"
    CALL = "with its Nth request to a service on the way"
    CREATE = "with its Nth request for a new job on the way"
    TIME = "at a time"
    STOP = "by an orderly stop"
    SITE = "before it comes to a chosen await for the Nth time"
    WAIT = "when a task of it waits at a chosen await for the Nth time"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifePlan:
    """
    One life of the engine.

    Attributes:
        end: How it ends.
        count: The N of it.
        seconds: When it ends at the latest.
        pause: How long nobody runs after it.
        plugin_version: Which version of the plugins it has.
        workers: How many turns it takes at once.
        site: The await at which it ends, for ``End.SITE`` and ``End.WAIT``.
    """

    end: End
    count: int
    seconds: float
    pause: float
    plugin_version: int
    workers: int
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often what goes wrong, as probabilities per call."""

    write_lost: float
    write_refused: float
    read_failed: float
    slow: float
    watch_broken: float
    service: float
    sink: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is drawn beforehand for a seed."""

    calm_after: float
    lives: tuple[LifePlan, ...]
    rates: Rates
    outages: tuple[tuple[float, float], ...]
    full: tuple[tuple[float, float], ...]
    service_outages: tuple[tuple[float, float], ...]
    compactions: tuple[float, ...]
    executions: int


def _rate(random: Random, *choices: float) -> float:
    return random.choice(choices)


def _windows(random: Random, most: int, end: float, shortest: float, longest: float) -> tuple[tuple[float, float], ...]:
    found = []
    for _ in range(random.randint(0, most)):
        begin = random.uniform(0.0, end)
        found.append((begin, begin + shortest * (longest / shortest) ** random.random()))
    return tuple(found)


_COUNTS = {
    End.STEP: (1, 1500),
    End.WRITE_BEFORE: (1, 60),
    End.WRITE_AFTER: (1, 60),
    End.WRITE_LATE: (1, 60),
    End.CALL: (1, 30),
    End.CREATE: (1, 6),
    End.TIME: (1, 1),
    End.STOP: (1, 1),
}

_ENDS = (
    *[End.STEP] * 4,
    *[End.WRITE_AFTER, End.CREATE] * 2,
    *(End.WRITE_BEFORE, End.WRITE_LATE, End.CALL, End.TIME, End.STOP),
)


def _life(random: Random, end_of_faults: float) -> LifePlan:
    end = random.choice(_ENDS)
    low, high = _COUNTS[end]
    return LifePlan(
        end=end,
        count=int(low * (high / low) ** random.random()),
        seconds=random.uniform(2.0, end_of_faults / 2),
        pause=random.choice((0.0, 0.1, 1.0, 5.0, 40.0)) * random.random(),
        plugin_version=random.choice((1, 1, 2)),
        workers=random.choice((1, 3, 8)),
    )


_VISITS = (1, 1, 1, 2, 4, 10)
"""At which visit of a chosen await a life ends."""


def aim(plan: Plan, random: Random) -> Plan:
    """Let every life of every second plan end at an await of the source: rare ones are else hardly ever met."""
    if random.random() < 0.5:
        return plan
    sites = simulated_sites()
    lives = [
        replace(
            life,
            end=random.choice((End.SITE, End.SITE, End.WAIT)),
            site=random.choice(sites),
            count=random.choice(_VISITS),
            seconds=random.uniform(5.0, plan.calm_after),
        )
        for life in plan.lives[:-1]
    ]
    return replace(plan, lives=(*lives, plan.lives[-1]))


def plan_of(seed: int) -> Plan:
    """Draw the plan of a seed."""
    return aim(draw_plan(Random(f"{seed} plan")), Random(f"{seed} sites"))


def draw_plan(random: Random) -> Plan:
    """Draw a plan."""
    calm_after = random.uniform(*CALM_AFTER)
    lives = tuple(_life(random, calm_after) for _ in range(random.choice((1, 1, 2, 2, 3, 4))))
    last = LifePlan(
        end=End.STOP, count=0, seconds=float("inf"), pause=0.0, plugin_version=2, workers=random.choice((1, 3, 8))
    )
    return Plan(
        calm_after=calm_after,
        lives=(*lives, last),
        rates=Rates(
            write_lost=_rate(random, 0.0, 0.01, 0.03, 0.1),
            write_refused=_rate(random, 0.0, 0.01, 0.05),
            read_failed=_rate(random, 0.0, 0.01, 0.05),
            slow=_rate(random, 0.0, 0.05, 0.2),
            watch_broken=_rate(random, 0.0, 0.02, 0.1),
            service=_rate(random, 0.05, 0.15, 0.3),
            sink=_rate(random, 0.0, 0.1, 0.3),
        ),
        outages=_windows(random, 2, calm_after, 0.5, 150.0),
        full=_windows(random, 1, calm_after, 0.5, 60.0),
        service_outages=_windows(random, 2, calm_after, 1.0, 60.0),
        compactions=tuple(sorted(random.uniform(0.0, calm_after) for _ in range(random.randint(0, 3)))),
        executions=random.randint(5, 9),
    )
