"""Letting go of an installation's Pods on a real API server: ours alone, and nothing is left Terminating."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane

from airscrew.engine.clock import SystemClock
from airscrew.engine.config import EngineSettings
from airscrew.engine.errors import ExecutorError
from airscrew.engine.executor import Released
from airscrew.engine.installation import ensure_installation
from airscrew.engine.release import Letting, release
from airscrew.plugins.kubernetes import scale as scaling
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, open_connection
from airscrew.state.lock import EngineLock
from airscrew.state.urls import open_store

OURS = "airscrew.io/attempt"
COUNT = 40


class Pods:
    """The Pods of a namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.path = f"/api/v1/namespaces/{namespace}/pods"

    def add(self, name: str, installation: str, *finalizers: str) -> None:
        labels = {"airscrew.io/installation": installation, "airscrew.io/executor": "pod"}
        metadata = {"name": name, "labels": labels, "finalizers": list(finalizers)}
        spec = {"containers": [{"name": "main", "image": "none"}]}
        assert self.plane.call("POST", self.path, {"metadata": metadata, "spec": spec})[0] == 201

    def delete(self, name: str) -> None:
        assert self.plane.call("DELETE", f"{self.path}/{name}")[0] == 200

    @property
    def finalizers(self) -> dict[str, list[str]]:
        items: list[Any] = self.plane.get(self.path)["items"]
        return {item["metadata"]["name"]: item["metadata"].get("finalizers", []) for item in items}


@pytest.fixture
def pods(control_plane: ControlPlane, kube_namespace: str) -> Pods:
    return Pods(control_plane, kube_namespace)


@pytest.fixture
def settings(control_plane: ControlPlane, kube_namespace: str, tmp_path: Path) -> EngineSettings:
    config = {"kubeconfig": str(control_plane.kubeconfig), "namespaces": [kube_namespace]}
    return EngineSettings(home=str(tmp_path / "home"), executors={"pod": config})


async def installed(settings: EngineSettings) -> str:
    with EngineLock(settings.store_file) as lock:
        async with open_store(settings.store_url, lock=lock) as store:
            return await ensure_installation(store, Random(3))


async def let_go(settings: EngineSettings, letting: Letting) -> Released:
    gone = await release(settings, letting, clock=SystemClock(), random=Random(1))
    return gone.executors["pod"]


async def test_pods_are_let_go_of_and_run_on(pods: Pods, settings: EngineSettings) -> None:
    ours = await installed(settings)
    for number in range(COUNT):
        pods.add(f"pod-{number}", ours, OURS)
    pods.add("shared", ours, OURS, "example.com/theirs")
    pods.add("other", "another-installation", OURS)

    assert await let_go(settings, Letting()) == Released(objects=COUNT + 1)

    expected: dict[str, list[str]] = {f"pod-{number}": [] for number in range(COUNT)}
    assert pods.finalizers == {**expected, "shared": ["example.com/theirs"], "other": [OURS]}


async def test_pods_are_deleted_and_gone_and_those_of_others_stay(pods: Pods, settings: EngineSettings) -> None:
    ours = await installed(settings)
    for number in range(COUNT):
        pods.add(f"pod-{number}", ours, OURS)
    pods.add("free", ours)
    pods.add("other", "another-installation", OURS)
    pods.delete("pod-3")  # somebody did already, and it is held

    assert await let_go(settings, Letting(delete=True)) == Released(objects=COUNT + 1, deleted=COUNT + 1)

    assert pods.finalizers == {"other": [OURS]}


async def test_a_deployment_gets_its_number_of_pods(control_plane: ControlPlane, kube_namespace: str) -> None:
    labels = {"app": "one"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    path = f"/apis/apps/v1/namespaces/{kube_namespace}/deployments"
    control_plane.call("POST", path, {"metadata": {"name": "one"}, "spec": spec})

    async with open_connection(ClusterConfig(kubeconfig=str(control_plane.kubeconfig))) as connection:
        await scaling.scale(connection, kube_namespace, "one", 0)
        await scaling.scale(connection, kube_namespace, "never-was", 0)
        with pytest.raises(ExecutorError, match="cannot be scaled"):
            await scaling.scale(connection, kube_namespace, "never-was", 1)

    assert control_plane.get(f"{path}/one")["spec"]["replicas"] == 0
