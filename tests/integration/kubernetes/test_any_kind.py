"""A kind that a plugin names without its plural and its version is found by discovery, in the cluster of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.support.control_plane import ControlPlane
from tests.support.pods import task

from airscrew.engine.errors import PermanentError
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.api.kinds import Kind
from airscrew.plugins.kubernetes.executor import KubernetesExecutor
from airscrew.plugins.kubernetes.plugin import Built, KubernetesPlugin, Look, ObjectPhase
from airscrew.plugins.kubernetes.pod_view import Metadata


class JobStatus(msgspec.Struct, frozen=True):
    succeeded: int = 0


class JobView(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    status: JobStatus = JobStatus()


class JobPlugin(KubernetesPlugin[JobView]):
    """Tasks as Jobs of whatever version the cluster prefers."""

    id = "job"
    task_types = ("job",)
    kind = Kind("batch", "", "Job", "")
    view_type = JobView

    async def build(self, context: Any, template: Any, cluster: Any) -> Built:
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}
        return Built(manifest={"spec": {"template": {"spec": pod}}})

    def read_phase(self, view: JobView, look: Look) -> ObjectPhase:
        return ObjectPhase(phase=Phase.SUCCESS if view.status.succeeded else Phase.RUNNING, has_outputs=False)


class NowherePlugin(JobPlugin):
    kind = Kind("nowhere.example.com", "v1", "Thing", "")


class JobExecutor(KubernetesExecutor[JobView]):
    id, task_types = JobPlugin.id, JobPlugin.task_types

    def __init__(self) -> None:
        super().__init__(JobPlugin())


class NowhereExecutor(JobExecutor):
    def __init__(self) -> None:
        KubernetesExecutor.__init__(self, NowherePlugin())


def two_contexts(plane: ControlPlane) -> Mapping[str, Any]:
    """A kubeconfig whose current context leads nowhere, and another one to the cluster."""
    config = json.loads(plane.kubeconfig.read_text())
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    config["clusters"].append(nowhere)
    config["contexts"].append({"name": "away", "context": {"cluster": "nowhere", "user": "admin"}})
    config["current-context"] = "away"
    path = plane.folder / "two.kubeconfig"
    path.write_text(json.dumps(config))
    return {"kubeconfig": str(path), "context": "test"}


async def test_a_kind_without_plural_and_version_runs_to_its_end_in_the_executors_own_cluster(
    played_control_plane: ControlPlane,
) -> None:
    plane = played_control_plane
    with plane.namespace() as namespace:
        async with ExecutorEnvironment(JobExecutor, config=two_contexts(plane)) as environment:
            attempt = environment.attempt(task(task_type="job"), namespace=namespace)

            status = await attempt.run()

            assert status.phase is Phase.SUCCESS
            assert environment.executor.calls["POST"] == 1
            assert plane.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"] == []


async def test_a_kind_that_the_cluster_does_not_have_is_named(played_control_plane: ControlPlane) -> None:
    plane = played_control_plane
    async with ExecutorEnvironment(NowhereExecutor, config={"kubeconfig": str(plane.kubeconfig)}) as environment:
        attempt = environment.attempt(task(task_type="job"), namespace="default")

        with pytest.raises(PermanentError) as caught:
            await attempt.start()

    assert (caught.value.code, caught.value.kind) == ("KindNotFound", ErrorKind.SYSTEM)
    assert "no kind Thing in nowhere.example.com/v1" in str(caught.value)
