"""
An hour of an engine: tasks without a pause, with restarts among them, and what it holds of the machine meanwhile.

``airscrew serve`` runs as an operator starts it, on sqlite or etcd, and keeps what is over for two minutes. Tasks are
submitted at a steady rate through its socket, by name and again until the answer comes, so that a restart loses none;
the outputs of a part of them are read back. Every second life ends by SIGKILL, the others by SIGTERM.

What grows is found by comparing the two halves of each life, after it has settled: the most that the second half saw
over the most that the first one did.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.programs import die_with_us

from airscrew.engine.api.address import socket_beside
from airscrew.engine.api.client import EngineClient, connect
from airscrew.engine.api.model import ApiError, ListRequest, SubmitRequest
from airscrew.engine.bench.rig import echo_template, integer_inputs
from airscrew.idl.phase import Phase

AIRSCREW = Path(sys.executable).with_name("airscrew")
SUBMITTERS = 32
READ_BACK_EVERY = 20
START_SECONDS = 120.0
DRAIN_SECONDS = 300.0
TRIES_PAUSE = 0.2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What is done.

    Attributes:
        tasks: How many.
        seconds: For how long, at least.
        lives: How many the engine has.
        settle: Seconds of a life until it is compared.
        look: Seconds between two looks.
        store: The store's URL; empty for sqlite in the home.
    """

    tasks: int
    seconds: float
    lives: int
    settle: float
    look: float
    store: str = ""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What an engine held at one moment: its age in seconds, and by name what can grow."""

    age: float
    held: Mapping[str, float]


@dataclass
class Tally:
    """
    What came of the tasks.

    Attributes:
        accepted: How many were accepted.
        read_back: How many outputs were read.
        wrong: Names of those whose outputs were not as they should be.
        again: How many submissions had to be made again.
        looks: Of each life, in their order.
        cpu: Seconds of processors that the engines took.
    """

    accepted: int = 0
    read_back: int = 0
    wrong: list[str] = field(default_factory=list)
    again: int = 0
    looks: list[list[Look]] = field(default_factory=list)
    cpu: float = 0.0


def soak(folder: Path, plan: Plan, tell: Callable[[str], None] = lambda _: None) -> dict[str, object]:
    """Do it, and return the figures."""
    return asyncio.run(Soak(folder, plan, tell).run())


class Soak:
    """One soak in a folder of its own."""

    def __init__(self, folder: Path, plan: Plan, tell: Callable[[str], None]) -> None:
        self.folder, self.plan, self.tell = folder, plan, tell
        self.home = folder / "home"
        self.tally = Tally()
        self.serving = asyncio.Event()
        self.client: EngineClient | None = None
        self.clients = AsyncExitStack()  # each stays open to the end: calls may hang on it while its engine is killed

    async def run(self) -> dict[str, object]:
        began = time.monotonic()
        numbers = iter(range(self.plan.tasks))
        async with self.clients, asyncio.TaskGroup() as group:
            submitters = [group.create_task(self._submit(numbers, began)) for _ in range(SUBMITTERS)]
            lives = group.create_task(self._live(began))
            for submitter in submitters:
                await submitter
            unfinished = await self._drained()
            lives.cancel()
        return self._figures(time.monotonic() - began, unfinished)

    # Tasks.

    async def _submit(self, numbers: Iterator[int], began: float) -> None:
        """Submit at a steady rate; what a restart costs is caught up with."""
        template = echo_template()
        for number in numbers:
            ahead = began + number * self.plan.seconds / self.plan.tasks - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            name = f"soak-{number}"
            await self._until_answered(SubmitRequest(name=name, template=template, inputs=integer_inputs(number)))
            self.tally.accepted += 1
            if number % READ_BACK_EVERY == 0:
                await self._read_back(name, number)

    async def _until_answered(self, request: SubmitRequest) -> None:
        while True:
            await self.serving.wait()
            try:
                assert self.client is not None
                await self.client.submit(request)
            except ApiError as error:
                if error.code != "unavailable":
                    raise
                self.tally.again += 1
                await asyncio.sleep(TRIES_PAUSE)
            else:
                return

    async def _read_back(self, name: str, number: int) -> None:
        while True:
            await self.serving.wait()
            try:
                assert self.client is not None
                view = await self.client.get(name)
                if view.phase.is_terminal:
                    values = (await self.client.outputs(name)).values
                    self.tally.read_back += 1
                    if view.phase is not Phase.SUCCESS or values != {"o0": number}:
                        self.tally.wrong.append(f"{name}: {view.phase.title} {values}")
                    return
            except ApiError as error:
                if error.code != "unavailable":
                    self.tally.wrong.append(f"{name}: {error}")
                    return
            await asyncio.sleep(TRIES_PAUSE)

    async def _drained(self) -> int:
        """Wait until nothing is unfinished, and return how many still are after a while."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            await self.serving.wait()
            assert self.client is not None
            page = await self.client.list(ListRequest(active=True, limit=1000))
            if not page.executions or time.monotonic() > deadline:
                return len(page.executions)
            await asyncio.sleep(TRIES_PAUSE)

    # The engine.

    async def _live(self, began: float) -> None:
        """Let one engine follow the other; the last one lives until it is cancelled."""
        each = self.plan.seconds / self.plan.lives
        for life in range(self.plan.lives):
            is_last = life == self.plan.lives - 1
            with self._engine() as engine:
                async with self._served():
                    await self._look(engine.pid, None if is_last else began + (life + 1) * each)
                engine.send_signal(signal.SIGKILL if life % 2 else signal.SIGTERM)
                await asyncio.to_thread(engine.wait)

    @contextmanager
    def _engine(self) -> Iterator[subprocess.Popen[bytes]]:
        config = {"retention": {"finished_age": 120}, **({"store": self.plan.store} if self.plan.store else {})}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(json.dumps(config))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRSCREW_")}
        variables = {"AIRSCREW_HOME": str(self.home), "AIRSCREW_CONFIG": str(self.folder / "config.yaml")}
        with (self.folder / "engine.log").open("ab") as log:
            command = [*die_with_us(), str(AIRSCREW), "serve"]
            engine = subprocess.Popen(command, env=kept | variables, stdin=subprocess.DEVNULL, stderr=log)
        try:
            yield engine
        finally:
            engine.kill()
            engine.wait()

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        """Have a client of the engine for as long as it serves."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client = connect(socket_beside(self.home / "state.db"))
                await client.list(ListRequest(limit=1))
                break
            except ApiError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(TRIES_PAUSE)
        self.client = await self.clients.enter_async_context(client)
        self.serving.set()
        try:
            yield
        finally:
            self.serving.clear()

    async def _look(self, pid: int, until: float | None) -> None:
        """Look at an engine again and again until its end."""
        began, looks = time.monotonic(), list[Look]()
        self.tally.looks.append(looks)
        before = 0.0
        try:
            while until is None or time.monotonic() < until:
                await asyncio.sleep(self.plan.look)
                age = time.monotonic() - began
                looks.append(Look(age=age, held=held_by(pid, self.home)))
                self.tally.cpu, before = self.tally.cpu + cpu_of(pid) - before, cpu_of(pid)
                shown = " ".join(f"{name} {value:g}" for name, value in looks[-1].held.items())
                self.tell(f"{self.tally.accepted} tasks, life {len(self.tally.looks)} at {age:.0f} s: {shown}")
        finally:
            self.serving.clear()

    def _figures(self, seconds: float, unfinished: int) -> dict[str, object]:
        tally = self.tally
        return {
            "tasks": tally.accepted,
            "seconds": round(seconds),
            "restarts": self.plan.lives - 1,
            "tasks_per_s": round(tally.accepted / seconds, 1),
            "cpu_ms_per_task": round(tally.cpu * 1000 / max(tally.accepted, 1), 3),
            "submitted_again": tally.again,
            "outputs_read_back": tally.read_back,
            "wrong_outputs": len(tally.wrong),
            "unfinished": unfinished,
            **growth(tally.looks, self.plan.settle),
        }


def growth(lives: Iterable[Iterable[Look]], settle: float) -> dict[str, object]:
    """Say of all that can grow how much it did at most in the second half of a life, and the most that was seen."""
    worst: dict[str, float] = {}
    most: dict[str, float] = {}
    for looks in lives:
        steady = [look for look in looks if look.age >= settle]
        halves = steady[: len(steady) // 2], steady[len(steady) // 2 :]
        for name in steady[0].held if steady else ():
            first, second = (max((look.held[name] for look in half), default=0.0) for half in halves)
            most[name] = max(most.get(name, 0.0), first, second)
            if first:
                worst[name] = max(worst.get(name, 0.0), second / first)
    figures: dict[str, object] = {f"{name}_growth": round(value, 3) for name, value in worst.items()}
    return figures | {f"{name}_most": round(value, 1) for name, value in most.items()}


def held_by(pid: int, home: Path) -> dict[str, float]:
    """Look at what a process and its home hold."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "rss_mb": float(status["VmRSS"].split()[0]) / 1024,
        "threads": float(status["Threads"]),
        "files": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
        "store_mb": sum(path.stat().st_size for path in home.glob("state.db*")) / 1e6,
    }


def cpu_of(pid: int) -> float:
    """Return the seconds of processors that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
