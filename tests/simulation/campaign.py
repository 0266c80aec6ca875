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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.crash_sites import ROOT, crashes_by_site
from tests.simulation.run import simulate

CHUNK = 25
REPORT = ROOT / "build" / "simulation"


@dataclass(slots=True)
class Tally:
    """
    What came of some seeds.

    Attributes:
        seeds: How many.
        violated: What was violated, by seed.
        faults: By kind.
        per_seed: For lives, faults, executions, executors and callbacks: how many seeds had how many.
        sites: Where lives ended.
    """

    seeds: int = 0
    violated: dict[int, tuple[str, ...]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    per_seed: dict[str, Counter[int]] = field(default_factory=dict)
    sites: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.seeds += other.seeds
        self.violated |= other.violated
        self.faults += other.faults
        self.sites += other.sites
        for name, counts in other.per_seed.items():
            self.per_seed.setdefault(name, Counter()).update(counts)


def run_chunk(seeds: range) -> Tally:
    """Run some seeds, one after the other."""
    tally = Tally()
    for seed in seeds:
        outcome = simulate(seed)
        tally.seeds += 1
        if outcome.violations:
            tally.violated[seed] = outcome.violations
        tally.faults.update(outcome.faults)
        tally.sites.update(outcome.sites)
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


def run_campaign(first: int, count: int, jobs: int = 0, *, quiet: bool = False) -> Tally:
    """Run so many seeds on so many processes; 0 for one a core."""
    jobs = jobs or len(os.sched_getaffinity(0))
    chunks = [range(begin, min(begin + CHUNK, first + count)) for begin in range(first, first + count, CHUNK)]
    tally, started, shown = Tally(), time.monotonic(), 0.0
    for part in _parts(chunks, jobs):
        tally.add(part)
        elapsed = time.monotonic() - started
        if not quiet and (elapsed - shown > (0.2 if sys.stderr.isatty() else 10.0) or tally.seeds == count):
            shown = elapsed
            _show(tally, count, elapsed)
    return tally


def _parts(chunks: list[range], jobs: int) -> Iterator[Tally]:
    if jobs == 1 or len(chunks) == 1:
        yield from map(run_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(chunks))) as pool:
        yield from pool.imap_unordered(run_chunk, chunks)


def _show(tally: Tally, count: int, elapsed: float) -> None:
    rate = tally.seeds / max(elapsed, 0.001)
    left = (count - tally.seeds) / max(rate, 0.001)
    filled = round(30 * tally.seeds / count)
    bar = "#" * filled + "-" * (30 - filled)
    text = f"[{bar}] {tally.seeds}/{count} seeds  {rate:.0f}/s  {len(tally.violated)} violated  {left:.0f} s left"
    end = "\r" if sys.stderr.isatty() and tally.seeds < count else "\n"
    print(text, end=end, file=sys.stderr, flush=True)


def summary(tally: Tally) -> str:
    """Write what came of it for people."""
    lines = [f"{tally.seeds} seeds, {len(tally.violated)} with a violated invariant"]
    for name, counts in tally.per_seed.items():
        values = sorted(counts.elements())
        middle = values[len(values) // 2]
        lines.append(f"  {name:<11} a seed: {values[0]} to {values[-1]}, median {middle}")
    lines.append("  faults: " + ", ".join(f"{kind} {count}" for kind, count in tally.faults.most_common()))
    sites = crashes_by_site(tally.sites)
    crashed = sum(1 for site in sites if site["crashes"])
    often = sum(1 for site in sites if int(str(site["crashes"])) >= 20)
    lines.append(f"  await sites: {len(sites)}, crashed at {crashed} of them, 20 times and more at {often}")
    return "\n".join(lines)


def write_report(tally: Tally, first: int, folder: Path = REPORT) -> Path:
    """Leave what came of it in a file, for the documentation and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "first_seed": first,
        "seeds": tally.seeds,
        "violated": {str(seed): list(found) for seed, found in sorted(tally.violated.items())},
        "faults": dict(tally.faults.most_common()),
        "per_seed": {
            name: {str(count): seeds for count, seeds in sorted(counts.items())}
            for name, counts in tally.per_seed.items()
            if name != "callbacks"
        },
        "crash_sites": crashes_by_site(tally.sites),
    }
    path = folder / "campaign.json"
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf8")
    return path
