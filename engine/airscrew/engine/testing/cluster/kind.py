"""
A cluster in Docker, by kind: a control plane and two workers, deleted with the tests.

It is open where ``kind``, ``kubectl`` and a Docker that works are there. The first one pulls kind's node image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import override

from airscrew.engine.testing.cluster.cluster import Cluster, Node
from airscrew.engine.testing.cluster.errors import CannotError

CONFIG: Final = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        default-not-ready-toleration-seconds: "5"
        default-unreachable-toleration-seconds: "5"
    controllerManager:
      extraArgs:
        node-monitor-period: "1s"
        node-monitor-grace-period: "12s"
- role: worker
- role: worker
"""
"""A node that is silent is found after 12 s, and its Pods are evicted 5 s later: tests cannot wait for minutes."""

_SECONDS: Final = 600.0


def _run(*command: str, seconds: float = _SECONDS) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(  # noqa: S603  # kind's and Docker's own commands
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise CannotError(f"{' '.join(command[:3])} failed: {words[-1]}")
    return done.stdout


@dataclass(frozen=True)
class KindNode:
    """
    A node of kind: a container.

    Attributes:
        name: The container's name, and the node's.
    """

    name: str

    def power_off(self) -> None:
        """Kill the container."""
        _run("docker", "kill", self.name)

    def power_on(self) -> None:
        """Start the container again."""
        _run("docker", "start", self.name)

    def cut_off(self) -> None:
        """Take it off kind's network."""
        _run("docker", "network", "disconnect", "kind", self.name)

    def join(self) -> None:
        """Put it on kind's network again."""
        _run("docker", "network", "connect", "kind", self.name)

    def pause_kubelet(self) -> None:
        """Hold the kubelet."""
        _run("docker", "exec", self.name, "systemctl", "kill", "--signal=STOP", "kubelet")

    def resume_kubelet(self) -> None:
        """Let the kubelet go on."""
        _run("docker", "exec", self.name, "systemctl", "kill", "--signal=CONT", "kubelet")


@dataclass(frozen=True)
class KindStaticPod:
    """
    A part of kind's control plane: a static Pod, which is there as long as its manifest is.

    Attributes:
        node: The control plane's container.
        part: Such as ``kube-apiserver``.
    """

    node: str
    part: str

    def stop(self) -> None:
        """Take the manifest away, and end what runs."""
        self._inside(f"mv /etc/kubernetes/manifests/{self.part}.yaml /etc/kubernetes/")
        self._inside(f"crictl ps -q --name {self.part} | xargs -r crictl stop --timeout 0")

    def start(self) -> None:
        """Put the manifest back, and wait until the API server is ready."""
        self._inside(f"mv /etc/kubernetes/{self.part}.yaml /etc/kubernetes/manifests/")
        ready = "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz"
        self._inside(f"timeout 120 sh -c 'until {ready} >/dev/null 2>&1; do sleep 0.2; done'")

    def _inside(self, script: str) -> None:
        _run("docker", "exec", self.node, "sh", "-c", script)


@dataclass(kw_only=True)
class KindCluster(Cluster):
    """
    A cluster of kind.

    Attributes:
        name: Kind's name for it.
    """

    name: str

    @override
    def load_image(self, archive: Path) -> None:
        _run("kind", "load", "image-archive", "--name", self.name, str(archive))

    @property
    @override
    def nodes(self) -> Sequence[Node]:
        return [KindNode(f"{self.name}-worker"), KindNode(f"{self.name}-worker2")]

    @property
    @override
    def api_server(self) -> KindStaticPod:
        return KindStaticPod(f"{self.name}-control-plane", "kube-apiserver")

    @property
    @override
    def etcd(self) -> KindStaticPod:
        return KindStaticPod(f"{self.name}-control-plane", "etcd")


class Kind:
    """A cluster that kind makes in Docker."""

    def obstacle(self) -> str:
        """Return what kind needs and is not there."""
        missing = [name for name in ("kind", "kubectl", "docker") if shutil.which(name) is None]
        if missing:
            return f"kind needs {', '.join(missing)} on the PATH"
        try:
            _run("docker", "info", seconds=30)
        except (CannotError, subprocess.TimeoutExpired):
            return "kind needs a Docker that works: docker info fails"
        return ""

    def open(self, stack: ExitStack, folder: Path) -> Cluster:
        """Make the cluster, and have it deleted with the stack."""
        name = f"airscrew-{os.getpid()}"
        config, kubeconfig = folder / "kind.yaml", folder / "kubeconfig"
        config.write_text(CONFIG, encoding="utf-8")
        access = ("--name", name, "--kubeconfig", str(kubeconfig))
        stack.callback(_run, "kind", "delete", "cluster", *access)
        _run("kind", "create", "cluster", *access, "--config", str(config), "--wait", "180s")
        program = Path(shutil.which("kubectl") or "kubectl")
        return KindCluster(kind="kind", kubeconfig=kubeconfig, program=program, name=name)
