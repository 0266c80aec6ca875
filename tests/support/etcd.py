"""
Real etcd servers for tests, on loopback.

The binary is, in this order: ``etcd`` on the PATH; one built from the Go module in ``tests/cluster/etcd``, once, and
kept in ``~/.cache/airscrew`` by the sum of the module; one copied out of etcd's container image where Docker works.
Without any of them the tests are skipped, and say so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import pytest
from tests.support.go_modules import CannotBuildError, build, cache_folder, run

IMAGE = "quay.io/coreos/etcd:v3.6.8"
READY_SECONDS = 30.0

HASTY = ("--heartbeat-interval", "50", "--election-timeout", "500")
"""Options of a cluster that finds a new leader soon."""

_numbers = count(1)


def find_binary() -> Path:
    """Find or make an etcd; skip the test when there is no way."""
    found = shutil.which("etcd")
    if found:
        return Path(found)
    reasons: list[str] = []
    try:
        return build("etcd", programs=("etcd", "etcdctl")) / "etcd"
    except CannotBuildError as error:
        reasons.append(str(error))
    folder = cache_folder() / f"etcd-{IMAGE.rpartition(':')[2]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers copies, the others wait
        reasons.append(_copy_from_image(folder / "etcd"))
    if not (folder / "etcd").exists():
        pytest.skip(f"NO ETCD TO TEST WITH: none on the PATH; {'; '.join(filter(None, reasons))}")
    return folder / "etcd"


def find_etcdctl() -> Path:
    """Find etcd's own client: on the PATH, or beside the etcd that the tests made."""
    found = shutil.which("etcdctl")
    return Path(found) if found else find_binary().with_name("etcdctl")


def _copy_from_image(binary: Path) -> str:
    """Copy etcd out of its image and say what went wrong."""
    docker = shutil.which("docker")
    if binary.exists():
        return ""
    if docker is None or run([docker, "info"]):
        return "no Docker that works"
    name = f"airscrew-etcd-{os.getpid()}"
    failed = run([docker, "create", "--name", name, IMAGE])
    if failed:
        return f"no image {IMAGE}: {failed}"
    try:
        failed = run([docker, "cp", f"{name}:/usr/local/bin/etcd", str(binary)])
        run([docker, "cp", f"{name}:/usr/local/bin/etcdctl", str(binary.with_name("etcdctl"))])
    finally:
        run([docker, "rm", name])
    return failed and f"no etcd in {IMAGE}: {failed}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(kw_only=True)
class EtcdServer:
    """
    One member; ``kill`` it and ``start`` it again on the same data.

    Attributes:
        binary: What is run.
        folder: Where its data and its log are.
        name: Its name in the cluster.
        port: Where clients come.
        peer_port: Where members come.
        cluster: All members, as etcd wants to hear it; empty for itself alone.
        options: More of its command line.
        scheme: ``http`` or ``https``, for clients.
        health_port: Where it says how it is, without TLS.
        host: Its address for clients.
        peer_host: Its address for members.
        runner: What its command line begins with.
    """

    binary: Path
    folder: Path
    name: str = "one"
    port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    cluster: str = ""
    options: Sequence[str] = ()
    scheme: str = "http"
    health_port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    peer_host: str = "127.0.0.1"
    runner: Sequence[str] = ()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.peer_host}:{self.peer_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        client = f"{self.scheme}://{self.endpoint}"
        command = [
            *self.runner,
            *(str(self.binary), "--name", self.name, "--data-dir", str(self.folder / "data")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
            *("--initial-cluster", self.cluster or f"{self.name}={self.peer_url}"),
            *("--listen-metrics-urls", f"http://{self.host}:{self.health_port}"),
            *("--log-level", "warn"),
            *self.options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Wait until it serves, with a leader."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None, "it was not started"
            if self._process.poll() is not None:
                break
            if self._is_healthy():
                return
            time.sleep(0.05)
        raise AssertionError(f"etcd did not come up: {(self.folder / 'log').read_text()[-2000:]}")

    def _is_healthy(self) -> bool:
        connection = HTTPConnection(self.host, self.health_port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again on its data."""
        self.kill()
        self.start()
        self.wait_ready()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(kw_only=True)
class Etcd:
    """
    A running etcd of one member or several.

    Attributes:
        servers: Its members.
    """

    servers: list[EtcdServer]

    @property
    def endpoints(self) -> str:
        return ",".join(server.endpoint for server in self.servers)

    def new_url(self, query: str = "") -> str:
        """Return the address of a store that nobody has written to."""
        tls = "s" * (self.servers[0].scheme == "https")
        return f"etcd{tls}://{self.endpoints}/test/{os.getpid()}-{next(_numbers)}{query}"


def start_etcd(
    stack: ExitStack, folder: Path, *, members: int = 1, options: Sequence[str] = (), scheme: str = "http"
) -> Etcd:
    """Start an etcd that ends with the stack."""
    binary = find_binary()
    servers = [
        EtcdServer(binary=binary, folder=folder / f"m{number}", name=f"m{number}", options=options, scheme=scheme)
        for number in range(members)
    ]
    return start_cluster(stack, servers)


def start_cluster(stack: ExitStack, servers: list[EtcdServer]) -> Etcd:
    """Start members that know one another and end with the stack."""
    cluster = ",".join(f"{server.name}={server.peer_url}" for server in servers)
    for server in servers:
        server.cluster = cluster
        stack.callback(server.stop)
        server.start()
    for server in servers:
        server.wait_ready()
    return Etcd(servers=servers)


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd of one member that the tests of a worker share, each below a prefix of its own."""
    with ExitStack() as stack:
        yield start_etcd(stack, tmp_path_factory.mktemp("etcd"))


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[Etcd]:
    """An etcd of one member that this test may do to what it likes."""
    with ExitStack() as stack:
        yield start_etcd(stack, tmp_path / "etcd")


@pytest.fixture
def etcd_cluster(tmp_path: Path) -> Iterator[Etcd]:
    """An etcd of three members, for this test alone."""
    with ExitStack() as stack:
        yield start_etcd(stack, tmp_path / "etcd", members=3, options=HASTY)
