"""
A real Slurm on this machine alone: Debian's packages, a controller, one node and the accounting, all on loopback.

Everything lies in one folder and is stopped by its own process: nothing of the machine's own Slurm is touched. The
node's jobs part from it, as Slurm wants it, and yet end with it and so with the tests: they are a family of processes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.cgroups import remove_cgroup
from tests.support.debian import install
from tests.support.programs import Program

PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sbatch", "sacct")
UP_SECONDS = 60.0
MIN_JOB_AGE = 4
"""Seconds for which the controller remembers what has ended: few, so that tests meet the accounting."""

SLURM_CONF = """
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmctldParameters=enable_configless
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/{task}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=16
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
ReturnToService=2
MinJobAge={age}
MessageTimeout=5
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SchedulerTimeSlice=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdPort={node}
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
AccountingStoragePass={folder}/munge.socket
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
NodeName={node_name} NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs={cpus} RealMemory=512
PartitionName=main Nodes={node_name} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
PartitionName=modest Nodes={node_name} MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={node_name} MaxTime=INFINITE State=UP PriorityTier=10
"""

CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
"""

SLURMDBD_CONF = """
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StorageLoc=slurm
"""


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Slurm:
    """
    The cluster.

    Attributes:
        folder: Where everything of it lies.
        ports: What listens where, on loopback.
        controller: The process that may be stopped for an outage.
    """

    folder: Path
    ports: Mapping[str, int] = field(
        default_factory=lambda: {name: _free_port() for name in ("controller", "node", "accounting", "database")}
    )
    programs: list[Program] = field(default_factory=list)
    controller: Program = field(init=False)
    node: Program = field(init=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    @property
    def node_name(self) -> str:
        """The node, and its control group: another cluster on this machine has another."""
        return f"n{self.ports['node']}"

    @property
    def limits_memory(self) -> bool:
        """Whether a job that uses more memory than it asked for is ended."""
        return os.access("/sys/fs/cgroup/memory/cgroup.procs", os.W_OK)

    def run(self, *command: str) -> str:
        """Run one of Slurm's commands; returns what it prints."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=30
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def submit(self, text: str, *options: str) -> str:
        """Make a job that is nobody's; returns its number."""
        script = self.folder / "nobodys.sh"
        script.write_text(f"#!/bin/sh\n{text}\n")
        return self.run("sbatch", "--parsable", f"--chdir={self.folder}", *options, str(script)).strip()

    def jobs(self, key: str) -> list[tuple[str, str]]:
        """List id and state of all jobs that ever carried a name: the controller's word, else the accounting's."""
        kept = self.run("sacct", "-X", "-n", "-P", f"--name={key}", "--format=JobIDRaw,State").splitlines()
        now = self.run("squeue", "-h", "--states=all", f"--name={key}", "-o", "%i|%T").splitlines()
        found = {line.split("|")[0]: line.split("|")[1].split(" ")[0] for line in [*kept, *now]}
        return sorted(found.items())

    def start(self) -> None:
        """Begin everything, in order, and wait until the node is idle."""
        for name in ("state", "spool", "data"):
            (self.folder / name).mkdir()
        told = {**self.ports, "folder": self.folder, "host": socket.gethostname(), "cpus": os.cpu_count() or 1}
        task = "cgroup" if self.limits_memory else "none"
        text = SLURM_CONF.format(**told, age=MIN_JOB_AGE, task=task, node_name=self.node_name)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF)
        accounting = self.folder / "slurmdbd.conf"
        accounting.write_text(SLURMDBD_CONF.format(**told))
        accounting.chmod(0o600)
        self._start_munge()
        self._start_database()
        self._begin("slurmdbd", "-D")
        self._wait(lambda: self._listens("accounting"), "the accounting")
        self.controller = self._begin("slurmctld", "-D", "-i", "-f", str(self.folder / "slurm.conf"))
        self._wait_for_controller()
        self.node = self._begin(
            "slurmd", "-D", "-N", self.node_name, "-f", str(self.folder / "slurm.conf"), is_family=True
        )
        self._wait(lambda: self._says("sinfo", "-h", "-o", "%T", told="idle"), "the node")

    def start_controller(self) -> None:
        """Begin the controller again after it was stopped."""
        self.controller.start()
        self._wait_for_controller()

    def revive_node(self) -> None:
        """Wait until the node is there again after it was declared down; it comes back by itself when it reports."""
        with suppress(AssertionError):
            self.run("scontrol", "update", f"NodeName={self.node_name}", "State=RESUME")
        self._wait(lambda: self._says("sinfo", "-h", "-o", "%T", told="idle"), "the node")

    def stop(self) -> None:
        """End everything, last begun first, and what its jobs have left."""
        for program in reversed(self.programs):
            program.stop()
        remove_cgroup(f"slurm_{self.node_name}")

    def _wait_for_controller(self) -> None:
        self._wait(lambda: self._says("scontrol", "ping", told="is UP"), "the controller")

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        self._begin(
            "munged", "--foreground", "--force", "--num-threads=2",
            f"--socket={self.folder}/munge.socket", f"--key-file={key}", f"--pid-file={self.folder}/munge.pid",
            f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed",
        )  # fmt: skip
        self._wait((self.folder / "munge.socket").exists, "munged")

    def _start_database(self) -> None:
        data, temporary = self.folder / "data", self.folder
        options = ["--no-defaults", f"--datadir={data}", "--user=root"]
        subprocess.run(
            ["mariadb-install-db", *options, "--skip-test-db", "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, timeout=UP_SECONDS,
        )  # fmt: skip
        begin = self.folder / "begin.sql"
        begin.write_text("CREATE DATABASE slurm;\nCREATE USER slurm@'%';\nGRANT ALL ON slurm.* TO slurm@'%';\n")
        self._begin(
            "mariadbd", *options, f"--socket={temporary}/db.socket", "--bind-address=127.0.0.1",
            f"--port={self.ports['database']}", f"--pid-file={temporary}/db.pid", f"--init-file={begin}",
            "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-lock-wait-timeout=900",
            "--performance-schema=OFF",
        )  # fmt: skip
        self._wait(lambda: self._listens("database"), "the database")

    def _begin(self, *command: str, is_family: bool = False) -> Program:
        program = Program(command, self.folder / f"{command[0]}.out", self.environment, is_family)
        program.start()
        self.programs.append(program)
        return program

    def _listens(self, name: str) -> bool:
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def _says(self, *command: str, told: str) -> bool:
        try:
            return told in self.run(*command)
        except AssertionError:
            return False

    def _wait(self, is_there: object, what: str) -> None:
        assert callable(is_there)
        until = time.monotonic() + UP_SECONDS
        while not is_there():
            for program in self.programs:
                program.check()
            assert time.monotonic() < until, f"{what} of Slurm did not come up: see {self.folder}"
            time.sleep(0.05)


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Run a cluster in a folder; the test fails where there can be none."""
    missing = needed()
    if missing:
        pytest.fail(missing)
    cluster = Slurm(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def needed() -> str:
    """Say what is missing for a Slurm here, after having tried to install it; empty when nothing is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return ""
    wanted = f"install Debian's {', '.join(PACKAGES)} (apt-get install {' '.join(PACKAGES)})"
    if os.geteuid() != 0:
        return f"the tests of Slurm need {', '.join(missing)}, and only root can install them: {wanted}"
    failed = install(PACKAGES)
    return f"the tests of Slurm need {', '.join(missing)}: {wanted}; {failed}" if failed else ""
