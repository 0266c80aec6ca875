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
    """

    command: Sequence[str]
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*die_with_us(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.variables},
                start_new_session=True,  # a Ctrl-C is the test runner's
            )
        self._wait_until_it_would_die_with_us()

    def _wait_until_it_would_die_with_us(self) -> None:
        """Who is killed before ``setpriv`` has done its work leaves the program behind."""
        assert self.process is not None
        place, until = Path(f"/proc/{self.process.pid}/cmdline"), time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < until:
            try:
                name = place.read_bytes().partition(b"\0")[0]
            except OSError:
                return  # it has ended, or this is no Linux
            if Path(os.fsdecode(name)).name != "setpriv":
                return
            time.sleep(0.001)

    def stop(self, *, hard: bool = False) -> None:
        """End it, and wait until it has."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
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
