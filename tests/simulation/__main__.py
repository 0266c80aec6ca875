"""
Run seeds, or tell the story of one.

    python -m tests.simulation 1124                       the story of seed 1124, and what it violates
    python -m tests.simulation 1124 --about e0-listed     the lines about one execution
    python -m tests.simulation 7 --without "compare on write"
    python -m tests.simulation --seeds 20000              many seeds on all cores
    python -m tests.simulation --go-on --seeds 0 --chosen 500 --from 900000    more, added to the last report
    python -m tests.simulation --cast providers --seeds 4000    the WebAPI framework in the place of bare executors
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from tests.simulation.campaign import Tally, read_report, run_campaign, run_chosen, summary, write_report
from tests.simulation.casts import CASTS, ENGINE, Cast
from tests.simulation.mutations import MUTATIONS, without
from tests.simulation.run import simulate

SHOWN = 20


def tell(seed: int, about: str, step: str, cast: Cast) -> int:
    """Tell the story of a seed."""
    with without(step) if step else nullcontext():
        outcome = simulate(seed, told=True, about=about, cast=cast)
    print(outcome.story)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.faults.items()))
    print(f"\nseed {seed}: {outcome.executions} executions, {outcome.lives} lives, {outcome.callbacks} callbacks")
    print(f"faults: {faults}")
    for violation in outcome.violations:
        print(f"VIOLATED  {violation}")
    return 1 if outcome.violations else 0


def run_many(first: int, count: int, chosen: int, jobs: int, cast: Cast, *, goes_on: bool) -> int:
    """Run many seeds, and then some that are chosen for awaits where few lives have ended."""
    tally, began = read_report(cast) if goes_on else (Tally(cast), first)
    before = tally.chosen
    run_campaign(first, count, jobs, tally=tally)
    if not tally.violated:
        run_chosen(first + count, before + chosen, tally, jobs)
    print(summary(tally))
    print(f"  report: {write_report(tally, began)}")
    for seed, violations in sorted(tally.violated.items())[:SHOWN]:
        print(f"VIOLATED  seed {seed}: {violations[0]}\n          replay: {replay(seed, cast)}")
    return 1 if tally.violated else 0


def replay(seed: int, cast: Cast = ENGINE) -> str:
    """Return the command that tells the story of a seed."""
    whose = "" if cast is ENGINE else f" --cast {cast.name}"
    return f".venv/bin/python -m tests.simulation {seed}{whose}"


def main() -> int:
    """Do what was asked; 0 when nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="tell the story of this one")
    parser.add_argument("--about", default="", help="only lines that name this")
    parser.add_argument("--without", default="", choices=["", *MUTATIONS], help="a safety step to take out")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--chosen", type=int, help="how many more for rare awaits at most; as many again if left out")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--go-on", action="store_true", help="add to what the last report has")
    parser.add_argument("--jobs", type=int, default=0, help="processes; 0 for one a core")
    parser.add_argument("--cast", default=ENGINE.name, choices=CASTS, help="which executors; engine if left out")
    chosen = parser.parse_args()
    cast = CASTS[chosen.cast]
    if chosen.seed is not None:
        return tell(chosen.seed, chosen.about, chosen.without, cast)
    more = chosen.seeds if chosen.chosen is None else chosen.chosen
    return run_many(chosen.first, chosen.seeds, more, chosen.jobs, cast, goes_on=chosen.go_on)


if __name__ == "__main__":
    sys.exit(main())
