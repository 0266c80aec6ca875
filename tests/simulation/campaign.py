"""
Many seeds on all cores, with a line that says how it goes, and what came of it in a file.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.simulation.casts import CASTS, ENGINE, Cast
from tests.simulation.crash_sites import BEYOND, ROOT, crashes_by_site
from tests.simulation.run import simulate

CHUNK = 25
ENOUGH = 20
"""How often a life should end at each await."""
ROUNDS_IN_VAIN = 3
"""After so many rounds in which no rare await was met once more, those that are left are given up."""
REPORT = ROOT / "build" / "simulation"


@dataclass(slots=True)
class Tally:
    """
    What came of some seeds.

    Attributes:
        cast: Who played.
        seeds: How many.
        violated: What was violated, by seed.
        faults: By kind.
        per_seed: For lives, faults, executions, executors and callbacks: how many seeds had how many.
        sites: Where lives ended.
        limits: How often a run came to what is known not to be promised, by kind.
        chosen: How many of the seeds were run because they aim at awaits where few lives had ended.
    """

    cast: Cast = ENGINE
    seeds: int = 0
    chosen: int = 0
    violated: dict[int, tuple[str, ...]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    per_seed: dict[str, Counter[int]] = field(default_factory=dict)
    sites: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.seeds += other.seeds
        self.violated |= other.violated
        self.faults += other.faults
        self.sites += other.sites
        self.limits += other.limits
        for name, counts in other.per_seed.items():
            self.per_seed.setdefault(name, Counter()).update(counts)


def run_chunk(seeds: Sequence[int], cast: str = ENGINE.name) -> Tally:
    """Run some seeds, one after the other."""
    tally = Tally(CASTS[cast])
    for seed in seeds:
        outcome = simulate(seed, cast=tally.cast)
        tally.seeds += 1
        if outcome.violations:
            tally.violated[seed] = outcome.violations
        tally.faults.update(outcome.faults)
        tally.sites.update(outcome.sites)
        tally.limits.update(outcome.limits)
        counts = {
            "lives": outcome.lives,
            "faults": sum(outcome.faults.values()),
            "executions": outcome.executions,
            "executors": outcome.executors,
            "callbacks": outcome.callbacks,
        }
        for name, count in counts.items():
            tally.per_seed.setdefault(name, Counter())[count] += 1
    return tally


def run_campaign(
    first: int, count: int, jobs: int = 0, *, cast: Cast = ENGINE, tally: Tally | None = None, quiet: bool = False
) -> Tally:
    """Run so many seeds on so many processes, 0 for one a core; a tally that is given is added to."""
    tally = Tally(cast) if tally is None else tally
    _run_seeds(range(first, first + count), tally, jobs, quiet=quiet)
    return tally


def run_chosen(first: int, count: int, tally: Tally, jobs: int = 0, *, quiet: bool = False) -> None:
    """Add at most so many seeds, from a first one on, that aim at awaits where few lives have ended so far."""
    in_vain = 0
    while tally.chosen < count and in_vain < ROUNDS_IN_VAIN and (rare := _rare(tally)):
        seeds: list[int] = []
        wanted = min(count - tally.chosen, 100 * len(rare))
        while len(seeds) < wanted:
            if rare.keys() & tally.cast.plan_of(first).sites:
                seeds.append(first)
            first += 1
        tally.chosen += len(seeds)
        _run_seeds(seeds, tally, jobs, quiet=quiet)
        in_vain = in_vain + 1 if _rare(tally) == rare else 0


def _rare(tally: Tally) -> dict[str, int]:
    """Return the awaits where few lives have ended, and how many."""
    found = {str(site["site"]): int(str(site["crashes"])) for site in crashes_by_site(tally.sites, tally.cast.parts)}
    return {site: crashes for site, crashes in found.items() if crashes < ENOUGH}


def _run_seeds(seeds: Sequence[int], tally: Tally, jobs: int, *, quiet: bool) -> None:
    jobs = jobs or len(os.sched_getaffinity(0))
    chunks = [seeds[begin : begin + CHUNK] for begin in range(0, len(seeds), CHUNK)]
    before, started, shown = tally.seeds, time.monotonic(), 0.0
    for part in _parts(chunks, jobs, tally.cast):
        tally.add(part)
        for seed, violations in part.violated.items():
            print(f"VIOLATED  seed {seed}: {violations[0]}", file=sys.stderr, flush=True)
        elapsed, done = time.monotonic() - started, tally.seeds - before
        if not quiet and (elapsed - shown > (0.2 if sys.stderr.isatty() else 10.0) or done == len(seeds)):
            shown = elapsed
            _show(done, len(seeds), len(tally.violated), elapsed)


def _parts(chunks: list[Sequence[int]], jobs: int, cast: Cast) -> Iterator[Tally]:
    run = partial(run_chunk, cast=cast.name)
    if jobs == 1 or len(chunks) <= 1:
        yield from map(run, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(chunks))) as pool:
        yield from pool.imap_unordered(run, chunks)


def _show(done: int, count: int, violated: int, elapsed: float) -> None:
    rate = done / max(elapsed, 0.001)
    left = (count - done) / max(rate, 0.001)
    filled = round(30 * done / count)
    bar = "#" * filled + "-" * (30 - filled)
    text = f"[{bar}] {done}/{count} seeds  {rate:.0f}/s  {violated} violated  {left:.0f} s left"
    end = "\r" if sys.stderr.isatty() and done < count else "\n"
    print(text, end=end, file=sys.stderr, flush=True)


def summary(tally: Tally) -> str:
    """Write what came of it for people."""
    lines = [
        f"{tally.seeds} seeds, {tally.chosen} of them for rare awaits, {len(tally.violated)} with a violated invariant"
    ]
    for name, counts in tally.per_seed.items():
        values = sorted(counts.elements())
        middle = values[len(values) // 2]
        lines.append(f"  {name:<11} a seed: {values[0]} to {values[-1]}, median {middle}")
    lines.append("  faults: " + ", ".join(f"{kind} {count}" for kind, count in tally.faults.most_common()))
    lines.append("  known limits: " + ", ".join(f"{kind} {count}" for kind, count in tally.limits.most_common()))
    sites = crashes_by_site(tally.sites, tally.cast.parts)
    crashed = sum(1 for site in sites if site["crashes"])
    often = sum(1 for site in sites if int(str(site["crashes"])) >= ENOUGH)
    lines.append(f"  await sites: {len(sites)}, crashed at {crashed} of them, 20 times and more at {often}")
    return "\n".join(lines)


def write_report(tally: Tally, first: int, folder: Path = REPORT) -> Path:
    """Leave what came of it in a file, for the documentation and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "first_seed": first,
        "seeds": tally.seeds,
        "chosen": tally.chosen,
        "violated": {str(seed): list(found) for seed, found in sorted(tally.violated.items())},
        "faults": dict(tally.faults.most_common()),
        "limits": dict(tally.limits.most_common()),
        "per_seed": {
            name: {str(count): seeds for count, seeds in sorted(counts.items())}
            for name, counts in tally.per_seed.items()
            if name != "callbacks"
        },
        "crash_sites": crashes_by_site(tally.sites, tally.cast.parts),
        "beyond": [
            {"function": function, "awaits": text, "why": why} for (function, text), why in sorted(BEYOND.items())
        ],
    }
    path = _report_of(tally.cast, folder)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf8")
    return path


def read_report(cast: Cast = ENGINE, folder: Path = REPORT) -> tuple[Tally, int]:
    """
    Take up what a campaign has left, so that more seeds can be added to it, and its first seed.

    Where lives ended is told by lines of the source: what was moved since is counted anew.
    """
    told = json.loads(_report_of(cast, folder).read_text(encoding="utf8"))
    tally = Tally(
        cast,
        seeds=told["seeds"],
        chosen=told["chosen"],
        violated={int(seed): tuple(found) for seed, found in told["violated"].items()},
        faults=Counter(told["faults"]),
        per_seed={
            name: Counter({int(count): seeds for count, seeds in counts.items()})
            for name, counts in told["per_seed"].items()
        },
        sites=Counter({site["site"]: site["crashes"] for site in told["crash_sites"]}),
        limits=Counter(told["limits"]),
    )
    return tally, told["first_seed"]


def _report_of(cast: Cast, folder: Path) -> Path:
    return folder / ("campaign.json" if cast is ENGINE else f"campaign-{cast.name}.json")
