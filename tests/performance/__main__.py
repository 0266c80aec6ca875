"""
Measures the engine on this machine, and makes ``docs/performance.md`` of what it gave.

    python -m tests.performance                    every run, then the page
    python -m tests.performance pods inflight      these alone
    python -m tests.performance soak               an hour
    python -m tests.performance --small            see that they work; the page stays as it is
    python -m tests.performance --page             the page alone, from the files in build/performance
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.performance.page import PAGE, read_file, write
from tests.performance.runs import FOLDER, RUNS, measure, record
from tests.support.proof_files import ROOT


def main() -> int:
    """Do what was asked."""
    names = [run.name for run in RUNS]
    parser = argparse.ArgumentParser(prog="python -m tests.performance")
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help=f"of {', '.join(names)}; all but those of an hour when none is given"
    )
    parser.add_argument("--small", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    unknown = set(asked.runs) - set(names)
    if unknown:
        parser.error(f"there is no run {', '.join(sorted(unknown))}: use {', '.join(names)}")
    if not asked.page:
        run_all(asked.runs or [run.name for run in RUNS if not run.is_long], small=asked.small)
    if not asked.small:
        write(result for path in sorted(FOLDER.glob("*.json")) if not (result := read_file(path)).small)
        print(PAGE.relative_to(ROOT))
    return 0


def run_all(wanted: list[str], *, small: bool) -> None:
    """Do the runs one after the other, and show what each gave."""
    chosen = [run for run in RUNS if run.name in wanted]
    with tempfile.TemporaryDirectory(prefix="airscrew-performance-") as folder:
        for place, run in enumerate(chosen, 1):
            print(f"{place} of {len(chosen)}: {run.name}: {run.what}", flush=True)
            made = measure(run, Path(folder), small=small)
            result = read_file(record(made))
            print(f"  the machine was {result.busy} % busy before", flush=True)
            for name, value in result.figures.items():
                print(f"  {name} {value} {run.bars.get(name, '')}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
