"""
A cluster of one node in Docker, by kind as it is: no registry takes part.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.control_plane import find_programs
from tests.support.docker import Docker, DockerError
from tests.support.etcd import free_port
from tests.support.go_modules import build
from tests.support.images import Image

from airscrew.engine.testing.cluster.kind import KindCluster

PORT = 6443
SECONDS = 300.0
CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {{apiServerAddress: "{host}", apiServerPort: {port}, disableDefaultCNI: true}}
nodes:
- role: control-plane
  extraMounts: [{{hostPath: "{shared}", containerPath: "{shared}"}}]
  kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    failCgroupV1: false
    oomScoreAdj: 0
"""
"""Of a node whose root may not lower an ``oom_score_adj``, and whose cgroups may be those of version 1."""


class KindError(Exception):
    """Kind did not do what it was told; the message is what it said."""


def find_kind() -> Path:
    """
    Return kind, built when nobody did before.

    Raises:
        CannotBuildError: Says what to install.
    """
    return build("kind", package="sigs.k8s.io/kind") / "kind"


@dataclass(frozen=True)
class Kind:
    """
    Kind on a Docker.

    Attributes:
        docker: Where its nodes are.
        program: Its own.
        node: The image of its nodes.
    """

    docker: Docker
    program: Path
    node: Image

    def run(self, *words: str) -> str:
        """Run a command of it and return what it prints."""
        done = subprocess.run(
            [str(self.program), *words],
            env={**os.environ, **self.docker.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if done.returncode:
            raise KindError(f"kind {' '.join(words[:2])} failed: {done.stderr.strip()[-4000:]}")
        return done.stdout

    @contextmanager
    def cluster(self, folder: Path) -> Iterator[KindCluster]:
        """
        Make a cluster, and delete it afterwards.

        Args:
            folder: For its files. ``shared`` in it is seen on the node, under the same path.
        """
        name, loaded = f"airscrew-single-{os.getpid()}", self.docker.load(self.node)
        shared, config, kubeconfig = folder / "shared", folder / "kind.yaml", folder / "kubeconfig"
        shared.mkdir()
        host, port = (self.docker.host, PORT) if self.docker.host else ("127.0.0.1", free_port())
        config.write_text(CONFIG.format(host=host, port=port, shared=shared))
        access = ("--name", name, "--kubeconfig", str(kubeconfig))
        try:
            self._create(name, *access, f"--image={loaded}", f"--config={config}", "--wait=120s")
            made = KindCluster(kind="kind", kubeconfig=kubeconfig, program=find_programs() / "kubectl", name=name)
            made.wait("deployment/coredns", "condition=Available", "kube-system")  # kind waits for the node alone
            yield made
        finally:
            self.run("delete", "cluster", *access)
            if not self.docker.url:  # one of ours goes with all that it has
                self.docker.run("image", "rm", loaded)

    def _create(self, name: str, *words: str) -> None:
        try:
            self.run("create", "cluster", *words, "--retain")
        except KindError as error:
            for told in (
                ("logs",),
                ("exec", "journalctl", "--no-pager", "--lines=60", "-u", "containerd", "-u", "kubelet"),
            ):
                with suppress(DockerError):  # it has not come that far
                    error.add_note(self.docker.run(told[0], f"{name}-control-plane", *told[1:])[-4000:])
            raise
