"""
A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler.

There is no node in it unless a test makes one, so a Pod stays as it is until somebody writes its status: a test, a
kubelet, or KWOK. Authorization is by RBAC, and a Node by its own rules, as in a real cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.etcd import EtcdServer, find_binary, free_port
from tests.support.go_modules import CannotBuildError, build
from tests.support.pki import Authority, Signed, write_key
from tests.support.programs import Program, die_with_us

VERSION = "v1.36.3"
PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
READY_SECONDS = 90.0

_numbers = count(1)
T = TypeVar("T")


def find_programs() -> Path:
    """
    Return the folder with Kubernetes' programs, built from its Go modules when nobody did before.

    Raises:
        CannotBuildError: Says what to install.
    """
    major, minor = VERSION.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    values = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X {package}.{name}={value}" for name, value in values.items())
    return build("kubernetes", programs=PROGRAMS, flags=flags)


@dataclass
class ControlPlane:
    """
    A control plane.

    Attributes:
        folder: Where everything of it lies.
        host: The address that it listens on.
        programs: The folder of Kubernetes' programs.
        authority: Vouches for its users.
        kubeconfig: The administrator's.
        options: More arguments of the API server.
        nodes: Whether there are nodes; where there are none, Pods that a test puts on one are not collected.
    """

    folder: Path
    programs: Path
    host: str = "127.0.0.1"
    authority: Authority = field(init=False)
    port: int = field(default_factory=free_port)
    kubeconfig: Path = field(init=False)
    options: Sequence[str] = ()
    nodes: bool = True

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.folder / "pki")
        self.etcd = EtcdServer(binary=find_binary(), folder=self.folder / "etcd", runner=die_with_us())
        self.kubeconfig = self.kubeconfig_for("admin", "kubernetes-admin", "system:masters")
        self._account_key = write_key(self.folder / "pki" / "accounts.key")
        self._client = ssl.create_default_context(cafile=str(self.authority.cert))
        admin = Signed(self.folder / "pki" / "admin.pem", self.folder / "pki" / "admin.key")
        self._client.load_cert_chain(admin.cert, admin.key)
        self.api_server = Program(self._api_server(), self.folder / "kube-apiserver.log")
        self.controllers = Program(self._controllers(), self.folder / "kube-controller-manager.log")
        self.scheduler = Program(self._scheduler(), self.folder / "kube-scheduler.log")

    @property
    def url(self) -> str:
        """Where the API server is."""
        return f"https://{self.host}:{self.port}"

    def kubeconfig_for(self, file: str, user: str, group: str = "") -> Path:
        """Write a kubeconfig of a user, and return where it is."""
        signed = self.authority.sign(file, user, group=group)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": file}}],
            "clusters": [
                {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.authority.cert)}}
            ],
            "users": [{"name": file, "user": {"client-certificate": str(signed.cert), "client-key": str(signed.key)}}],
        }
        path = self.folder / f"{file}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def start(self) -> None:
        """Start all of it, and return when it works."""
        self.etcd.start()
        self.etcd.wait_ready()
        self.api_server.start()
        self.wait_for(lambda: self.get("/readyz") == "ok", "the API server is ready")
        self.controllers.start()
        self.scheduler.start()
        self.wait_for(
            lambda: "default" in self._names("/api/v1/namespaces/default/serviceaccounts"), "controllers work"
        )

    def stop(self) -> None:
        """Stop all of it."""
        for program in (self.scheduler, self.controllers, self.api_server):
            program.stop(hard=True)  # an API server that ends in order waits for its watchers
        self.etcd.stop()

    def restart_api_server(self) -> None:
        """Start the API server again after it was stopped."""
        self.api_server.start()
        self.wait_for(lambda: self.get("/readyz") == "ok", "the API server is ready")

    def kubectl(self, *arguments: str, stdin: str = "", code: int | None = 0) -> str:
        """Run kubectl as the administrator and return what it prints."""
        done = subprocess.run(
            [str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert code is None or done.returncode == code, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def get(self, path: str) -> Any:
        """Ask the API server, and return what it says; None while it does not answer."""
        return self.call("GET", path)[1]

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> tuple[int, Any]:
        """Call the API server as the administrator; status 0 and None while it does not answer."""
        status, is_json, text = self._answer(method, path, body, kind)
        return (status, json.loads(text) if is_json else text) if status else (0, None)

    def told(self, path: str, seconds: int = 1) -> list[Any]:
        """Read what a watch tells within so many seconds, what has happened before included."""
        _, _, text = self._answer("GET", f"{path}&watch=1&timeoutSeconds={seconds}")
        return [json.loads(line) for line in text.splitlines()]

    def _answer(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, bool, str]:
        connection = HTTPSConnection(self.host, self.port, timeout=20, context=self._client)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": kind})
            reply = connection.getresponse()
            text = reply.read().decode()
        except (OSError, HTTPException):
            return 0, False, ""
        finally:
            connection.close()
        return reply.status, reply.getheader("Content-Type", "").startswith("application/json"), text

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Make a namespace, and have it deleted afterwards."""
        name = f"test-{os.getpid()}-{next(_numbers)}"
        status, answer = self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert status == 201, answer
        self.wait_for(lambda: "default" in self._names(f"/api/v1/namespaces/{name}/serviceaccounts"), "its account")
        try:
            yield name
        finally:
            self.call("DELETE", f"/api/v1/namespaces/{name}")

    def _names(self, path: str) -> list[str]:
        found = self.get(path)
        return [item["metadata"]["name"] for item in found.get("items", ())] if isinstance(found, dict) else []

    def wait_for(self, look: Callable[[], T], what: str = "it", seconds: float = READY_SECONDS) -> T:
        """Look again and again until there is something, and return that."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            for program in (self.api_server, self.controllers, self.scheduler):
                program.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not happen in {seconds:.0f} s that {what}; see {self.folder}")
            time.sleep(0.05)
        return found

    def _api_server(self) -> list[str]:
        hosts = (self.host, FIRST_SERVICE, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        serving = self.authority.sign("apiserver", "kube-apiserver", hosts=hosts)
        kubelet = self.authority.sign("kubelet-client", "kube-apiserver", group="system:masters")
        front = self.authority.sign("front-proxy", "front-proxy-client")
        return [
            str(self.programs / "kube-apiserver"),
            f"--etcd-servers=http://{self.etcd.endpoint}",
            f"--bind-address={self.host}",
            f"--advertise-address={self.host}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={serving.cert}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.cert}",
            f"--kubelet-client-certificate={kubelet.cert}",
            f"--kubelet-client-key={kubelet.key}",
            f"--proxy-client-cert-file={front.cert}",
            f"--proxy-client-key-file={front.key}",
            f"--requestheader-client-ca-file={self.authority.cert}",
            "--requestheader-allowed-names=front-proxy-client",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={self._account_key}",
            f"--service-account-signing-key-file={self._account_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--default-not-ready-toleration-seconds=5",
            "--default-unreachable-toleration-seconds=5",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none" if self.host.startswith("127.") else "--endpoint-reconciler-type=lease",
            *self.options,
        ]

    def _controllers(self) -> list[str]:
        config = self.kubeconfig_for("controllers", "system:kube-controller-manager")
        signer = self.authority.sign_key()
        return [
            str(self.programs / "kube-controller-manager"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--root-ca-file={self.authority.cert}",
            f"--cluster-signing-cert-file={self.authority.cert}",
            f"--cluster-signing-key-file={signer}",
            f"--service-account-private-key-file={self._account_key}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            f"--bind-address={self.host}",
            f"--secure-port={free_port()}",
            f"--controllers={'*' if self.nodes else '*,-pod-garbage-collector-controller'}",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=12s",
            "--terminated-pod-gc-threshold=20000",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _scheduler(self) -> list[str]:
        config = self.kubeconfig_for("scheduler", "system:kube-scheduler")
        return [
            str(self.programs / "kube-scheduler"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            f"--bind-address={self.host}",
            f"--secure-port={free_port()}",
        ]


def open_control_plane(stack: ExitStack, folder: Path, *, nodes: bool = False) -> ControlPlane:
    """
    Start a control plane that ends with the stack; a test that needs one fails where none can be had.
    """
    try:
        plane = ControlPlane(folder, find_programs(), nodes=nodes)
    except CannotBuildError as error:
        pytest.fail(f"NO KUBERNETES TO TEST WITH: {error}", pytrace=False)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(plane.stop)
    plane.start()
    return plane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that the tests of a worker share, each in a namespace of its own."""
    with ExitStack() as stack:
        yield open_control_plane(stack, tmp_path_factory.mktemp("control-plane"))


@pytest.fixture
def own_control_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane that this test may do to what it likes."""
    with ExitStack() as stack:
        yield open_control_plane(stack, tmp_path / "control-plane")


@pytest.fixture
def kube_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the shared control plane, for this test alone."""
    with control_plane.namespace() as name:
        yield name
