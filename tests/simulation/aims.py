"""
What a seed means: the plan that is drawn for it, with lives that end at chosen awaits of the source.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from tests.simulation.crash_sites import FRAMEWORKS, await_sites, simulated_sites
from tests.simulation.plan import (
    CALM_AFTER,
    LEASE_SECONDS,
    SHARED_SHARE,
    End,
    LifePlan,
    Plan,
    draw_plan,
    draw_quotas,
    draw_words,
    share,
    times_in,
)

_VISITS = (1, 1, 1, 2, 4, 10)
"""At which visit of a chosen await a life ends."""


_OF_MEMBERS = ("/members/", "/sharing.py", "/shards.py", "/ownership.py")


def aim(plan: Plan, random: Random) -> Plan:
    """
    Let every life of every second plan end at an await of the source: rare ones are else hardly ever met.

    A few of the others are about a start that comes late.
    """
    if random.random() < 0.5:
        return _with_a_late_start(plan, None, random) if random.random() < _LATE_SHARE else plan
    lives = [_aimed(life, plan.calm_after, random) for life in plan.lives[:-1]]
    for life in lives:
        plan = _bring_near(plan, life.site, random)
    plan = replace(plan, lives=(*lives, plan.lives[-1]))
    rare = next((life for life in lives if _function(life.site) in _OFTEN and not life.leaves), None)
    return plan if rare is None else _bring_nearer(plan, rare, random)


def _function(site: str) -> str:
    """Name the function that an await is in, or the one that it hands on to."""
    found = await_sites()[site]
    hands_on = found.function in {"_call_executor", "_take_turn"}
    return found.text.removeprefix("await self.").partition("(")[0] if hands_on else found.function


def _aimed(life: LifePlan, calm_after: float, random: Random) -> LifePlan:
    """Let a life end at an await; one that leaves comes to it after it has come back."""
    if life.leaves and random.random() < 0.5:
        near = [site for site in simulated_sites() if any(name in site for name in ("lease_lock", "/members/"))]
        return replace(life, site=random.choice(near), count=1)
    return replace(
        life,
        end=random.choice((End.SITE, End.SITE, End.WAIT)),
        site=random.choice(simulated_sites()),
        count=random.choice(_VISITS),
        seconds=random.uniform(5.0, calm_after),
    )


def _bring_near(plan: Plan, site: str, random: Random) -> Plan:
    """Let happen more often what leads to a chosen await."""
    rates = plan.rates
    if any(name in site for name in _OF_MEMBERS) and not plan.is_shared:
        plan = replace(share(plan, random), lives=plan.lives)
    match site.rpartition(":")[0].rpartition("/")[2]:
        case "lease_lock.py":
            plan = replace(plan, others=())
            begins = [random.uniform(5.0, plan.calm_after) for _ in range(2)]
            outages = tuple((begin, begin + LEASE_SECONDS * random.uniform(1.1, 3.0)) for begin in begins)
            rates = replace(rates, write_refused=random.choice((0.05, 0.3)))
            outages = outages if random.random() < 0.7 else plan.outages
            return replace(plan, is_locked=True, outages=outages, rates=rates)
        case "prune.py" | "controller.py" | "commit.py" | "intake.py":
            rates = replace(rates, slow=0.2)
            return replace(plan, rates=rates, prunes=times_in(random, plan.calm_after, 20), eagerness=2.0)
        case "turn.py":
            return replace(plan, kinds=("plain", "plain", "keyed"), eagerness=2.5)
        case "calls.py" | "host.py":
            rates = replace(rates, straggler=0.5, service=min(rates.service, 0.15))
            return replace(plan, rates=rates, kinds=("listed", "listed", "plain", "keyed"))
        case "service.py" | "reader.py":
            rates = replace(rates, service=0.3, watch_late=0.3)
            compactions = times_in(random, plan.calm_after, 12)
            prunes = times_in(random, plan.calm_after, 3)
            kinds = ("blind", "blind", "plain", "keyed")
            return replace(plan, rates=rates, compactions=compactions, prunes=prunes, kinds=kinds, eagerness=3.0)
        case "children.py" | "dataplane.py":
            prunes = times_in(random, plan.calm_after, 0, 6)
            return replace(plan, kinds=("dynamic", "dynamic", "plain", "cached"), prunes=prunes)
        case "catalog.py" | "taskcache.py" | "flight.py" | "auto_refresh.py":
            return replace(plan, kinds=("cached",))
        case "outbox.py":
            return replace(plan, damages=times_in(random, plan.calm_after, 5), rates=replace(rates, sink=0.3))
        case _:
            return plan


_CIRCUMSTANCES: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("_tend", "_bound", "_outputs"), {"kinds": ("dynamic",), "failing": 0.0, "service_outages": ()}),
    (("_left_behind",), {"kinds": ("dynamic",), "failing": 0.9, "service_outages": ()}),
    (("read_values", "_bytes_at"), {"kinds": ("plain", "cached"), "eagerness": 4.0}),
    (("read_again", "_is_accepted"), {"kinds": ("plain",), "eagerness": 4.0}),
    (("retry",), {"kinds": ("plain",), "eagerness": 2.0, "executions": 14}),
    (("clear_leak",), {"kinds": ("blind",), "eagerness": 4.0}),
    (("_put_under_new_lease",), {"left_over": True}),
    (("drop",), {"eagerness": 4.0}),
    (("_ask_needs",), {"names_pool": True}),
    (("settle",), {"kinds": ("listed", "keyed"), "executions": 14}),
    (("_is_at_work",), {"kinds": ("dynamic",), "executions": 14}),
    (("fetch_inputs",), {"kinds": ("plain", "cached"), "eagerness": 2.0}),
    (("_tell_of_late_start", "tell_of_late_start", "_leave_word", "tell_of_strangers"), {}),
    (("_strike_off",), {"eagerness": 6.0}),
    (("doing_chores", "_keep_anchor", "_keep_retention", "_tell_what_is_left", "collect"), {"retention": 10.0}),
    (("_find", "lookup", "release", "sweep_gone", "watch", "follow", "check", "_sweep", "_strays", "acquire"), {}),
)
_OFTEN = {function: changes for functions, changes in _CIRCUMSTANCES for function in functions}
"""Functions that few lives come to, by accident or in the plans of ``_bring_near``, and what leads there."""

_RATES: dict[str, dict[str, float]] = {
    "settle": {"write_refused": 0.3, "write_lost": 0.3},
    "drop": {"slow": 0.4},
    "clear_leak": {"service": 0.4},
    "watch": {"watch_broken": 0.3, "slow": 0.2},
    "follow": {"watch_broken": 0.3, "slow": 0.2},
}
"""What has to go wrong more often for it."""


def _bring_nearer(plan: Plan, life: LifePlan, random: Random) -> Plan:
    """Let one life end at the first visit of an await, in circumstances that lead there."""
    function = _function(life.site)
    life = replace(life, end=End.SITE, count=1, seconds=plan.calm_after + 4 * LEASE_SECONDS, away=0.0)
    rates = replace(plan.rates, **_RATES.get(function, {}))
    plan = replace(plan, lives=(life, plan.lives[-1]), rates=rates, **_OFTEN[function])
    match function:
        case "_sweep" | "_strays":
            return _with_a_late_start(plan, life, random)
        case "check":
            return replace(plan, lives=(_left(life, random), *plan.lives[1:]))
        case "acquire" if random.random() < 0.5:
            before = replace(_left(life, random), site="")
            return replace(plan, lives=(before, life, plan.lives[-1]))
        case "acquire":
            return replace(plan, rates=replace(plan.rates, write_refused=0.8))
        case "_tell_of_late_start" | "tell_of_late_start" | "_leave_word":
            return _with_late_word(plan, life, random)
        case "tell_of_strangers" | "_strike_off":
            return replace(plan, words=times_in(random, plan.calm_after, 30))
        case "drop" | "_is_at_work":
            return replace(plan, prunes=times_in(random, plan.calm_after, 60))
        case "watch" | "follow":
            compactions = times_in(random, plan.calm_after, 40)
            return replace(plan, compactions=compactions)
        case _:
            return plan


def _with_late_word(plan: Plan, life: LifePlan, random: Random) -> Plan:
    """Let what an engine has under way be gone when it comes back, or when its turn ends."""
    if _function(life.site) == "_tell_of_late_start" and random.random() < 0.6:
        prunes = times_in(random, plan.calm_after, 150)  # what is over is asked for more, and pruned meanwhile
        rates = replace(plan.rates, slow=0.6, read_failed=0.0)
        return replace(plan, prunes=prunes, eagerness=4.0, rates=rates, kinds=("plain",), executions=14)
    plan = replace(_with_a_late_start(plan, None, random), calm_after=CALM_AFTER[1])
    prunes, away = times_in(random, plan.calm_after, 0, 60, 60), LEASE_SECONDS * random.uniform(4.0, 9.0)
    rates = replace(plan.rates, write_refused=random.choice((0.0, 0.2)), read_failed=0.0, watch_broken=0.0)
    late = replace(plan.lives[0], site=life.site, away=away)  # it tells of its start when it is back
    others = tuple(track[-1:] for track in plan.others)
    return replace(plan, lives=(late, *plan.lives[1:]), others=others, prunes=prunes, rates=rates)


def _left(life: LifePlan, random: Random) -> LifePlan:
    """Let it come to its await only when it is back, and another one has what it had."""
    end = random.choice((End.PAUSE, End.PARTITION))
    seconds = random.uniform(10.0, 60.0)
    return replace(life, end=end, seconds=seconds, away=LEASE_SECONDS * random.uniform(1.2, 6.0))


_LATE_SHARE = 0.2


def _with_a_late_start(plan: Plan, life: LifePlan | None, random: Random) -> Plan:
    """Let one engine stand still with a start, and the others end where they look for what came of it, if anywhere."""
    service = 0.3 if life is None else 0.05  # a job that shows late is what is missed
    rates = replace(plan.rates, service=service, straggler=0.0, write_refused=0.01, write_lost=0.01)
    plan = replace(
        share(plan, random), kinds=("listed",), held_kind="listed", executions=14, rates=rates, outages=(), full=()
    )
    count = random.randint(1, 2)
    away = LEASE_SECONDS * random.uniform(3.5, 7.0)  # until the next owner has given the start up, and made another
    late = replace(plan.lives[0], end=End.HOLD, count=count, site="", seconds=40.0, away=away)
    if life is None:
        return replace(plan, lives=(late, plan.lives[-1]))
    there = replace(life, seconds=plan.calm_after + 10 * LEASE_SECONDS)
    others = tuple((there, track[-1]) for track in plan.others)
    return replace(plan, lives=(late, there, plan.lives[-1]), others=others)


def plan_of(seed: int) -> Plan:
    """Draw the plan of a seed."""
    plan, members = draw_plan(Random(f"{seed} plan")), Random(f"{seed} members")
    if members.random() < SHARED_SHARE:
        plan = share(plan, members)
    plan = aim(plan, Random(f"{seed} sites"))
    plan = replace(plan, words=draw_words(plan, Random(f"{seed} words")))
    is_about_quotas = any("/quotas/" in site for site in plan.sites)
    return replace(plan, quotas=draw_quotas(plan, Random(f"{seed} quotas"), always=is_about_quotas))


def plan_of_providers(seed: int) -> Plan:
    """Draw the plan of a seed of providers: their outages are longer, and lives end at the framework's awaits."""
    plan, random = draw_plan(Random(f"{seed} plan")), Random(f"{seed} providers")
    if random.random() < SHARED_SHARE:
        plan = share(plan, random)
    lives = [_ended_at_a_request(life, plan.calm_after, random) for life in plan.lives[:-1]]
    plan = replace(plan, lives=(*lives, plan.lives[-1]), kinds=("keyed", "listed", "blind", "cached"))
    if random.random() < 0.1:
        begin = random.uniform(5.0, plan.calm_after)
        plan = replace(plan, service_outages=((begin, begin + _LONG_OUTAGE),), calm_after=begin + _LONG_OUTAGE)
    return replace(plan, quotas=draw_quotas(plan, Random(f"{seed} quotas"), always=False))


_LONG_OUTAGE = 1800.0


def _ended_at_a_request(life: LifePlan, calm_after: float, random: Random) -> LifePlan:
    if life.leaves or random.random() < 0.15:
        return life
    return replace(
        life,
        end=random.choice((End.SITE, End.SITE, End.WAIT)),
        site=random.choice(simulated_sites(FRAMEWORKS)),
        count=random.choice(_VISITS),
        seconds=random.uniform(5.0, calm_after),
    )
