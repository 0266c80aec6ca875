"""
Docker for the tests: one that runs here already, or Debian's, started for the tests alone.

Ours is a machine of its own on the network of ``node_network``: its bridge, its packet filters, its mounts and its
containers are not this machine's and go with it, even when the tests are killed. Each worker of pytest-xdist that asks
has its own, with its own addresses; the folders called ``docker`` go to one worker, so that there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.cgroups import make_cgroup, remove_cgroup
from tests.support.debian import install
from tests.support.go_modules import CannotBuildError
from tests.support.images import CannotMakeImageError, Image
from tests.support.node_network import CannotRunNodesError, open_network
from tests.support.oci_runtime import withheld
from tests.support.own_machine import InnerProgram, OwnMachine

PACKAGES = ("docker.io", "iptables", "iproute2", "util-linux")
PROGRAMS = ("dockerd", "docker", "containerd", "runc", "iptables", "ip", "unshare", "nsenter")
RUNTIME = Path(__file__).with_name("oci_runtime.py")
READY_SECONDS = 60.0
COMMAND_SECONDS = 300.0


class DockerError(Exception):
    """Docker did not do what it was told, or there is none; the message says why."""


@dataclass(frozen=True)
class Docker:
    """
    A Docker that works.

    Attributes:
        url: Where its daemon answers; empty for the one that the environment names.
        host: Where ports of containers are reached; empty for where its clients look by themselves.
        outside: This machine, for containers.
    """

    url: str
    host: str
    outside: str

    @property
    def variables(self) -> Mapping[str, str]:
        """What its clients find it by."""
        return {"DOCKER_HOST": self.url} if self.url else {}

    def run(self, *arguments: str, stdin: str = "") -> str:
        """
        Run a command of Docker's client and return what it prints.

        Raises:
            DockerError: It failed.
        """
        return _run(*arguments, stdin=stdin, variables=self.variables)

    def load(self, image: Image) -> str:
        """Put an image where containers are made from, and return its name."""
        self.run("load", "-q", "-i", str(image.archive))
        return image.name


def open_docker(stack: ExitStack) -> Docker:
    """
    Find a Docker that works, or start one that ends with the stack.

    Raises:
        DockerError: There is none, and none can be started.
    """
    try:
        return Docker("", "", _gateway())
    except DockerError as error:
        obstacle = _obstacle(error)
    if obstacle:
        raise DockerError(obstacle)
    try:
        return start_docker(stack)
    except CannotRunNodesError as error:
        raise DockerError(f"no Docker can be started: {error}") from error


def prepare_docker() -> str:
    """Install what a Docker of ours takes, unless one runs here, and say why there can be none."""
    try:
        _gateway()
    except DockerError as error:
        return _obstacle(error)
    return ""


def _obstacle(reason: DockerError) -> str:
    if os.geteuid() != 0:
        return f"no Docker that works ({reason}), and root alone can start one: install and start Docker"
    return install_docker()


def _gateway() -> str:
    """Return this machine's address for containers of the Docker that runs here."""
    return _run("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}").strip()


def install_docker() -> str:
    """Install what a Docker of ours takes and say what is missing then."""
    failed = install(PACKAGES) if _missing() else ""
    missing = ", ".join(_missing())
    return missing and f"Docker needs {missing}: apt-get install {' '.join(PACKAGES)} ({failed})"


def _missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _run(*arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **(variables or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    except FileNotFoundError:
        raise DockerError("there is no docker on the PATH") from None
    if done.returncode:
        words = (done.stdout + done.stderr).strip()[-2000:] or "no reason given"
        raise DockerError(f"docker {arguments[0]} failed: {words}")
    return done.stdout


def start_docker(stack: ExitStack) -> Docker:
    """
    Start a Docker of ours that ends with the stack; what it takes is installed.

    Raises:
        CannotRunNodesError: There is no room for its machine.
        DockerError: It does not come up.
    """
    network = open_network(stack)
    name, host = f"docker{network.number}", network.node(1)
    group = f"airscrew/{network.name}-docker"
    make_cgroup(group)
    stack.callback(remove_cgroup, group)
    machine = OwnMachine(name, network, host, network.folder)
    stack.callback(machine.power_off)
    machine.power_on()
    socket = f"unix://{network.folder / 'docker.sock'}"  # its own /run is not seen from here
    command = ["dockerd", "-H", socket, f"--cgroup-parent=/{group}", "--group=root", *_runtime(network.folder)]
    daemon = InnerProgram([*machine.inside, *command], network.folder / "dockerd.log")
    stack.callback(daemon.stop, hard=True)
    daemon.start()
    docker = Docker(socket, host, network.host)
    _wait_for(lambda: _answers(docker), daemon)
    return docker


def _runtime(folder: Path) -> list[str]:
    """Have privileged containers get what there is to get, where root itself has not got every capability."""
    if not withheld():
        return []
    runtime = folder / "runtime"
    runtime.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {RUNTIME} "$@"\n')
    runtime.chmod(0o755)
    return [f"--add-runtime=as-allowed={runtime}", "--default-runtime=as-allowed"]


def _answers(docker: Docker) -> bool:
    try:
        return bool(docker.run("version"))
    except DockerError:
        return False


def _wait_for(look: Callable[[], bool], daemon: InnerProgram) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not look():
        try:
            daemon.check()
        except AssertionError as error:
            raise DockerError(str(error)) from error
        if time.monotonic() > deadline:
            raise DockerError(f"dockerd did not answer in {READY_SECONDS:.0f} s: {daemon.log.read_text()[-2000:]}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def docker_daemon() -> Iterator[Docker]:
    """The Docker of this worker."""
    with ExitStack() as stack:
        try:
            docker = open_docker(stack)
        except DockerError as error:
            pytest.fail(f"NO DOCKER TO TEST WITH: {error}", pytrace=False)
        yield docker


@pytest.fixture
def docker(docker_daemon: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """
    A Docker that works, which clients find while the test runs.

    No longer than that: what else looks for a Docker, such as kind for the fixture ``cluster``, is to find this
    machine's.
    """
    from testcontainers.core.config import testcontainers_config

    for name, value in docker_daemon.variables.items():
        monkeypatch.setenv(name, value)
    if docker_daemon.host:
        monkeypatch.setattr(testcontainers_config, "tc_host_override", docker_daemon.host)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # its image is in a registry
    return docker_daemon


def make_for_docker(docker: Docker, make: Callable[[], Image]) -> str:
    """Make an image and load it, or fail the test with what to install."""
    try:
        return docker.load(make())
    except (CannotMakeImageError, CannotBuildError) as error:
        pytest.fail(f"NO IMAGE TO TEST WITH: {error}", pytrace=False)
