"""
SIGKILL of ``airscrew serve`` at random moments, with real tasks running, again and again; then the accounts.

    python -m tests.integration.faults.kills 300 [--store sqlite|etcd] [--seed N]

Tasks are submitted all the time, by name, and asked for again until the answer comes. Each attempt of a task appends
its key to one file as the first thing that it does, so that a line is missing, or there twice, if an attempt was lost
or doubled. Some tasks fail once, some leave a daemon behind, some are killed by their user.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.support.proof_files import record

from airscrew.engine.api.model import ApiError, ExecutionView, SubmitRequest
from airscrew.engine.client import Client
from airscrew.idl.phase import Phase

AIRSCREW = Path(sys.executable).parent / "airscrew"
PLACE_MARKER = "AIRSCREW_ATTEMPT"
LIVE_TASKS = 24
"""So many unfinished tasks at most: the loop is about kills, not about load."""

MOST_LIVES = 3
"""Where a machine is so busy that few tasks are accepted, up to so many lives for each kill that was asked for."""

ENDS = {"plain": Phase.SUCCESS, "flaky": Phase.SUCCESS, "daemon": Phase.SUCCESS, "endless": Phase.ABORTED}
ATTEMPTS = {"plain": 1, "flaky": 2, "daemon": 1, "endless": 1}


@dataclass(frozen=True, kw_only=True)
class Account:
    """What came of a loop; ``sound`` when nothing was lost, doubled or left over."""

    kills: int
    kills_while_starting: int
    executions: int
    attempts: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    left_over: tuple[str, ...]
    seconds: float
    seed: int

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.left_over)

    def figures(self) -> dict[str, object]:
        counts = {"lost": len(self.lost), "doubled": len(self.doubled), "left over": len(self.left_over)}
        return {
            "kills": self.kills,
            "of these while starting": self.kills_while_starting,
            "executions": self.executions,
            "attempts": self.attempts,
            **counts,
            "seconds": round(self.seconds),
            "seed": self.seed,
        }


@dataclass
class KillLoop:
    """
    One loop.

    Attributes:
        folder: The home and the tasks' files.
        store: The store's address; empty for sqlite in the home.
        seed: Draws the moments and the tasks.
    """

    folder: Path
    store: str = ""
    seed: int = 0
    accepted: dict[str, str] = field(default_factory=dict)
    starting: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    give_up: threading.Event = field(default_factory=threading.Event)
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.ran = self.folder / "ran"
        self.ran.touch()
        self.random = Random(self.seed)

    def run(self, kills: int, tell: Callable[[int], None] = lambda _: None) -> Account:
        began = time.monotonic()
        user = threading.Thread(target=self.submit_until_told, name="user")
        user.start()
        done = 0
        try:
            while done < kills or (len(self.accepted) < kills and done < MOST_LIVES * kills):
                self.live_and_be_killed()
                done += 1
                tell(done)
            self.stop.set()
            views, leaks = self.last_life(user)
        finally:
            self.stop.set()
            self.give_up.set()
            user.join()
        if self.problem is not None:
            raise self.problem
        return self.account(done, views, leaks, time.monotonic() - began)

    # The engine.

    @contextmanager
    def engine(self) -> Iterator[subprocess.Popen[bytes]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRSCREW_")}
        process = {"slots": 8, "grace": 0.5}
        config = {"executors": {"process": process}, **({"store": self.store} if self.store else {})}
        (self.folder / "config.yaml").write_text(json.dumps(config))
        variables = {"AIRSCREW_HOME": str(self.home), "AIRSCREW_CONFIG": str(self.folder / "config.yaml")}
        with (self.folder / "engine.log").open("ab") as log:
            started = subprocess.Popen(
                [str(AIRSCREW), "serve", "--process"], env=kept | variables, stdin=subprocess.DEVNULL, stderr=log
            )
        try:
            yield started
        finally:
            started.kill()
            started.wait()

    def live_and_be_killed(self) -> None:
        """One life of the engine, of random length: a third of them end before it serves."""
        with self.engine() as engine:
            if self.random.random() < 0.33:
                self.starting += 1
                time.sleep(self.random.uniform(0.05, 0.7))
            else:
                self.wait_until_served(engine)
                time.sleep(self.random.choice([self.random.uniform(0, 0.1), self.random.uniform(0, 1.2)]))
            assert engine.poll() is None, f"the engine ended by itself: {self.log()}"

    def wait_until_served(self, engine: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and engine.poll() is None:
            with suppress(ApiError), Client.connect(home=self.home) as client:
                client.info()
                return
            time.sleep(0.02)
        raise AssertionError(f"the engine does not serve: {self.log()}")

    def log(self) -> str:
        return (self.folder / "engine.log").read_text(errors="replace")[-3000:]

    # The user.

    def submit_until_told(self) -> None:
        """Submit tasks, each until it is accepted for certain, and kill those that never end."""
        random = Random(self.seed + 1)
        try:
            while not self.stop.is_set():
                if len(self.accepted) - self.count_finished() >= LIVE_TASKS:
                    time.sleep(0.05)
                    continue
                kind = random.choice(["plain", "plain", "plain", "plain", "flaky", "daemon", "endless"])
                name = f"{kind}-{len(self.accepted)}"
                request = self.request(name, kind, random)
                self.insist(lambda client, request=request: client.submit(request))
                self.accepted[f"default/{name}"] = kind
                if kind == "endless":
                    time.sleep(random.uniform(0, 0.5))
                    self.insist(lambda client, name=name: client.kill(name, "enough"))
                time.sleep(random.uniform(0, 0.1))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for this one
            self.problem = error

    def insist(self, call: Callable[[Client], object]) -> None:
        """Ask until there is an answer, over the engine's lives."""
        while not self.give_up.is_set():
            try:
                with Client.connect(home=self.home) as client:
                    call(client)
                    return
            except ApiError as error:
                if error.code != "unavailable":
                    raise
            time.sleep(0.03)
        raise AssertionError("the user was given no answer")

    def count_finished(self) -> int:
        return sum(1 for _ in self.folder.glob("done-*")) + sum(
            1 for kind in self.accepted.values() if kind == "endless"
        )

    def request(self, name: str, kind: str, random: Random) -> SubmitRequest:
        done, flag, seconds = self.folder / f"done-{name}", self.folder / f"flag-{name}", random.uniform(0, 0.6)
        script = {
            "plain": f"sleep {seconds:.3f}; touch {done}",
            "flaky": f"sleep {seconds / 3:.3f}; test -e {flag} || {{ touch {flag}; exit 1; }}; touch {done}",
            "daemon": f"(setsid sleep 600 &) ; sleep {seconds:.3f}; touch {done}",
            "endless": "sleep 600",
        }[kind]
        identity = {"resource_type": "TASK", "project": "p", "domain": "d", "name": kind, "version": "1"}
        template = {
            "id": identity,
            "type": "container",
            "metadata": {"retries": {"retries": 2}},
            "container": {"image": "none", "command": ["sh", "-c", f'echo "$AIRSCREW_KEY" >> {self.ran}; {script}']},
        }
        return SubmitRequest(name=name, template=as_wire(template))

    # The accounts.

    def last_life(self, user: threading.Thread | None = None) -> tuple[dict[str, ExecutionView], list[str]]:
        """Let an engine live until the user has their answer and all is over, and drain it."""
        with self.engine() as engine:
            self.wait_until_served(engine)
            if user is not None:
                user.join(60)
            with Client.connect(home=self.home) as client:
                end = time.monotonic() + 120
                views = list(client.list())
                while any(not view.is_over for view in views) and time.monotonic() < end:
                    time.sleep(0.1)
                    views = list(client.list())
                leaks = [f"{leak.key} {leak.note}" for leak in client.leaks()]
            engine.send_signal(signal.SIGTERM)
            engine.wait(60)
        return {view.execution: view for view in views}, leaks

    def account(self, kills: int, views: dict[str, ExecutionView], leaks: list[str], seconds: float) -> Account:
        lines = Counter(self.ran.read_text().split())
        lost = [name for name in self.accepted if name not in views]
        for name, view in views.items():
            kind = name.removeprefix("default/").partition("-")[0]
            if view.phase is not ENDS[kind]:
                lost.append(f"{name} is {view.phase.title}: {view.reason or view.error}")
        doubled = [f"{key} ran {count} times" for key, count in lines.items() if count > 1]
        for name, view in views.items():
            kind = name.removeprefix("default/").partition("-")[0]
            if view.attempt + 1 > ATTEMPTS[kind]:
                doubled.append(f"{name} took {view.attempt + 1} attempts: {view.attempts}")
            if kind != "endless" and sum(lines[one] for one in lines if one == view.key) != 1:
                lost.append(f"{name}: its last attempt {view.key} left no line")
        return Account(
            kills=kills,
            kills_while_starting=self.starting,
            executions=len(views),
            attempts=len(lines),
            lost=tuple(lost),
            doubled=tuple(doubled),
            left_over=(*leaks, *(f"process {pid}" for pid in self.processes())),
            seconds=seconds,
            seed=self.seed,
        )

    def processes(self) -> list[int]:
        """List the processes that carry a mark of an attempt of this home."""
        mark = f"{PLACE_MARKER}={self.home}".encode()
        return [pid for pid in pids() if any(word.startswith(mark) for word in environment(pid))]

    def clean(self) -> None:
        """End what is left, by its own pid."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def as_wire(template: dict[str, object]) -> bytes:
    from airscrew.idl.template import load_one

    return load_one(json.dumps(template).encode()).raw


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def environment(pid: int) -> list[bytes]:
    """Read a process's environment; nothing when it is gone or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@contextmanager
