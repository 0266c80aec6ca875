"""
What is measured, how, and what it is to be: the runs of ``airscrew bench`` behind ``docs/performance.md``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.support.proof_files import ROOT, machine
from typing_extensions import override

FOLDER = ROOT / "build" / "performance"
COMMAND = Path(sys.executable).with_name("airscrew")
BUSY_SHARE = 0.3
"""A machine that has so much of its cores at work before a run begins has not measured us alone."""

Figures = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """
    What a figure is to be.

    Attributes:
        least: At least this; None for no such bar.
        most: At most this.
    """

    least: float | None = None
    most: float | None = None

    def is_met(self, value: float) -> bool:
        """Compare."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @override
    def __str__(self) -> str:
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    Where a run has what it needs.

    Attributes:
        folder: Its own.
        stack: Ends what it starts.
    """

    folder: Path
    stack: ExitStack


Options = Sequence[str]
Prepare = Callable[[Place], Options]


def bench(*arguments: str) -> dict[str, object]:
    """Run ``airscrew bench`` in a process of its own and read its figures."""
    return _printed([str(COMMAND), "bench", *arguments, "-o", "json"])


def _printed(command: Sequence[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def on_sqlite(place: Place) -> Options:
    """Take a new file, as the embedded store is by default: with fsync."""
    return ("--store", f"sqlite:{place.folder / 'state.db'}")


def on_etcd(place: Place) -> Options:
    """Start an etcd of one member, with fsync."""
    from tests.support.etcd import start_etcd

    return ("--store", start_etcd(place.stack, place.folder / "etcd").new_url())


def on_played_nodes(place: Place) -> Options:
    """Name the node that KWOK plays as well: Pods are bound to it without a scheduler."""
    return (*on_played_cluster(place), "--node", "played-0")


def on_played_cluster(place: Place) -> Options:
    """Start a control plane whose node KWOK plays, and an etcd of our own beside its."""
    from tests.support.control_plane import open_control_plane
    from tests.support.kwok import start_kwok

    plane = open_control_plane(place.stack, place.folder / "plane", nodes=True)
    start_kwok(place.stack, plane, nodes=1, ends_all=True)
    namespace = place.stack.enter_context(plane.namespace())
    return ("--kubeconfig", str(plane.kubeconfig), "-n", namespace, *on_etcd(place))


def nothing(_place: Place) -> Options:
    """Need nothing."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """
    A measurement of the page.

    Attributes:
        name: Of its file and its section.
        what: In a line.
        commands: What ``airscrew bench`` is asked, one after the other, each in a place of its own.
        small: The same to see that it works.
        prepare: Starts what it needs and says by which options that is reached.
        bars: What its figures are to be.
        join: Makes one set of figures of those of the commands.
        own: Measures by itself, instead of commands: in a place, and whether it is only to see that it works.
        is_long: Whether it is done only when it is asked for by its name.
    """

    name: str
    what: str
    commands: Sequence[Options] = ()
    small: Sequence[Options] = ()
    prepare: Prepare = nothing
    bars: Mapping[str, Bar] = field(default_factory=dict[str, Bar])
    join: Callable[[Sequence[Figures]], Figures] = lambda found: found[0]
    own: Callable[[Place, bool], Figures] | None = None
    is_long: bool = False


def by_size(found: Sequence[Figures]) -> Figures:
    """Take the median of CPU per task at each size, and how far apart they are."""
    sizes: dict[int, list[float]] = {}
    for one in found:
        sizes.setdefault(int(number(one["tasks"])), []).append(number(one["cpu_ms_per_task"]))
    medians = {size: median(values) for size, values in sorted(sizes.items())}
    joined: dict[str, object] = {f"cpu_ms_per_task_at_{size}": round(value, 4) for size, value in medians.items()}
    return joined | {"largest_by_smallest": round(max(medians.values()) / min(medians.values()), 3)}


def soaked(place: Place, small: bool) -> Figures:
    """Have an engine work for an hour, or for half a minute."""
    from tests.performance.soak import Plan, soak

    hour = Plan(tasks=1_000_000, seconds=3600, lives=4, settle=300, look=20)
    moment = Plan(tasks=600, seconds=12, lives=2, settle=1, look=0.5)
    return soak(place.folder, moment if small else hour, lambda line: print(f"  {line}", flush=True))


def collected(prepare: Prepare) -> Callable[[Place, bool], Figures]:
    """Have a hundred thousand tasks come and go on a store."""

    def measured(place: Place, small: bool) -> Figures:
        from tests.performance.collection import Plan, collection

        place.folder.mkdir(parents=True)
        kept, tasks = (200, 1000) if small else (10_000, 100_000)
        plan = Plan(kept=kept, tasks=tasks, store=prepare(place)[1])
        return collection(place.folder, plan, lambda line: print(f"  {line}", flush=True))

    return measured


def batched(_place: Place, small: bool) -> Figures:
    """Have ten thousand jobs of an HTTP service in flight."""
    options = ("--jobs", "200", "--period", "1", "--changes", "20") if small else ()
    return _printed([sys.executable, str(ROOT / "benchmarks" / "http_jobs.py"), *options])


def number(value: object) -> float:
    """Read a figure."""
    assert isinstance(value, int | float), value
    return float(value)


RUNS = (
    Measured(
        name="engine-sqlite",
        what="10 000 echo tasks through the public submit, outputs read back and compared; sqlite with fsync",
        commands=[("engine", "--tasks", "10000")],
        small=[("engine", "--tasks", "200")],
        prepare=on_sqlite,
        bars={"ratio": Bar(least=0.4), "cpu_ms_per_task": Bar(most=0.4), "tasks_per_s": Bar(least=3000)},
    ),
    Measured(
        name="engine-etcd",
        what="The same on an etcd of one member, with fsync",
        commands=[("engine", "--tasks", "10000")],
        small=[("engine", "--tasks", "200")],
        prepare=on_etcd,
        bars={"ratio": Bar(least=0.4), "cpu_ms_per_task": Bar(most=0.5), "tasks_per_s": Bar(least=2000)},
    ),
    Measured(
        name="pods",
        what="Pod tasks on a node that KWOK plays, state in etcd, in turns with a bare loop: 5 pairs",
        commands=[("pods", "--tasks", "1000", "--repeat", "5")],
        small=[("pods", "--tasks", "40", "--repeat", "1")],
        prepare=on_played_nodes,
        bars={"ratio": Bar(least=0.65), "engine_cpu_ms_per_pod": Bar(most=1.5), "engine_writes_per_pod": Bar(most=3)},
    ),
    Measured(
        name="pod-events",
        what="20 changes a second of 1 000 Pods in flight, from the API server's reply to the recorded phase",
        commands=[("pod-events", "--in-flight", "1000")],
        small=[("pod-events", "--in-flight", "40", "--events", "40")],
        prepare=on_played_cluster,
        bars={"event_p50_ms": Bar(most=20), "event_p99_ms": Bar(most=250)},
    ),
    Measured(
        name="pods-watched",
        what="The same with 10 000 Pods: what the engine holds in memory",
        commands=[("pod-events", "--in-flight", "10000")],
        small=[("pod-events", "--in-flight", "80", "--events", "40")],
        prepare=on_played_cluster,
        bars={"rss_mb": Bar(most=250)},
    ),
    Measured(
        name="jobs-batched",
        what="10 000 jobs of an HTTP service that tells of 100 a call, looked at every 10 s",
        own=batched,
        bars={"reads_per_period": Bar(most=101), "rss_mb": Bar(most=300), "loop_lag_p99_ms": Bar(most=50)},
    ),
    Measured(
        name="inflight",
        what="100 000 tasks that wait on timers, in one process",
        commands=[("inflight", "--tasks", "100000")],
        small=[("inflight", "--tasks", "1000")],
        prepare=on_sqlite,
        bars={
            "rss_mb": Bar(most=600),
            "loop_lag_p99_ms": Bar(most=50),
            "loop_lag_max_ms": Bar(most=250),
            "idle_cpu_percent": Bar(most=2),
        },
    ),
    Measured(
        name="reopen",
        what="Until 100 000 tasks in flight are under control again, in a store that holds 1 000 000 that are over",
        commands=[("reopen", "--tasks", "100000", "--finished", "1000000")],
        small=[("reopen", "--tasks", "500", "--finished", "1000")],
        prepare=on_sqlite,
        bars={"under_control_s": Bar(most=20)},
    ),
    Measured(
        name="blocking",
        what="1 000 tasks that are looked at every second, beside a plugin that blocks 1 s at each look: 5 pairs",
        commands=[("blocking", "--tasks", "1000", "--repeat", "5")],
        small=[("blocking", "--tasks", "100", "--repeat", "1")],
        bars={"loop_lag_p99_ms": Bar(most=50)},
    ),
    Measured(
        name="sizes",
        what="CPU of an echo task at 1 000, 10 000 and 100 000 tasks, the median of 5; sqlite with fsync",
        commands=[("engine", "--tasks", str(size)) for size in (1000, 10_000, 100_000) for _ in range(5)],
        small=[("engine", "--tasks", str(size)) for size in (100, 200)],
        prepare=on_sqlite,
        bars={"largest_by_smallest": Bar(most=1.3)},
        join=by_size,
    ),
    Measured(
        name="startup",
        what="How long the command line takes to begin; the median of 5",
        commands=[("startup", "--repeat", "5")],
        small=[("startup", "--repeat", "1")],
        bars={"help_s": Bar(most=0.1)},
    ),
    Measured(
        name="overhead",
        what="What the engine adds to the time of a process that ends at once; the median of 5",
        commands=[("overhead", "--repeat", "5")],
        small=[("overhead", "--repeat", "1")],
    ),
    *(
        Measured(
            name=f"collection-{kind}",
            what=f"100 000 tasks come, end and are collected, in a store that keeps 10 000; {kind}",
            own=collected(prepare),
            bars={"after_by_before": Bar(most=1.2)},
        )
        for kind, prepare in (("sqlite", on_sqlite), ("etcd", on_etcd))
    ),
    Measured(
        name="soak",
        what="`airscrew serve` for an hour: 1 000 000 tasks through its socket, three restarts, one of them by SIGKILL",
        own=soaked,
        is_long=True,
        bars={
            "wrong_outputs": Bar(most=0),
            "unfinished": Bar(most=0),
            "rss_mb_growth": Bar(most=1.1),
            "threads_growth": Bar(most=1.1),
            "files_growth": Bar(most=1.1),
            "store_mb_growth": Bar(most=1.2),
        },
    ),
)


def busy() -> float:
    """Say which share of the cores is at work, by /proc/stat over a second; load averages lag behind for minutes."""
    first = _ticks()
    time.sleep(1.0)
    second = _ticks()
    whole = sum(second) - sum(first)
    return round(1 - (second[3] + second[4] - first[3] - first[4]) / whole, 2) if whole else 0.0


def _ticks() -> list[int]:
    return [int(text) for text in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]


def processor() -> str:
    """Name the machine's processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor unknown"
    )


def measure(run: Measured, folder: Path, *, small: bool) -> dict[str, object]:
    """Do a run, and return what its file holds."""
    found: list[Figures] = []
    share = busy()
    for place_number, command in enumerate(run.small if small else run.commands):
        with ExitStack() as stack:
            own = folder / run.name / str(place_number)
            own.mkdir(parents=True)
            found.append(bench(*command, *run.prepare(Place(folder=own, stack=stack))))
    if run.own is not None:
        with ExitStack() as stack:
            found.append(run.own(Place(folder=folder / run.name, stack=stack), small))
    return {
        "name": run.name,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{processor()}, {machine()}",
        "busy": share,
        "small": small,
        "figures": dict(run.join(found)),
    }


def record(made: Mapping[str, object]) -> Path:
    """Write the figures of a run; the newest of a name is the one that counts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{made['name']}.json"
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(made, indent=2) + "\n")
    draft.replace(path)
    return path
