"""
A real Slurm behind a real OpenSSH, for the connectors that reach theirs over SSH.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stock.environments import HERE
from tests.support.slurm import Slurm, running_slurm
from tests.support.sshd import Sshd, running_sshd


@dataclass(frozen=True)
class Cluster:
    """
    A Slurm behind an SSH server, as the connector finds it by the OpenSSH configuration of its home.

    Attributes:
        bin: What is first on the cluster's PATH.
        home: The connector's.
    """

    slurm: Slurm
    sshd: Sshd
    bin: Path
    home: Path

    def newest(self) -> int:
        """The number of the newest job; they are counted from 1."""
        known = self.slurm.run("sacct", "-X", "-n", "-P", "--format=JobIDRaw").split()
        known += self.slurm.run("squeue", "-h", "--states=all", "-o", "%i").split()
        return max(map(int, known), default=0)

    @contextmanager
    def without_node(self) -> Iterator[None]:
        """Take the node away, and with it what runs there."""
        try:
            self.slurm.run("scontrol", "update", f"NodeName={self.slurm.node_name}", "State=DOWN", "Reason=test")
            yield
        finally:
            self.slurm.revive_node()

    @contextmanager
    def without_host(self) -> Iterator[None]:
        """Let nobody log in, and end the sessions of those who have."""
        self.sshd.break_off()
        self.sshd.stop()
        try:
            yield
        finally:
            self.sshd.begin()

    @contextmanager
    def talking_nonsense(self) -> Iterator[None]:
        """Have it say of jobs what no Slurm says."""
        (self.bin / "garbage").touch()
        try:
            yield
        finally:
            (self.bin / "garbage").unlink()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run both in a folder; what is in ``cluster/`` is first on the PATH of whoever logs in."""
    commands, home = folder / "bin", folder / "home"
    shutil.copytree(HERE / "cluster", commands)
    for name in ("slurm", "sshd"):
        (folder / name).mkdir()
    with running_slurm(folder / "slurm") as slurm:
        variables = {**slurm.environment, "HOME": str(folder), "PATH": f"{commands}:/usr/bin:/bin"}
        with running_sshd(folder / "sshd", variables) as sshd:
            (home / ".ssh").mkdir(parents=True)
            (home / ".ssh" / "config").write_text(
                f"Host cluster\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.folder}/user\n"
            )
            yield Cluster(slurm, sshd, commands, home)
