"""
What a seed means: how much goes wrong, when lives end and how, what is submitted. Drawn before anything runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from typing import Any

from airscrew.engine.config import Quota
from airscrew.engine.core import TIME_SECONDS

CALM_AFTER = (40.0, 160.0)
"""Faults end somewhere between these times."""


LEASE_SECONDS = 15.0
"""How long the lock of a life outlives it."""

FEWEST_FAULTS, FEWEST_READS = 3, 20
"""So many reads of the first so many fail in every run: a life that comes to its end has made more."""


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
    PAUSE = "it stands still for longer than its lease, and goes on when another one has taken over"
    HOLD = "it stands still with its Nth request for a new job unsent, and sends it when another one has taken over"
    PARTITION = "it is cut off from the store for longer than its lease, and runs on all the time"
    POWER = "with the power, before its Nth write is acknowledged: what the disk had not synced may be gone"
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
        away: How long it is paused or cut off, for ``End.PAUSE``, ``End.HOLD`` and ``End.PARTITION``.
        machine: Where it runs: another machine has another boot clock and another wall clock.
        wall_offset: How far that machine's wall clock is off.
    """

    end: End
    count: int
    seconds: float
    pause: float
    plugin_version: int
    workers: int
    site: str = ""
    away: float = 0.0
    machine: int = 0
    wall_offset: float = 0.0

    @property
    def leaves(self) -> bool:
        """Whether the next life begins while this one still lives."""
        return self.end in {End.PAUSE, End.HOLD, End.PARTITION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often what goes wrong, as probabilities per call."""

    write_lost: float
    write_refused: float
    read_failed: float
    slow: float
    watch_broken: float
    watch_late: float
    service: float
    straggler: float
    sink: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    All that is drawn beforehand for a seed.

    Attributes:
        calm_after: When nothing goes wrong any more.
        lives: The lives of the engine, one after the other; one that only leaves overlaps with the next.
        others: The lives of further engines that share the store with it as members; empty for an engine alone.
        rates: How often what goes wrong.
        outages: When the store is away.
        full: When it has no room.
        service_outages: When services are away.
        compactions: When the store's history is compacted.
        prunes: When somebody prunes what is over.
        damages: When somebody leaves bytes among the events that nobody can read.
        failed_reads: Which reads of the store fail, counted from the first: three for certain, whatever the dice say.
        is_locked: Whether a life opens the store through the lock by lease, as over etcd.
        executions: How many are submitted.
        kinds: Of which executors most of them are; empty for any.
        eagerness: How much more than usual people ask for.
        held_kind: Of which executor the requests for new jobs are counted that a life ends at; empty for all.
        failing: How many of the dynamic jobs are left to the dice instead of succeeding, as a share.
        quotas: How many jobs may be outside at once, by the name of the pool.
        names_pool: Whether executors say themselves what they take of it.
        words: When word of a late start comes of an execution that had a name before the one that has it.
        retention: For how long engines keep what is over, beside their other chores; 0 when nobody does chores.
        left_over: Whether an engine that had the store for itself has crashed before the first life begins.
    """

    calm_after: float
    lives: tuple[LifePlan, ...]
    rates: Rates
    outages: tuple[tuple[float, float], ...]
    full: tuple[tuple[float, float], ...]
    service_outages: tuple[tuple[float, float], ...]
    compactions: tuple[float, ...]
    prunes: tuple[float, ...]
    damages: tuple[float, ...]
    failed_reads: tuple[int, ...]
    is_locked: bool
    executions: int
    kinds: tuple[str, ...] = ()
    eagerness: float = 1.0
    held_kind: str = ""
    failing: float = 0.2
    words: tuple[float, ...] = ()
    retention: float = 0.0
    left_over: bool = False
    others: tuple[tuple[LifePlan, ...], ...] = ()
    quotas: dict[str, Quota] = field(default_factory=dict)
    names_pool: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether several engines share the store as members."""
        return bool(self.others)

    @property
    def sites(self) -> frozenset[str]:
        """The awaits at which lives are to end."""
        return frozenset(life.site for lives in (self.lives, *self.others) for life in lives if life.site)


def _rate(random: Random, *choices: float) -> float:
    return random.choice(choices)


def times_in(random: Random, end: float, *counts: int) -> tuple[float, ...]:
    return tuple(sorted(random.uniform(0.0, end) for _ in range(random.choice(counts))))


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
    End.PAUSE: (1, 1),
    End.HOLD: (1, 4),
    End.PARTITION: (1, 1),
    End.POWER: (1, 60),
}

_BY_WRITES = frozenset({End.STEP, End.WRITE_BEFORE, End.WRITE_AFTER, End.WRITE_LATE, End.POWER})

_ENDS = (
    *[End.STEP] * 4,
    *[End.WRITE_AFTER, End.CREATE] * 2,
    *(End.WRITE_BEFORE, End.WRITE_LATE, End.CALL, End.TIME, End.STOP, End.POWER),
)
_ENDS_LOCKED = (*_ENDS, *[End.PAUSE] * 5, *[End.PARTITION] * 3)

_ENDS_SHARED = (
    *[End.STEP] * 2,
    *(End.WRITE_BEFORE, End.WRITE_AFTER, End.WRITE_LATE, End.CALL, End.CREATE, End.TIME, End.POWER),
    *[End.STOP] * 3,
    *[End.PAUSE] * 3,
    *[End.HOLD] * 6,
    *[End.PARTITION] * 6,
)
SHARED_SHARE = 0.35

WALL_OFFSETS = (0.0, 2.0, -2.0)
"""How far the wall clocks of machines are off: what they agree on within is said in the guarantees."""

CLOCKS_APART = max(WALL_OFFSETS) - min(WALL_OFFSETS) + TIME_SECONDS
"""By so much a ``settle`` that goes on over a take-over may be shorter: a member hears late what time others have."""


def _life(random: Random, end_of_faults: float, ends: Sequence[End]) -> LifePlan:
    end = random.choice(ends)
    low, high = _COUNTS[end]
    return LifePlan(
        end=end,
        count=int(low * (high / low) ** random.random()),
        seconds=random.uniform(2.0, end_of_faults / 2),
        pause=random.choice((0.0, 0.1, 1.0, 5.0, 40.0)) * random.random(),
        plugin_version=random.choice((1, 1, 2)),
        workers=random.choice((1, 3, 8)),
        away=random.choice((LEASE_SECONDS, 40.0, 90.0)) * random.uniform(0.9, 1.6),
        **_machine(random),
    )


def _machine(random: Random) -> dict[str, Any]:
    machine = random.choice((0, 0, 1, 2))
    return {"machine": machine, "wall_offset": WALL_OFFSETS[machine]}


def share(plan: Plan, random: Random) -> Plan:
    """Let several engines share the store: two or three at once, each with lives of its own."""
    tracks = [_track(plan.calm_after, random) for _ in range(random.choice((2, 2, 3)))]
    kinds = random.choice(((), ("listed",), ("listed", "keyed", "blind", "listed")))
    return replace(plan, is_locked=False, lives=tracks[0], others=tuple(tracks[1:]), kinds=kinds)


def _track(calm_after: float, random: Random) -> tuple[LifePlan, ...]:
    lives = [_life(random, calm_after, _ENDS_SHARED) for _ in range(random.choice((1, 1, 2)))]
    lives = [
        # Each write that takes a shard counts as well.
        replace(life, count=life.count * random.choice((1, 4, 8))) if life.end in _BY_WRITES else life
        for life in lives
    ]
    return (*lives, _last_life(random))


def _last_life(random: Random) -> LifePlan:
    return LifePlan(
        end=End.STOP,
        count=0,
        seconds=float("inf"),
        pause=0.0,
        plugin_version=2,
        workers=random.choice((1, 3, 8)),
        **_machine(random),
    )


BOUND_SHARE = 0.35

NAMED_POOL = "named"
"""What executors call the pool that no operator has bound them to."""

_SETS: tuple[dict[str, Quota], ...] = (
    {"few": Quota(limit=2, executors=("listed",))},
    {"few": Quota(limit=2, executors=("keyed", "listed", "cached"))},
    {"few": Quota(limit=3, namespace=2, executors=("listed", "plain"))},
    {"few": Quota(limit=2, executors=("dynamic", "keyed", "listed"))},
    {"few": Quota(limit=2, executors=("listed", "blind")), "one": Quota(limit=1, executors=("plain", "cached"))},
)


def draw_quotas(plan: Plan, random: Random, *, always: bool) -> dict[str, Quota]:
    """Draw which quotas are set; if not always, in few runs, and in fewer of those about starts that come late."""
    if plan.names_pool:
        return {NAMED_POOL: Quota(limit=random.choice((1, 2, 4)))}
    is_about_starts = any(life.end is End.HOLD for lives in (plan.lives, *plan.others) for life in lives)
    share = BOUND_SHARE / 4 if is_about_starts else BOUND_SHARE
    return random.choice(_SETS) if always or random.random() < share else {}


WORDS_SHARE = 0.15


def draw_words(plan: Plan, random: Random) -> tuple[float, ...]:
    """Draw when word of what had a name before comes, where a plan does not say it; never in most runs."""
    if plan.words or random.random() >= WORDS_SHARE:
        return plan.words
    return times_in(random, plan.calm_after, 1, 2, 4)


def draw_plan(random: Random) -> Plan:
    """Draw a plan."""
    calm_after = random.uniform(*CALM_AFTER)
    is_locked = random.random() < 0.4
    ends = _ENDS_LOCKED if is_locked else _ENDS
    lives = tuple(_life(random, calm_after, ends) for _ in range(random.choice((1, 1, 2, 2, 3, 4))))
    return Plan(
        calm_after=calm_after,
        lives=(*lives, _last_life(random)),
        rates=Rates(
            write_lost=_rate(random, 0.0, 0.01, 0.03, 0.1),
            write_refused=_rate(random, 0.0, 0.01, 0.05),
            read_failed=_rate(random, 0.0, 0.01, 0.05),
            slow=_rate(random, 0.0, 0.05, 0.2),
            watch_broken=_rate(random, 0.0, 0.02, 0.1),
            watch_late=_rate(random, 0.0, 0.02, 0.1, 0.3),
            service=_rate(random, 0.05, 0.15, 0.3),
            straggler=_rate(random, 0.0, 0.0, 0.15, 0.4),
            sink=_rate(random, 0.0, 0.1, 0.3),
        ),
        outages=_windows(random, 2, calm_after, 0.5, 150.0),
        full=_windows(random, 1, calm_after, 0.5, 60.0),
        service_outages=_windows(random, 2, calm_after, 1.0, 60.0),
        compactions=tuple(sorted(random.uniform(0.0, calm_after) for _ in range(random.randint(0, 3)))),
        prunes=times_in(random, calm_after, 0, 0, 1, 3, 6),
        damages=times_in(random, calm_after, 0, 0, 1, 3),
        failed_reads=tuple(sorted(random.sample(range(1, FEWEST_READS + 1), FEWEST_FAULTS))),
        is_locked=is_locked,
        executions=random.randint(5, 9),
    )
