"""
A machine within this one: processes with mounts, process numbers and a network of their own.

Its first process ends when the tests do, even when those are killed, and all of it goes: what runs there, what was
mounted, its interfaces and its packet filters. It keeps its disk, a folder, and a new start is a reboot. It takes root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.node_network import CannotRunNodesError, Network, ip
from tests.support.programs import Program

INIT = Path(__file__).with_name("node_init.py")


@dataclass
class InnerProgram(Program):
    """A program of such a machine; a test may hold it and let it go on."""

    @property
    def pid(self) -> int:
        """Its process, as this machine numbers it."""
        assert self.process is not None, f"{self.command[0]} does not run"
        return child_of(self.process.pid)

    def pause(self) -> None:
        """Hold it: it does nothing any more, and does not know."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process is not None
        for pid in (self.pid, self.process.pid):  # the one that waits for it is held with it
            os.kill(pid, signal.SIGCONT)

    def stop(self, *, hard: bool = False) -> None:
        """End it, and wait until it has."""
        if self.process is not None:
            with suppress(OSError, IndexError):  # it has ended already
                os.kill(self.pid, signal.SIGKILL if hard else signal.SIGTERM)
        super().stop(hard=hard)


def child_of(pid: int) -> int:
    """Return the first child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@dataclass
class OwnMachine:
    """
    The machine.

    Attributes:
        name: Its name, and that of its end at the switch.
        network: What it is plugged into.
        host: Its address there.
        folder: For its disk and its log.
    """

    name: str
    network: Network
    host: str
    folder: Path
    _holder: subprocess.Popen[bytes] | None = None

    def power_on(self) -> None:
        """Start it, with the disk it had, and plug it in."""
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["--propagation", "slave", sys.executable, "-S", "-E", str(INIT), str(self.folder / "disk")]
        with (self.folder / "init.log").open("ab") as log:
            self._holder = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise CannotRunNodesError(f"a node did not start: {(self.folder / 'init.log').read_text()[-500:]}")
        self._plug_in()

    def power_off(self) -> bool:
        """Take its power: all that runs there ends at once, and nobody is told. Say whether it had any."""
        holder, self._holder = self._holder, None
        if holder is None:
            return False
        holder.kill()
        holder.wait()
        for stream in (holder.stdin, holder.stdout):
            if stream is not None:
                stream.close()
        return True

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, as its administrator."""
        return subprocess.run(
            [*self.inside, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @property
    def inside(self) -> Sequence[str]:
        """What a command line begins with to run there."""
        return ("nsenter", "-t", self._init, "-m", "-n", "-p")

    @property
    def _init(self) -> str:
        assert self._holder is not None, f"{self.name} has no power"
        return str(child_of(self._holder.pid))

    def _plug_in(self) -> None:
        name = self.name
        with suppress(subprocess.CalledProcessError):  # the one of before may still be on its way out
            ip("-n", self.network.name, "link", "del", name)
        ip("-n", self.network.name, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", self._init)
        ip("-n", self.network.name, "link", "set", name, "master", "switch", "up")
        self.ip("link set lo up")
        self.ip(f"addr add {self.host}/24 dev eth0")
        self.ip("link set eth0 up")
        self.ip(f"route add default via {self.network.host}")

    def ip(self, words: str) -> None:
        """Run ``ip`` there."""
        done = self.run("ip", *words.split())
        assert not done.returncode, f"ip {words}: {done.stderr}"
