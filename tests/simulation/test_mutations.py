"""
Each safety step is needed: without it the simulation finds the harm within a few seeds.
"""

from __future__ import annotations

import pytest
from tests.simulation.mutations import MUTATIONS, without
from tests.simulation.run import simulate

SEEDS = 2000
"""So many at most; all but one are found within the first 400."""


@pytest.mark.timeout(900)  # two thousand seeds take minutes where others are at work as well
@pytest.mark.parametrize("step", MUTATIONS)
def test_the_harm_is_found_when_a_step_is_taken_out(step: str) -> None:
    with without(step):
        harm = next((outcome.violations for seed in range(SEEDS) if (outcome := simulate(seed)).violations), ())

    assert harm, f"nothing was noticed without: {step}"


@pytest.mark.parametrize("step", MUTATIONS)
def test_a_step_is_back_when_its_mutation_is_over(step: str) -> None:
    before = [getattr(owner, name) for owner, name, _ in MUTATIONS[step]]

    with without(step):
        during = [getattr(owner, name) for owner, name, _ in MUTATIONS[step]]

    assert [getattr(owner, name) for owner, name, _ in MUTATIONS[step]] == before
    assert all(one is not other for one, other in zip(before, during, strict=True))
