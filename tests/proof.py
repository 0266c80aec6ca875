"""
Makes ``docs/guarantees.md``: what is promised, how it is tested, and the figures of the runs that tested it.

    python -m tests.proof     write the page anew, with the figures that lie in build/proof

The promises are here, and nowhere else; the figures come from the files that the runs write (``tests.support.
proof_files``). A figure of a run that is not there this time stays on the page, with its date.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.target import names
from tests.support.proof_files import FOLDER, ROOT, machine

PAGE = ROOT / "docs" / "guarantees.md"
CAMPAIGN = ROOT / "build" / "simulation" / "campaign.json"
MARK = "<!-- figures -->"
SECTION = re.compile(r"^### (?P<name>[\w-]+) \((?P<date>[\d-]+); (?P<machine>.+)\)$")


@dataclass(frozen=True, kw_only=True)
class Promise:
    """
    A promise of the page.

    Attributes:
        text: What is promised.
        faults: Under which faults.
        tests: The files that hold it to that.
    """

    text: str
    faults: str
    tests: tuple[str, ...]


SIMULATION = "tests/simulation/test_simulation.py"
FAULTS = "tests/integration/faults"

PROMISES = (
    Promise(
        text="No attempt is started twice; one execution never has two attempts alive at once.",
        faults="the engine is killed at any await and any write; lost and late replies of the store and of services",
        tests=(SIMULATION, f"{FAULTS}/test_kills.py", "tests/e2e/test_crash.py"),
    ),
    Promise(
        text="A plugin of the WebAPI framework has one job made for each attempt; where a service can neither be asked "
        "again nor lists what it made, a lost start fails as SYSTEM and says so. No outage of a service uses up an "
        "attempt.",
        faults="the engine is killed at any await of the framework; lost, late, doubled, senseless replies; services "
        "that are away for half an hour",
        tests=(
            "tests/simulation/test_providers.py",
            "tests/unit/plugins/webapi/test_outage_in_an_engine.py",
            "tests/unit/plugins/webapi/test_crash_at_every_await.py",
        ),
    ),
    Promise(
        text="No acknowledged submission is lost; every accepted execution comes to its end.",
        faults="the same, and a full disk, no file descriptors, an etcd that is away for minutes",
        tests=(
            SIMULATION,
            f"{FAULTS}/test_kills.py",
            f"{FAULTS}/test_disks.py",
            f"{FAULTS}/test_descriptors.py",
            "tests/integration/test_etcd_faults.py",
        ),
    ),
    Promise(
        text="A finished attempt leaves nothing running; what may be left is named by `airscrew leaks`.",
        faults="the same; tasks that leave daemons behind",
        tests=(SIMULATION, f"{FAULTS}/test_kills.py", "tests/integration/test_process_executor.py"),
    ),
    Promise(
        text="Terminal phases are final, verdicts do not change, phase versions grow.",
        faults="the same; watches that break, lag by up to two minutes and then tell all at once, each at its own pace",
        tests=(SIMULATION,),
    ),
    Promise(
        text="An engine whose lock another one has taken writes nothing any more.",
        faults="it stands still, or is cut off from the store, for longer than its lease, and comes back; another "
        "machine, whose clock is up to 2 s off, has taken over meanwhile",
        tests=(SIMULATION, "tests/unit/state/test_lease_lock.py"),
    ),
    Promise(
        text="Of several engines on one store, each execution is one's. Who has lost a shard writes nothing of it, and "
        "begins no call once another one can have taken over; nothing falls between two that hand over.",
        faults="members stand still, are cut off, or hear of everything late, for longer than their leases; shards are "
        "given, taken over, and come back while work of the earlier term is still under way; clocks 2 s apart",
        tests=(SIMULATION, "tests/unit/engine/test_shards.py", "tests/unit/state/members/test_membership.py"),
    ),
    Promise(
        text="What a start made that was under way when its shard went is found and killed, or named by "
        "`airscrew leaks` where it can be neither.",
        faults="the start is sent long after another engine has resolved it, and begun or ended the execution",
        tests=(SIMULATION, "tests/unit/engine/test_late_starts.py"),
    ),
    Promise(
        text="No more units of a quota are taken than there are, over all engines; those taken are those of the open "
        "ledger entries, and whoever waits comes to his turn.",
        faults="the same: one or several engines, whose watches of what is taken are late, break and are compacted",
        tests=(SIMULATION, "tests/unit/engine/test_quotas.py", "tests/unit/engine/quotas/test_desk.py"),
    ),
    Promise(
        text="Each safety step is needed: without it the simulation finds the harm.",
        faults="intent, nonce, facts, compare, verdict, confirmation, `settle`, the term of the lock, the claim of "
        "the shard, the compare of a unit of a quota, certainty before a call, word of a late start, the sync before "
        "an acknowledgement, linearizable reads and others removed one at a time",
        tests=("tests/simulation/test_mutations.py",),
    ),
    Promise(
        text="The stores are linearizable, and what a watch tells is what was written.",
        faults="commits that fail before and after the disk, files that cannot be opened again, closing under load",
        tests=("tests/integration/test_linearizability.py", "tests/unit/state/test_linearizability.py"),
    ),
    Promise(
        text="A write that was acknowledged survives a kill.",
        faults="SIGKILL in the midst of writes",
        tests=("tests/integration/test_sqlite_kill.py",),
    ),
    Promise(
        text="A damaged store file is refused, or gone on with from its last good state with a warning; never guessed.",
        faults="each page of the file overwritten; the write-ahead log cut and overwritten",
        tests=("tests/integration/test_sqlite_damage.py",),
    ),
    Promise(
        text="No room: submissions are refused with the reason, what runs goes on and its end is written down later.",
        faults="a file system that is really full, one that cannot be written",
        tests=(f"{FAULTS}/test_disks.py", "tests/integration/test_sqlite_full_disk.py"),
    ),
    Promise(
        text="A deadline fires neither early nor later than its length.",
        faults="the wall clock stepped by an hour back and forth, also while the engine is away",
        tests=(f"{FAULTS}/test_clock_steps.py",),
    ),
    Promise(
        text="Whatever bytes come from outside are refused in a line that says why, or end their own execution with a "
        "reason, or quarantine it; the others, and the engine, go on.",
        faults="task templates, inputs, what tasks leave, stored rows, what a watch tells of Pods, configuration files "
        "and requests, spoilt byte by byte and field by field",
        tests=tuple(f"tests/fuzz/test_{name}.py" for name in names()),
    ),
    Promise(
        text="One executor's failure changes no other's executions.",
        faults="it blocks, leaks threads and memory, raises SystemExit, KeyboardInterrupt or CancelledError anywhere",
        tests=(f"{FAULTS}/test_bad_plugins.py", "tests/unit/engine/test_host.py"),
    ),
)

MODEL = (
    "Reads: `get` and `range` are linearizable, as the port promises; the engine relies on it where it settles a write "
    "whose reply was lost, starts over after a conflict, tells what it has accepted, and looks at the lock.",
    "Watches: each in the order of revisions, none torn apart, each write once; a watch breaks, is compacted, and "
    "falls behind by up to two minutes on its own, so that two of them tell of the same writes in any order.",
    "Writes: a reply is lost of a write that happened and of one that did not; a write arrives after its sender died.",
    "The disk: with the power goes what was written and not synced, whole transactions, the newest first.",
    "Lives: they end at any await, write, request or callback. In two of five runs a life holds the store's lock by a "
    "lease of 15 s, and may stand still or be cut off for longer: then two lives run at once.",
    "Members: in two of five runs several engines share the store, each life a member with a lease, sixteen shards "
    "and a leader among them; a member may hear its watches minutes late while it writes on.",
    "Clocks: machines have boot clocks of their own and wall clocks that are up to 2 s off: a `settle` or a window "
    "that goes on over a take-over is shorter or longer by as much as the two differ, and by the up to 5 s for which a "
    "member that joins waits to hear what time the others have. What a start made that came late is looked for by the "
    "clock of who looks alone.",
    "Services: a former owner of the lock is cut off from them: that it begins no call of its own accord is promised "
    "of members only. What a member sends when it has stood still arrives, however late.",
    "Word: in one of seven runs there comes word of a late start of an execution that had a name before the one that "
    "has it; it is to end in the ledger, whatever else happens.",
    "People: they submit, kill, retry, prune, delete by hand, clear, and damage what lies in the outbox.",
)
"""What the simulation models."""

LIMITS = (
    "A job service that delivers a start later than the `settle` that its executor declares can make a twin: it is "
    "killed when the engine asks for its key again, which it does while it does not know how a start went. When the "
    "start that followed was answered, nobody asks again, and the twin runs to its own end. The same holds for a "
    "machine that stands still between its last look at the lock and the sending of a start. An `at_most_once` "
    "executor may leave one start unaccounted for: `airscrew leaks` names it.",
    "A member that stood still while it sent a start tells the new owner when it goes on. If it is killed before it "
    "can tell, nobody knows of what that start made; and a job of an `idempotent` start whose window is over runs "
    "beside that of its attempt until the attempt is over.",
    "SQLite keeps no checksum of a page: a flipped bit inside a stored value is noticed only when the value no longer "
    "decodes; that execution alone is then quarantined. A damaged end of the write-ahead log cannot be told from a "
    "write that a crash cut short: the store warns and goes on.",
    "A disk that says that it has written and has not (a volatile cache without a battery) can lose what was "
    "acknowledged.",
    "An executor in the engine's process can harm it on purpose: by `os._exit`, by cancelling the engine's own tasks, "
    "by a task of its own that raises SystemExit, or by holding the interpreter's lock. Threads and memory that it "
    "leaks are the process's.",
    "The wall clock is stepped in virtual time; the real clock of the machine is not touched by the tests.",
    "The full and the read-only disk need root to be mounted; elsewhere these tests are skipped and say so.",
)


def promises() -> str:
    """The part of the page that does not depend on any run."""
    lines = [
        "# Guarantees",
        "",
        "Made by `python -m tests.proof`; do not edit. `make test` runs every test named here; the long runs are",
        "`make simulate`, `make kills` and `make fuzz`.",
        "",
        "| Promise | Under which faults | Tests |",
        "|---|---|---|",
    ]
    for one in PROMISES:
        tests = "<br>".join(f"`{test}`" for test in one.tests)
        lines += [f"| {one.text} | {one.faults} | {tests} |"]
    lines += ["", "## What is simulated", "", *(f"- {part}" for part in MODEL)]
    lines += ["", "## Known limits", "", *(f"- {limit}" for limit in LIMITS), "", "## Figures of the last runs", ""]
    return "\n".join(lines)


def sections(page: str) -> dict[str, str]:
    """Split the figures of a page by their runs."""
    found: dict[str, str] = {}
    name = ""
    for line in page.partition(MARK)[2].splitlines():
        heading = SECTION.match(line)
        name = heading["name"] if heading else name
        if name:
            found[name] = f"{found.get(name, '')}{line}\n"
    return {name: text.rstrip() for name, text in found.items()}


def section(run: Mapping[str, object]) -> str:
    """Show the figures of one run."""
    figures = run["figures"]
    assert isinstance(figures, Mapping)
    lines = [f"### {run['name']} ({run['date']}; {run['machine']})", "", "| what | |", "|---|---|"]
    lines += [f"| {name} | {shown(value)} |" for name, value in figures.items()]
    return "\n".join(lines)


def shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(inner)}" for name, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(shown, value))
    return f"{value:,}".replace(",", " ") if isinstance(value, int) and not isinstance(value, bool) else str(value)


def render(old: str, runs: Sequence[Mapping[str, object]]) -> str:
    """Make the page anew; figures of runs that are not among these stay."""
    figures = sections(old) | {str(run["name"]): section(run) for run in runs}
    body = "\n\n".join(figures[name] for name in sorted(figures))
    return f"{promises()}{MARK}\n\n{body}\n"


def read_runs(folder: Path) -> list[dict[str, object]]:
    """Read the files that runs have written."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def read_campaign(path: Path) -> list[dict[str, object]]:
    """Read what the last campaign of the simulation has left, if there was one."""
    if not path.exists():
        return []
    told = json.loads(path.read_text())
    sites = [int(site["crashes"]) for site in told["crash_sites"]]
    figures = {
        "seeds": told["seeds"],
        "first seed": told["first_seed"],
        "of these for awaits where few lives had ended": told["chosen"],
        "seeds with a violated invariant": len(told["violated"]),
        **{f"{name} a seed": spread(counts) for name, counts in told["per_seed"].items()},
        "faults": told["faults"],
        "known limits met": told.get("limits", {}),
        "await and write sites": len(sites),
        "of these crashed at 20 times and more": sum(crashes >= 20 for crashes in sites),
        "of these never crashed at": sites.count(0),
    }
    date = time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))
    run = {"date": date, "machine": machine()}
    return [run | {"name": "simulation", "figures": figures}, run | {"name": "await-sites", "figures": coverage(told)}]


