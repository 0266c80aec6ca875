"""
Makes ``docs/performance.md``: how it is measured, what the figures are to be, and what the last runs gave.

The page is a function of the results; those of runs that are not done anew are read off the page as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.performance.runs import BUSY_SHARE, RUNS, Measured
from tests.support.proof_files import ROOT

PAGE = ROOT / "docs" / "performance.md"
HEADING = re.compile(
    r"^### (?P<name>[\w-]+) \((?P<date>[\d-]+); (?P<machine>.+); (?P<busy>\d+) % busy(?P<small>, small)?\)$"
)
ROW = re.compile(r"^\| (?P<name>\w+) \| (?P<value>[-\d.]+) \|")

HEAD = """\
# Performance

Made by `python -m tests.performance --page`; do not edit.

What is measured is what a user gets: tasks through the public submit, with the default sinks on, `fsync` on, one
process, and outputs that are read back and compared. Beside each rate stands a limit of the same run, on the same
machine: what a bare loop does that writes as many bytes for as many tasks, or makes the same calls of the same API
server. The **ratio** to that limit and the **CPU per task** are what can be compared between machines; tasks a second
cannot.

- `cpu_ms_per_task`: user and system time of the engine's process, by `getrusage`, over the tasks.
- `limit_per_s`: tasks a second of the bare loop, which writes in groups as the engine does.
- `ratio`: the engine's rate over the limit.
- `revisions_per_task`: revisions of the store over the tasks; several share a transaction of the disk.
- `engine_writes_per_pod`: requests to the API server that change something, over the Pods.
- `loop_lag_...`: how late timers of the engine's loop come, looked at every 5 ms.

Each run begins on a new store. Before it, it is looked for a second how busy the machine is: figures of a machine
with more than {busy:.0%} of its cores at work are shown, and not judged.

## How to repeat it

    make performance                          # everything, on an idle machine; half an hour
    python -m tests.performance pods          # one run
    python -m tests.performance soak          # an hour of tasks, with restarts
    python -m tests.performance --small       # see that it works, in a minute; the page stays

The runs write `build/performance/*.json` and, unless they are small, this page. One measurement alone is
`airscrew bench engine --tasks 10000`; the others of `bench` are listed by its help.

`make test` holds a wide gate on CPU per task, on ratios and on writes (`tests/performance/test_gate.py`): it fails when
something costs a multiple of what it did, and lets a noisy machine pass.
"""

OTHERS = (
    ("Flyte 2's executor, no Pod", "2.5 to 2.9", "3 to 4 of the API server", "90 to 110"),
    ("Flyte 2's executor, a Pod", "5.2 to 7.7", "5 of the API server", "8 to 45"),
    ("FlytePropeller, no Pod", "9.4", "9 of the API server", "11 to 54"),
    ("FlytePropeller, a Pod", "15 to 17", "12 of the API server", "10 to 31"),
)
"""What the engines in Go took, measured on two cores of the Xeon's kind: engine, CPU ms, writes, tasks a second."""

