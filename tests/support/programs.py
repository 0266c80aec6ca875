"""
Programs that tests run beside themselves: each ends when it is stopped, and at the latest with the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BEGIN_SECONDS = 10.0

FAMILY = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"),
    *("sh", "-c", '"$@" & wait $!', "sh"),  # the first process of its kind, which buries the dead
)
"""What a command line begins with to end with all that it has begun, of which nothing can part: it takes root."""


def die_with_us() -> Sequence[str]:
    """Return what a command line begins with, if ``setpriv`` is there: what is run ends when the tests are killed."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


@dataclass
class Program:
    """
    A program; what it says is kept in a file.

    Attributes:
        command: What is run.
        log: Where its words go.
        variables: More of its environment.
        is_family: Whether what it has begun ends with it, at once, daemons as well.
    """

    command: Sequence[str]
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    is_family: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*die_with_us(), *(FAMILY if self.is_family else ()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.variables},
                start_new_session=True,  # a Ctrl-C is the test runner's
            )
        self._wait_until_it_would_die_with_us()

    def _wait_until_it_would_die_with_us(self) -> None:
        """Who is killed before ``setpriv`` has done its work, or ``unshare``, leaves the program behind."""
        assert self.process is not None
        folder, until = Path(f"/proc/{self.process.pid}"), time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < until:
            try:
                if _name_of(folder) != "setpriv" and not (self.is_family and _is_childless(folder)):
                    return
            except OSError:
                return  # it has ended, or this is no Linux
            time.sleep(0.001)

    def stop(self, *, hard: bool = False) -> None:
        """End it, and wait until it has."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if hard or self.is_family else signal.SIGTERM)  # unshare minds no other
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def check(self) -> None:
        """Raise with its last words when it has ended by itself."""
        if self.has_ended:
            raise AssertionError(f"{Path(self.command[0]).name} ended: {self.log.read_text()[-3000:]}")


def _name_of(folder: Path) -> str:
    return Path(os.fsdecode((folder / "cmdline").read_bytes().partition(b"\0")[0])).name


def _is_childless(folder: Path) -> bool:
    """Tell whether ``unshare`` has nobody yet who would end with it."""
    children = (folder / "task" / folder.name / "children").read_text().split()
    return not any(_name_of(Path("/proc", child)) not in {"", "unshare"} for child in children)
