"""
The first process of a test node: it makes the node's own view of the disk, buries the dead, and ends with its starter.

It runs in namespaces of its own for mounts, processes and the network. When it ends, the kernel ends every process of
the node, and what they had mounted, their interfaces and their packet filters go with them: whatever happened inside.

    python node_init.py FOLDER    where FOLDER keeps what a disk keeps over a reboot

It imports nothing but the standard library: it is started by whatever Python the tests have.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

KEPT = ("/var/lib", "/var/log")
"""What lies on the node's disk; everything else is the machine's."""


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def make_disk(folder: Path) -> None:
    """Give the node a disk and a ``/run`` of its own, as after a reboot."""
    for kept in KEPT:
        own = folder / kept.removeprefix("/").replace("/", "-")
        own.mkdir(parents=True, exist_ok=True)
        mount("--bind", str(own), kept)
    mount("-t", "tmpfs", "run", "/run")
    mount("--make-rshared", "/")  # the container runtime wants to hand mounts on, within the node


def bury(number: int, frame: object) -> None:
    """Wait for the children that have ended, ours and those that were left to us."""
    del number, frame
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    make_disk(Path(sys.argv[1]))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    signal.signal(signal.SIGCHLD, bury)
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([0], [], [])
        if readable and not os.read(0, 1):
            return  # who started us has ended


if __name__ == "__main__":
    main()
