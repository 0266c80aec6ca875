"""
What a test gets: a cluster, its nodes, and what can happen to them.

``Cluster`` is what every kind has in common. What only some can do, such as to lose the API server, raises
``CannotError`` where it cannot be done; it never does nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from airscrew.engine.testing.cluster.errors import CannotError, KubectlError

T = TypeVar("T")

_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.1
_numbers = itertools.count(1)


class Switch(Protocol):
    """Something that a test may stop and start again."""

    def stop(self) -> None:
        """End it at once, as a crash does."""
        ...

    def start(self) -> None:
        """Start it on what it left, and return when it serves."""
        ...


class Node(Protocol):
    """
    A node that a test may do things to.

    Attributes:
        name: Its name in the cluster.
    """

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        ...

    def power_off(self) -> None:
        """End all that runs there, at once; nobody is told."""
        ...

    def power_on(self) -> None:
        """Start it with the disk it had."""
        ...

    def cut_off(self) -> None:
        """Part it from the cluster; what runs there runs on."""
        ...

    def join(self) -> None:
        """Let it reach the cluster again."""
        ...

    def pause_kubelet(self) -> None:
        """Hold its kubelet; containers run on, and nobody hears of them."""
        ...

    def resume_kubelet(self) -> None:
        """Let its kubelet go on."""
        ...


@dataclass(kw_only=True)
class Cluster:
    """
    A cluster that tests run against.

    Attributes:
        kind: Which provider it is from.
        kubeconfig: An administrator's access to it.
        program: The kubectl that fits it.
    """

    kind: str
    kubeconfig: Path
    program: Path

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = _SECONDS) -> str:
        """
        Run kubectl as the administrator and return what it prints.

        Args:
            arguments: Its command line.
            stdin: What it reads, for ``apply -f -``.
            seconds: How long it may take.

        Raises:
            KubectlError: It failed; the message is what it said.
        """
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(  # noqa: S603  # a test's own command
            command, input=stdin, capture_output=True, text=True, check=False, timeout=seconds
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def apply(self, manifest: object, namespace: str = "default") -> None:
        """Make what a manifest says, or bring it to that."""
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))

    def wait(self, what: str, condition: str, namespace: str = "default", seconds: float = _SECONDS) -> None:
        """
        Wait for something to come to a condition, as ``kubectl wait`` does.

        Args:
            what: Such as ``pod/one``.
            condition: What comes after ``--for=``, such as ``condition=Ready`` or ``jsonpath={.status.phase}=Failed``.
            namespace: Where it is.
            seconds: How long it may take.

        Raises:
            KubectlError: It did not, in that time.
        """
        self.kubectl(
            "wait", "-n", namespace, what, f"--for={condition}", f"--timeout={seconds}s", seconds=seconds + _SECONDS
        )

    def look(self, what: str, path: str, namespace: str = "default") -> str:
        """
        Return a field of something, as text.

        Args:
            what: Such as ``pod/one``.
            path: A JSON path, such as ``.status.phase``.
            namespace: Where it is.
        """
        return self.kubectl("get", "-n", namespace, what, "-o", f"jsonpath={{{path}}}")

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Make a namespace whose service account is there, and have it deleted afterwards."""
        name = f"test-{os.getpid()}-{next(_numbers)}"
        self.kubectl("create", "namespace", name)
        try:
            self.kubectl("wait", "-n", name, "serviceaccount/default", "--for=create", "--timeout=60s")
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def drain(self, node: str) -> None:
        """Evict a node's Pods, as before maintenance; ``kubectl uncordon`` opens it again."""
        self.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--grace-period=1")

    def until(self, look: Callable[[], T], what: str, seconds: float = _SECONDS) -> T:
        """
        Look again and again until there is something, and return that.

        Args:
            look: Returns something true once it is so.
            what: For the error, after "that".
            seconds: How long it may take.

        Raises:
            TimeoutError: It did not come.
        """
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not happen in {seconds:.0f} s that {what}")
            time.sleep(_PAUSE_SECONDS)
        return found

    def load_image(self, archive: Path) -> None:
        """
        Put the images of a docker-archive where every node's containers are made from.

        Pods name them with ``imagePullPolicy: IfNotPresent``.

        Raises:
            CannotError: Images of this cluster come from its registry alone.
        """
        raise CannotError(f"image {archive.name} cannot be loaded into {self.kind}: push it to its registry")

    @property
    def nodes(self) -> Sequence[Node]:
        """
        The nodes that a test may do things to.

        Raises:
            CannotError: They are not the test's to break.
        """
        raise CannotError(f"nodes of {self.kind} are not a test's to stop")

    @property
    def api_server(self) -> Switch:
        """
        The API server.

        Raises:
            CannotError: It is not the test's to stop.
        """
        raise CannotError(f"the API server of {self.kind} is not a test's to stop")

    @property
    def etcd(self) -> Switch:
        """
        What the API server keeps its objects in.

        Raises:
            CannotError: It is not the test's to stop.
        """
        raise CannotError(f"the etcd of {self.kind} is not a test's to stop")


class Provider(Protocol):
    """One way to a cluster."""

    def obstacle(self) -> str:
        """Return why this way is closed and what would open it; empty when it is open."""
        ...

    def open(self, stack: ExitStack, folder: Path) -> Cluster:
        """
        Open a cluster that ends with the stack.

        Args:
            stack: Ends what was started.
            folder: For files; nobody else's.

        Raises:
            CannotError: It did not come up after all.
        """
        ...


def open_first(providers: Sequence[Provider], stack: ExitStack, folder: Path) -> Cluster:
    """
    Open a cluster by the first way that is open.

    Raises:
        CannotError: None is; the message says what would open each.
    """
    obstacles: list[str] = []
    for provider in providers:
        obstacle = provider.obstacle()
        if not obstacle:
            return provider.open(stack, folder)
        obstacles.append(obstacle)
    raise CannotError("NO KUBERNETES CLUSTER TO TEST WITH: " + "; ".join(obstacles))