def address(kind: str, folder: Path) -> Iterator[str]:
    """Give the store's address: empty for sqlite in the home, or a real etcd that runs as long as this."""
    if kind == "sqlite":
        yield ""
        return
    from tests.support.etcd import start_etcd

    with ExitStack() as stack:
        yield start_etcd(stack, folder / "etcd").new_url()


def loop(kind: str, folder: Path, kills: int, seed: int, tell: Callable[[int], None] = lambda _: None) -> Account:
    """Run a loop on a kind of store."""
    with address(kind, folder) as url:
        one = KillLoop(folder, store=url, seed=seed)
        try:
            return one.run(kills, tell)
        finally:
            one.clean()


def main() -> int:
    """Run the loop that was asked for, and write its figures down; 0 when it is sound."""
    parser = argparse.ArgumentParser(description="Kill the engine again and again, and count what is lost.")
    parser.add_argument("kills", type=int, nargs="?", default=300)
    parser.add_argument("--store", default="sqlite", choices=["sqlite", "etcd"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airscrew-kills-")))

        def tell(done: int) -> None:
            sys.stderr.write(f"\r{done}/{asked.kills} kills")

        account = loop(asked.store, folder, asked.kills, asked.seed, tell)
    sys.stderr.write("\n")
    record(f"kills-{asked.store}", account.figures())
    json.dump(account.figures() | {"sound": account.sound}, sys.stdout, indent=2)
    for problem in (*account.lost, *account.doubled, *account.left_over):
        sys.stdout.write(f"\n{problem}")
    sys.stdout.write("\n")
    return 0 if account.sound else 1


if __name__ == "__main__":
    sys.exit(main())
