"""
What a user does and sees: commands, their output and their exit codes, processes of the machine.

Nothing here knows the engine's inside, but for the files that the process executor documents in an attempt's folder.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 60.0
STEP = 0.02

T = TypeVar("T")


def until(what: Callable[[], T], text: str = "it") -> T:
    """Wait until something is true, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(STEP)
    raise AssertionError(f"{text} did not happen in {PATIENCE:.0f} s")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """Its one line of complaint."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("airscrew: error: "), self.err
        return lines[0].removeprefix("airscrew: error: ")


@dataclass
class Running:
    """A command that runs in another terminal; its output goes to files."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self.err_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for words on stderr."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.err)
            assert found or self.process.poll() is None, f"it ended without {pattern!r}: {self.err}{self.out}"
            return found

        return until(look, f"{pattern!r} on stderr")

    def prints(self, pattern: str) -> re.Match[str]:
        """Wait for words on stdout."""
        return until(lambda: re.search(pattern, self.out), f"{pattern!r} on stdout")

    def name(self) -> str:
        """Wait until its execution is accepted, and return its name."""
        return self.says(r"airscrew: (\S+/\S+): ")[1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill_hard(self) -> None:
        """Kill the engine as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def wait(self) -> Done:
        code = self.process.wait(PATIENCE)
        return Done(code, self.out, self.err)


@dataclass
class User:
    """One user with one home."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    tools: Path = BIN
    commands: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"

    def environment(self) -> dict[str, str]:
        """Return what a user has: nothing of this test's own, and a Python that keeps what it has compiled."""
        dropped = ("AIRSCREW_", "_FSEC_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {
            **kept,
            "PYTHONPYCACHEPREFIX": str(ROOT / "build" / "compiled"),
            "AIRSCREW_HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "PYTHONPATH": "",
            **self.variables,
        }

    def run(self, *arguments: str | Path, code: int | None = 0, stdin: bytes = b"") -> Done:
        """Run a command to its end; ``code`` is the exit code that is expected, None for any."""
        words = [str(self.tools / "airscrew"), *map(str, arguments)]
        ended = subprocess.run(
            words,
            env=self.environment(),
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        done = Done(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))
        assert code is None or done.code == code, f"{arguments} ended with {done.code}:\n{done.err}\n{done.out}"
        return done

    def start(self, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> Running:
        """Start a command in another terminal."""
        number = len(self.commands)
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [str(self.tools / "airscrew"), *map(str, arguments)],
                env=self.environment() | dict(variables or {}),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        running = Running(process, out, err)
        self.commands.append(running)
        return running

    def serve(self, *arguments: str, variables: Mapping[str, str] | None = None) -> Running:
        """Start an engine that serves, and wait until it answers."""
        engine = self.start("serve", "--process", *arguments, variables=variables)
        engine.says("serving on unix:")
        return engine

    def json(self, *arguments: str) -> Any:
        """Run a command that shows something, and return it as data."""
        return json.loads(self.run(*arguments, "-o", "json").out)

    def list(self, *arguments: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.run("list", "-o", "json", *arguments).data
        return listed

    def get(self, name: str) -> dict[str, Any]:
        view: dict[str, Any] = self.run("get", name, "-o", "json").data
        return view

    def is_over(self, name: str) -> dict[str, Any]:
        """Wait until an execution is over, and return it."""
        return until(lambda: _if_over(self.get(name)), f"the end of {name}")

    def processes(self) -> list[int]:
        """List the processes of the machine that belong to this home: engines, supervisors and tasks."""
        return list(processes_of(self.folder))

    def leave(self) -> None:
        """End what is left, by its own pid."""
        for command in self.commands:
            if command.process.poll() is None:
                command.process.kill()
            command.process.wait()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _if_over(view: dict[str, Any]) -> dict[str, Any] | None:
    return view if view.get("ended_at") else None


def processes_of(folder: Path) -> Iterator[int]:
    """Find the processes that name a folder in their environment, their arguments, or their working directory."""
    mark = str(folder).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            belongs = mark in (entry / "environ").read_bytes() or mark in words[0]
            if belongs or (entry / "cwd").readlink().is_relative_to(folder):
                yield int(entry.name)


def with_store(user: User, url: str) -> User:
    """Name a store in a user's settings."""
    user.folder.mkdir(parents=True, exist_ok=True)
    config = user.folder / "airscrew.yaml"
    config.write_text(f"store: {url}\n")
    user.variables["AIRSCREW_CONFIG"] = str(config)
    return user
