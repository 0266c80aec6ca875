"""
Some hundred seeds of the engine with the WebAPI framework: that it makes each job once, wherever a life ends.
"""

from __future__ import annotations

import pytest
from tests.simulation.__main__ import replay
from tests.simulation.campaign import CHUNK, run_chunk
from tests.simulation.casts import PROVIDERS
from tests.simulation.crash_sites import await_sites, simulated_sites
from tests.simulation.run import simulate

SEEDS = 100


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_job_is_doubled_lost_or_left_behind_and_no_outage_uses_up_an_attempt(first: int) -> None:
    tally = run_chunk(range(first, first + CHUNK), PROVIDERS.name)

    told = "\n".join(f"{found[0]}\n  replay: {replay(seed, PROVIDERS)}" for seed, found in tally.violated.items())
    assert not tally.violated, told
    assert min(tally.per_seed["faults"]) >= 3
    assert min(tally.per_seed["executors"]) >= 3


def test_lives_end_at_the_awaits_of_the_framework() -> None:
    tally = run_chunk(range(50), PROVIDERS.name)
    places = set(simulated_sites(PROVIDERS.parts))
    ended_in = {await_sites()[place].function for place in tally.sites if place in places}

    assert {"start", "check", "_read_alone", "kill_task"} <= ended_in
    assert {f"service: {fault}" for fault in ("reply lost", "done, no answer", "refused")} <= set(tally.faults)


def test_a_seed_of_providers_has_half_an_hour_of_outage_now_and_then() -> None:
    long = [seed for seed in range(60) if any(end - begin >= 1800.0 for begin, end in _outages(seed))]

    assert len(long) >= 3
    assert all(simulate(seed, cast=PROVIDERS).seconds > 1800.0 for seed in long[:2])


def _outages(seed: int) -> tuple[tuple[float, float], ...]:
    return PROVIDERS.plan_of(seed).service_outages
