"""An engine whose tasks are Pods of the test's control plane, and what a kubelet would say of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane

from airscrew.engine.api.model import ExecutionView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.manager import open_engine
from airscrew.engine.registry import Registry
from airscrew.engine.vitals import Instruments
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, open_connection
from airscrew.plugins.kubernetes.pod.executor import PodExecutor


@dataclass
class Cluster:
    """
    The engine and the control plane, in one namespace.

    Attributes:
        plane: The control plane.
        namespace: Where everything is.
        home: The engine's folder.
        config: The executor's configuration, over the way to the cluster.
        instruments: What watches the engine.
        store: The engine's store; empty for a file in its home.
    """

    plane: ControlPlane
    namespace: str
    home: Path
    config: dict[str, Any] = field(default_factory=dict)
    store: str = ""
    connections: list[Any] = field(default_factory=list)
    instruments: Instruments | None = None

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[EngineApi]:
        """Be an engine; one after the other, over the same store."""

        @asynccontextmanager
        async def connect(config: ClusterConfig) -> AsyncIterator[Connection]:
            async with open_connection(config) as connection:
                self.connections.append(connection)
                yield connection

        registry = Registry()
        registry.register(PodExecutor(connect))
        config = {"kubeconfig": str(self.plane.kubeconfig), **self.config}
        settings = EngineSettings(home=str(self.home), store=self.store, executors={"pod": config})
        try:
            async with open_engine(
                settings,
                work=WorkScope.everything(),
                serve_socket=False,
                registry=registry,
                instruments=self.instruments,
            ) as api:
                yield api
        finally:
            await registry.close()

    @property
    def calls(self) -> dict[str, int]:
        """The requests of the newest engine, by method."""
        return dict(self.connections[-1].counts)

    async def submit(self, api: EngineApi, name: str, template: bytes, **more: Any) -> str:
        """Submit a task into the namespace."""
        request = SubmitRequest(namespace=self.namespace, name=name, template=template, wire="flyte1", **more)
        return (await api.submit(request)).execution

    def pod(self) -> dict[str, Any] | None:
        """The only Pod; None when there is none."""
        items = self.plane.get(self.pods)["items"]
        assert len(items) <= 1, [item["metadata"]["name"] for item in items]
        return items[0] if items else None

    def finished_pod(self) -> dict[str, Any] | None:
        """The only Pod, once it is one that is kept."""
        pod = self.pod()
        return pod if pod is not None and "airscrew.io/finished" in pod["metadata"]["labels"] else None

    def all_pods(self) -> list[str]:
        """The names of all Pods."""
        return [item["metadata"]["name"] for item in self.plane.get(self.pods)["items"]]

    def say(self, pod: dict[str, Any], **status: Any) -> None:
        """Write a Pod's status, as its kubelet does."""
        path = f"{self.pods}/{pod['metadata']['name']}/status"
        code, answer = self.plane.call("PATCH", path, {"status": status}, "application/merge-patch+json")
        assert code == 200, answer

    def bind(self, pod: dict[str, Any]) -> None:
        """Put a Pod on a node, as the scheduler does."""
        target = {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}
        body = {"metadata": {"name": pod["metadata"]["name"]}, "target": target}
        code, answer = self.plane.call("POST", f"{self.pods}/{pod['metadata']['name']}/binding", body)
        assert code == 201, answer

    def ended(self, name: str, code: int = 0) -> dict[str, Any]:
        """The status of a container that has ended."""
        at = "2026-01-01T00:00:00Z"
        reason = "Completed" if code == 0 else "Error"
        end = {"exitCode": code, "reason": reason, "startedAt": at, "finishedAt": at}
        return {
            "name": name,
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": end},
        }


async def watch_until(api: EngineApi, name: str, wanted: Callable[[ExecutionView], bool]) -> ExecutionView:
    """Follow an execution until it is as wanted."""
    async for view in api.watch(name):
        if wanted(view):
            return view
    raise AssertionError(f"{name} ended before it was as wanted")


@pytest.fixture
def cluster(control_plane: ControlPlane, kube_namespace: str, tmp_path: Path) -> Cluster:
    return Cluster(control_plane, kube_namespace, tmp_path / "home")


@pytest.fixture
def own_cluster(own_control_plane: ControlPlane, tmp_path: Path) -> Iterator[Cluster]:
    """The same over a control plane that the test may do to what it likes."""
    with own_control_plane.namespace() as namespace:
        yield Cluster(own_control_plane, namespace, tmp_path / "home")
