"""
Some hundreds of seeds of the whole engine, and that a seed is the same run in every process.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from tests.simulation.__main__ import replay
from tests.simulation.aims import plan_of
from tests.simulation.campaign import CHUNK, ENOUGH, Tally, read_report, run_chosen, run_chunk, write_report
from tests.simulation.crash_sites import BEYOND, OUTSIDE, ROOT, await_sites, reason_beyond, simulated_sites
from tests.simulation.disk import Disk
from tests.simulation.run import simulate

SEEDS = 300


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_invariant_is_violated(first: int) -> None:
    tally = run_chunk(range(first, first + CHUNK))

    told = "\n".join(f"{violations[0]}\n  replay: {replay(seed)}" for seed, violations in tally.violated.items())
    assert not tally.violated, told
    assert min(tally.per_seed["lives"]) >= 2
    assert min(tally.per_seed["faults"]) >= 3
    assert min(tally.per_seed["executions"]) >= 5
    assert min(tally.per_seed["executors"]) >= 3


def test_a_seed_is_the_same_run_in_every_process() -> None:
    seeds = (3, 17, 34)
    digests = {_digests_elsewhere(seeds, hash_seed) for hash_seed in ("1", "2")}

    assert digests == {" ".join(_digest(seed) for seed in seeds)}


def test_the_story_of_a_seed_tells_of_writes_calls_and_crashes() -> None:
    story = simulate(5, told=True).story

    for word in ("== LIFE", "== CRASH", "stage: ready -> starting", "start_task(", "is acknowledged", "== CALM"):
        assert word in story, word


def test_lives_overlap_and_one_takes_the_lock_over_from_another() -> None:
    tally = run_chunk(range(100))

    for fault in ("life paused", "life cut off", "lock taken over from a life that runs on", "watch late"):
        assert tally.faults[fault] >= 3, fault
    assert not tally.violated


def test_engines_share_a_store_and_shards_change_hands_by_choice_and_by_take_over() -> None:
    shared = [seed for seed in range(100) if plan_of(seed).is_shared]
    assert {len(plan_of(seed).others) for seed in shared} == {1, 2}

    tally = run_chunk(shared[:20])

    for fault in ("unit given", "unit taken over from a life that runs on", "life paused", "life cut off"):
        assert tally.faults[fault] >= 3, fault
    assert not tally.violated


def test_every_await_that_no_simulation_comes_to_is_still_there() -> None:
    sites = [site for site in await_sites().values() if not site.place.startswith(OUTSIDE)]

    assert {reason_beyond(site) for site in sites} - {None} == set(BEYOND)
    assert len(simulated_sites()) > 10 * len(BEYOND)
    assert all((ROOT / name).exists() for name in OUTSIDE), "a module that is not there any more"


def test_seeds_are_chosen_for_awaits_where_few_lives_have_ended() -> None:
    rare = next(site.place for site in await_sites().values() if site.function == "_begin" and site.is_write is False)
    tally = Tally(sites=Counter({site: ENOUGH for site in simulated_sites() if site != rare}))

    run_chosen(0, 200, tally, jobs=1, quiet=True)

    assert tally.sites[rare] >= ENOUGH
    assert tally.seeds == tally.chosen < 200, "it did not end when there was enough"


def _digest(seed: int) -> str:
    return hashlib.sha256(simulate(seed, told=True).story.encode(errors="replace")).hexdigest()


def _digests_elsewhere(seeds: tuple[int, ...], hash_seed: str) -> str:
    code = f"from tests.simulation.test_simulation import _digest\nprint(' '.join(_digest(seed) for seed in {seeds!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_campaign_goes_on_from_its_report(tmp_path: Path) -> None:
    tally = run_chunk([3, 4])
    tally.chosen = 1
    write_report(tally, 3, tmp_path)

    taken_up, first = read_report(folder=tmp_path)
    again = tmp_path / "again"
    write_report(taken_up, first, again)

    assert (taken_up.seeds, taken_up.chosen, first) == (2, 1, 3)
    assert taken_up.per_seed["faults"] == tally.per_seed["faults"]
    assert (again / "campaign.json").read_bytes() == (tmp_path / "campaign.json").read_bytes()


def test_only_what_is_not_synced_goes_with_the_power() -> None:
    kept = set()
    for seed in range(50):
        disk = Disk()
        for revision in range(1, 6):
            disk.write(revision, [])
            if revision == 2:
                disk.sync()
        assert disk.cut_power(Random(seed)) == (len(disk.log) < 5)
        kept.add(len(disk.log))

    assert kept == {2, 3, 4, 5}