def coverage(told: Mapping[str, Any]) -> dict[str, object]:
    """Say of each module how often lives ended at its awaits, and which awaits no simulation comes to, and why."""
    crashes: dict[str, list[int]] = {}
    for site in told["crash_sites"]:
        crashes.setdefault(site["site"].rpartition(":")[0], []).append(int(site["crashes"]))
    found: dict[str, object] = {
        module: f"{len(counts)} awaits, each crashed at {min(counts):,} to {max(counts):,} times"
        for module, counts in sorted(crashes.items())
    }
    return found | {f"not come to: `{one['function']}` {one['awaits']}".rstrip(): one["why"] for one in told["beyond"]}


def spread(counts: Mapping[str, int]) -> str:
    """Say from where to where a count goes over the seeds, and its median."""
    values = sorted((int(count), seeds) for count, seeds in counts.items())
    half, passed, middle = sum(seeds for _, seeds in values) / 2, 0, 0
    for count, seeds in values:
        if passed < half:
            middle = count
        passed += seeds
    return f"{values[0][0]} to {values[-1][0]}, median {middle}"


def main() -> int:
    """Write the page."""
    old = PAGE.read_text() if PAGE.exists() else ""
    PAGE.write_text(render(old, [*read_runs(FOLDER), *read_campaign(CAMPAIGN)]))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
