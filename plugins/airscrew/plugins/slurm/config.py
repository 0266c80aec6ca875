"""
The configuration of ``slurm``: which clusters there are, and how their commands are reached.

Whatever is wrong with it is found when it is read, in one line that names the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import msgspec

from airscrew.plugins.settings import read_settings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration; what it does not know is an error."""


class Key(Part, frozen=True, kw_only=True):
    """
    The secret that holds a private key.

    Attributes:
        secret: Its key.
        group: Its group.
    """

    secret: str
    group: str = ""


class Cluster(Part, frozen=True, kw_only=True):
    """
    One cluster.

    Attributes:
        host: The machine with Slurm's commands, reached over SSH; empty for this machine.
        port: Where its SSH listens.
        user: Who we are there; empty for the user of this process.
        private_key: The key that lets us in; without it, what OpenSSH would use: its default keys and its agent.
        known_hosts: The file with the keys of hosts; empty for the user's own. A host that is not there is refused.
        path: The folder with Slurm's commands; empty when they are on the PATH.
        environment: Variables for the commands, as ``SLURM_CONF``; no secrets.
        directory: Where jobs work that do not say; empty for the home folder.
        accounting: Whether the cluster has accounting that ``sacct`` reads.
        memory_seconds: For how long the controller remembers a job that has ended: its ``MinJobAge``. Without
            accounting, an absence means something for so long only.
        interval: Seconds between two looks at a job.
        batch: How many jobs are read by one command.
        timeout: Seconds that a command may take.
        settle: Seconds after which a job that was asked for is seen; longer than ``timeout``.
        commands_per_second: The most starts and stops in the long run; None for no limit.
    """

    host: str = ""
    port: int = 22
    user: str = ""
    private_key: Key | None = None
    known_hosts: str = ""
    path: str = ""
    environment: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    directory: str = ""
    accounting: bool = True
    memory_seconds: float = 300.0
    interval: float = 10.0
    batch: int = 1000
    timeout: float = 30.0
    settle: float = 60.0
    commands_per_second: float | None = None


class Config(Part, frozen=True, kw_only=True):
    """
    All of it.

    Attributes:
        clusters: By the name that tasks may use as ``ssh_config.host``.
    """

    clusters: Mapping[str, Cluster]

    @property
    def settle(self) -> float:
        """The longest ``settle`` of the clusters: the declaration is one for all."""
        return max(cluster.settle for cluster in self.clusters.values())


def read_config(raw: Mapping[str, object]) -> Config:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    return read_settings("slurm", raw, Config, _problems)


def _problems(config: Config) -> Iterator[str]:
    if not config.clusters:
        yield "clusters: at least one is needed; `local: {}` is this machine's"
    for name, cluster in config.clusters.items():
        for problem in _problems_of(cluster):
            yield f"clusters.{name}.{problem}"


def _problems_of(cluster: Cluster) -> Iterator[str]:
    for field in ("interval", "timeout", "settle", "memory_seconds"):
        if not getattr(cluster, field) > 0:
            yield f"{field}: it must be above 0"
    if cluster.batch < 1:
        yield "batch: it must be at least 1"
    if cluster.commands_per_second is not None and cluster.commands_per_second <= 0:
        yield "commands_per_second: it must be above 0"
    if cluster.settle <= cluster.timeout:
        yield "settle: it must be above timeout, for so long a command may still arrive"
    if not cluster.host and (cluster.user or cluster.private_key or cluster.known_hosts):
        yield "host: user, private_key and known_hosts are for a cluster over SSH, which needs a host"
    for field in ("path", "directory"):
        folder: str = getattr(cluster, field)
        if folder and not PurePosixPath(folder).is_absolute():
            yield f"{field}: {folder!r} is no absolute path"
    for variable in cluster.environment:
        if not _NAME.fullmatch(variable):
            yield f"environment: {variable!r} is no name of a variable"