OURS = (
    (
        "airscrew, no Pod, sqlite",
        "engine-sqlite",
        "cpu_ms_per_task",
        "revisions_per_task",
        "of its store",
        "tasks_per_s",
    ),
    ("airscrew, no Pod, etcd", "engine-etcd", "cpu_ms_per_task", "revisions_per_task", "of its store", "tasks_per_s"),
    (
        "airscrew, a Pod, etcd",
        "pods",
        "engine_cpu_ms_per_pod",
        "engine_writes_per_pod",
        "of the API server",
        "engine_pods_per_s",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """
    What a run gave.

    Attributes:
        name: Of the run.
        date: Its day.
        machine: Where.
        busy: How busy that was before, percent.
        small: Whether it was only to see that it works.
        figures: As they are shown.
    """

    name: str
    date: str
    machine: str
    busy: int
    small: bool
    figures: Mapping[str, str]

    @property
    def counts(self) -> bool:
        """Whether it can be judged."""
        return not self.small and self.busy <= 100 * BUSY_SHARE


def read_file(path: Path) -> Result:
    """Read the file that a run wrote."""
    made = json.loads(path.read_text())
    figures = {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in made["figures"].items()
    }
    return Result(
        name=made["name"],
        date=made["date"],
        machine=made["machine"],
        busy=round(100 * made["busy"]),
        small=made["small"],
        figures=figures,
    )


def read_page(page: str) -> dict[str, Result]:
    """Read the results off the page."""
    found: dict[str, Result] = {}
    for part in re.split(r"^(?=### )", page, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        heading = HEADING.match(lines[0])
        if heading is None:
            continue
        figures = {row["name"]: row["value"] for line in lines if (row := ROW.match(line))}
        found[heading["name"]] = Result(
            name=heading["name"],
            date=heading["date"],
            machine=heading["machine"],
            busy=int(heading["busy"]),
            small=bool(heading["small"]),
            figures=figures,
        )
    return found


def render(results: Mapping[str, Result]) -> str:
    """Make the page."""
    parts = [HEAD.format(busy=BUSY_SHARE), beside(results), "## Figures of the last runs\n"]
    parts += [section(run, results[run.name]) for run in RUNS if run.name in results]
    missing = [run for run in RUNS if run.name not in results]
    if missing:
        parts.append("Not measured yet:\n\n" + "".join(f"- `{run.name}`: {told(run)}\n" for run in missing))
    return "\n".join(parts)


def beside(results: Mapping[str, Result]) -> str:
    """Show ours beside the engines in Go."""
    lines = [
        "## Beside the engines in Go",
        "",
        "Theirs were measured on two cores of the Xeon's kind, with a task that ends at once. A write of theirs is a",
        "request to the API server, which is a transaction of its etcd; a task of ours without a Pod makes none of",
        "these. What was measured on another processor is to be compared by its ratio alone: the EPYC of these runs",
        "took 2.5 times as long for everything.",
        "",
        "| engine | CPU, ms a task | writes a task | tasks/s | processor |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} | as the Xeon |" for row in OTHERS]
    for label, name, cpu, writes, of, rate in OURS:
        result = results.get(name)
        if result is None:
            lines.append(f"| {label} | not measured yet | | | |")
        else:
            figures, note = result.figures, "" if result.counts else ", not to be compared"
            where = result.machine.partition(",")[0]
            lines.append(f"| {label}{note} | {figures[cpu]} | {figures[writes]} {of} | {figures[rate]} | {where} |")
    return "\n".join([*lines, ""])


def section(run: Measured, result: Result) -> str:
    """Show the figures of one run beside what they are to be."""
    small = ", small" if result.small else ""
    lines = [
        f"### {run.name} ({result.date}; {result.machine}; {result.busy} % busy{small})",
        "",
        f"{run.what}.",
        "",
        "| figure | | is to be | |",
        "|---|---|---|---|",
    ]
    for name, value in result.figures.items():
        bar = run.bars.get(name)
        verdict = "" if bar is None else judged(result, is_met=bar.is_met(float(value)))
        lines.append(f"| {name} | {value} | {bar or ''} | {verdict} |")
    return "\n".join([*lines, ""])


def judged(result: Result, *, is_met: bool) -> str:
    """Say whether a bar is met, where that can be said."""
    if not result.counts:
        return "not judged"
    return "met" if is_met else "missed"


def told(run: Measured) -> str:
    """Say what a run is, and what it is to give."""
    bars = ", ".join(f"`{name}` {bar}" for name, bar in run.bars.items())
    return run.what + (f"; is to be: {bars}" if bars else "")


def write(new: Iterable[Result]) -> None:
    """Write the page with new results; the others stay."""
    old = read_page(PAGE.read_text()) if PAGE.exists() else {}
    PAGE.write_text(render(old | {result.name: result for result in new}))
