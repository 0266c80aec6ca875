"""
Fuzzes for as long as it is told: every target in turn, on all cores.

    python -m tests.fuzz                   30 minutes over all targets
    python -m tests.fuzz --minutes 2 configs templates

What fails is written to ``build/fuzz/<target>``, with what happened beside it, and is not shrunk: the target's test
shrinks it once the file lies in ``tests/fuzz/corpus/<target>``. An example that takes longer than ``HANG_SECONDS`` has
failed. The figures are left for ``docs/guarantees.md``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import sys
import time
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from tests.fuzz.rounds import Round, die_with_parent, play
from tests.fuzz.target import names
from tests.support.proof_files import record

ROUND_SECONDS = 20.0


def run(wanted: list[str], seconds: float, workers: int) -> list[Round]:
    """Run the targets in turn until the time is up, and show how it goes."""
    until, rounds = time.monotonic() + seconds, {name: Round(name=name) for name in wanted}
    turns, number = itertools.cycle(wanted), secrets.randbits(40)
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        busy: set[Future[Round]] = set()
        while busy or time.monotonic() < until:
            while len(busy) < workers and time.monotonic() < until:
                number += 1
                left = min(ROUND_SECONDS, until - time.monotonic())
                busy.add(pool.submit(play, next(turns), number, left))
            done, busy = wait(busy, return_when=FIRST_COMPLETED)
            for one in done:
                add(rounds, one.result())
            show(rounds.values(), max(until - time.monotonic(), 0.0))
    return list(rounds.values())


def add(rounds: Mapping[str, Round], one: Round) -> None:
    """Add a round to those of its target."""
    whole = rounds[one.name]
    whole.examples += one.examples
    whole.seconds += one.seconds
    whole.found += one.found


def show(rounds: Collection[Round], left: float) -> None:
    """Write the line that tells how it goes."""
    told = " ".join(f"{one.name} {one.examples}" for one in rounds)
    found = sum(len(one.found) for one in rounds)
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"{left / 60:5.1f} min left, {found} kinds of failure; {told}   ", end=end, flush=True)


def figures(rounds: list[Round]) -> dict[str, object]:
    """Say what a run was, for the page."""
    return {
        "minutes of a core": round(sum(one.seconds for one in rounds) / 60, 1),
        "inputs": sum(one.examples for one in rounds),
        "inputs by target": {one.name: one.examples for one in rounds},
        "kinds of failure": sum(len(one.found) for one in rounds),
    }


def main() -> int:
    """Do what was asked; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(names())}; all when none is given")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    wanted = asked.targets or names()
    rounds = run(wanted, asked.minutes * 60, asked.workers)
    print()
    for one in rounds:
        print(f"{one.name}: {one.examples} inputs in {one.seconds:.0f} s, {len(one.found)} kinds of failure")
        for kind, count in one.found.most_common():
            print(f"  {count} times {kind}")
    if set(wanted) == set(names()):
        record("fuzzing", figures(rounds))
    return 1 if any(one.found for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
