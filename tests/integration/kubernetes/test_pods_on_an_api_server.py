"""The Pod executor over a real API server: what it makes is accepted, and what is written there is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane
from tests.support.pods import container, pod_task, task

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import (
    Accelerator,
    DataConfig,
    ExtendedResources,
    SecretRef,
    SecurityContext,
    SharedMemory,
    TaskMetadata,
    TaskTemplate,
    load_one,
)
from airscrew.plugins.kubernetes.pod.executor import PodExecutor
from airscrew.plugins.kubernetes.state import ObjectState

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"
LOADER = {"image": "airscrew:1", "env_from_secret": "access"}
LOGS = {"kubernetes_url": "http://k", "templates": [{"name": "node", "uris": ["x/{{ .nodeName }}"]}]}


@pytest.fixture
def environment(control_plane: ControlPlane, kube_namespace: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    control_plane.wait_for(lambda: account(control_plane, kube_namespace))

    def make(**config: Any) -> ExecutorEnvironment[ObjectState]:
        given = {
            "kubeconfig": str(control_plane.kubeconfig),
            "loader": LOADER,
            "watch": False,
            "period": 0.5,
            "scheduler_name": "nobody",  # the statuses that the tests write are theirs alone
            **config,
        }
        return ExecutorEnvironment(PodExecutor, config=given, secrets={"grp/k1": "hunter2-the-value"})

    return make


def account(control_plane: ControlPlane, namespace: str) -> bool:
    """A Pod needs its namespace's default account, which a controller makes a moment later."""
    return control_plane.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")[0] == 200


def whole() -> TaskTemplate:
    """A task with everything that a Pod can be asked for."""
    data = DataConfig(enabled=True, input_path="/var/inputs", output_path="/var/outputs")
    return task(
        container(requests={"cpu": "100m", "gpu": "1"}, limits={"memory": "1Gi"}, data_config=data, env={"A": "1"}),
        outputs={"n": int},
        extended_resources=ExtendedResources(
            accelerator=Accelerator(device="nvidia-tesla-t4", partition_size="1g.5gb"),
            shared_memory=SharedMemory(mount_name="shm", mount_path="/dev/shm", size_limit="1Gi"),
        ),
        security_context=SecurityContext(
            secrets=(SecretRef(group="grp", key="k1"), SecretRef(group="grp", key="k1", mount_requirement="FILE"))
        ),
    )


CONFIG: dict[str, Any] = {
    "interruptible": {
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "non_interruptible_requirement": {"key": "capacity", "operator": "NotIn", "values": ["spot"]},
    },
    "default_env_from_config_maps": ["settings"],
    "default_dns_config": {"nameservers": ["10.0.0.1"]},
    "default_pod_security_context": {"fsGroup": 1000},
    "tolerate_resources": ["nvidia.com/gpu"],
    "policy": {"root": False, "privilege_escalation": False},
    "logs": LOGS,
}


def pod_of(control_plane: ControlPlane, namespace: str, name: str) -> Any:
    return control_plane.get(f"/api/v1/namespaces/{namespace}/pods/{name}")


def write_status(control_plane: ControlPlane, namespace: str, name: str, status: dict[str, Any]) -> None:
    """Be the kubelet."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
    code, answer = control_plane.call("PATCH", path, {"status": status}, "application/merge-patch+json")
    assert code == 200, answer


def over(name: str, code: int = 0, message: str = "") -> dict[str, Any]:
    end = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message,
           "finishedAt": "2026-11-01T10:00:00Z"}  # fmt: skip
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": end}}


async def looked(attempt: Any, phase: Phase) -> TaskStatus[ObjectState]:
    """Check until the list has told of the change."""

    async def look() -> TaskStatus[ObjectState]:
        status = await attempt.check()
        while status.phase is not phase:
            await attempt.pause(0.2)
            status = await attempt.check()
        return status

    import asyncio

    async with asyncio.timeout(30):
        return await look()


async def test_a_pod_with_everything_is_accepted_and_holds_no_secret(
    environment: Any, control_plane: ControlPlane, kube_namespace: str
) -> None:
    async with environment(**CONFIG) as opened:
        attempt = opened.attempt(whole(), namespace=kube_namespace)

        status = await attempt.start()

        made = pod_of(control_plane, kube_namespace, attempt.key)
        assert status.phase is Phase.QUEUED
        assert [one["name"] for one in made["spec"]["initContainers"]] == ["airscrew-download", "airscrew-upload"]
        assert made["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert "hunter2" not in json.dumps(made)
        await attempt.kill_until_gone()


@pytest.mark.parametrize(
    "name",
    ["v1/basic.add_one", "v1/basic.pod_tmpl", "v1/basic.full_options", "v1/plugins.sidecar_pod", "v1/basic.shell",
     "v2/plain", "v2/pod", "v2/full", "v1/plugins.pytorch_elastic_1", "v1/basic.mapped"],
)  # fmt: skip
async def test_pods_of_the_sdks_tasks_are_accepted(environment: Any, kube_namespace: str, name: str) -> None:
    async with environment() as opened:
        attempt = opened.attempt(load_one((TEMPLATES / f"{name}.pb").read_bytes()), namespace=kube_namespace)

        assert (await attempt.start()).phase is Phase.QUEUED
        await attempt.kill_until_gone()


async def test_a_task_is_followed_to_its_uploaded_outputs(
    environment: Any, control_plane: ControlPlane, kube_namespace: str
) -> None:
    async with environment(logs=LOGS) as opened:
        attempt = opened.attempt(whole(), namespace=kube_namespace)
        await attempt.start()
        scheduled = [{"type": "PodScheduled", "status": "True"}]
        task_over = {"phase": "Running", "conditions": scheduled, "containerStatuses": [over("primary")]}
        uploading = {**over("airscrew-upload"), "state": {"running": {}}}

        write_status(control_plane, kube_namespace, attempt.key,
                     {**task_over, "initContainerStatuses": [over("airscrew-download"), uploading]})  # fmt: skip
        running = await looked(attempt, Phase.RUNNING)
        uploaded = [over("airscrew-download"), over("airscrew-upload")]
        write_status(control_plane, kube_namespace, attempt.key, {**task_over, "initContainerStatuses": uploaded})
        done = await looked(attempt, Phase.SUCCESS)

        assert running.reason == "the task is over, its outputs are uploaded"
        assert [link.name for link in running.info.logs] == ["Kubernetes Logs"]
        assert isinstance(done.outputs, OutputsAt)
        await attempt.kill_until_gone()


async def test_a_secret_that_is_missing_is_named(
    environment: Any, control_plane: ControlPlane, kube_namespace: str
) -> None:
    async with environment() as opened:
        attempt = opened.attempt(task(), namespace=kube_namespace)
        await attempt.start()
        waiting = {"reason": "CreateContainerConfigError", "message": 'secret "grp" not found'}
        main = {**over("primary"), "state": {"waiting": waiting}}

        write_status(control_plane, kube_namespace, attempt.key, {
            "phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [main]})  # fmt: skip
        status = await looked(attempt, Phase.PERMANENT_FAILURE)

        assert status.error is not None
        assert (status.error.code, status.error.kind) == ("SecretNotFound", ErrorKind.USER)
        assert status.cleanup
        await attempt.kill_until_gone()


async def test_a_pod_template_is_read_from_the_first_namespace_that_has_it(
    environment: Any, control_plane: ControlPlane, kube_namespace: str
) -> None:
    spec = {"containers": [{"name": "default", "image": "noop", "workingDir": "/w"}], "runtimeClassName": None,
            "terminationGracePeriodSeconds": 7}  # fmt: skip
    template = {"metadata": {"name": "base"}, "template": {"metadata": {"labels": {"from": "base"}}, "spec": spec}}
    path = f"/api/v1/namespaces/{kube_namespace}/podtemplates"
    assert control_plane.call("POST", path, template)[0] == 201
    named = task(metadata=TaskMetadata(pod_template_name="base"))

    async with environment() as opened:
        attempt = opened.attempt(named, namespace=kube_namespace)
        await attempt.start()

        made = pod_of(control_plane, kube_namespace, attempt.key)
        assert made["spec"]["containers"][0]["workingDir"] == "/w"
        assert made["spec"]["terminationGracePeriodSeconds"] == 7
        assert made["spec"]["restartPolicy"] == "Never"
        assert made["spec"]["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert made["metadata"]["labels"]["from"] == "base"
        await attempt.kill_until_gone()


async def test_a_pod_template_that_nobody_has_is_refused(environment: Any, kube_namespace: str) -> None:
    async with environment(pod_template_namespace="default") as opened:
        attempt = opened.attempt(task(metadata=TaskMetadata(pod_template_name="none")), namespace=kube_namespace)

        with pytest.raises(PermanentError) as caught:
            await attempt.start()

        assert caught.value.code == "PodTemplateNotFound"


async def test_what_only_the_api_server_judges_is_told_in_its_words(environment: Any, kube_namespace: str) -> None:
    bad = pod_task(
        {"name": "primary", "image": "i", "livenessProbe": {"periodSeconds": -1, "exec": {"command": ["x"]}}}
    )

    async with environment() as opened:
        with pytest.raises(PermanentError) as caught:
            await opened.attempt(bad, namespace=kube_namespace).start()

    assert caught.value.code == "BadTaskFormat"
    assert "livenessProbe.periodSeconds" in str(caught.value)


async def test_a_pod_template_that_may_not_be_read_is_told(
    environment: Any, control_plane: ControlPlane, kube_namespace: str
) -> None:
    named = task(metadata=TaskMetadata(pod_template_name="base"))

    async with environment(kubeconfig=str(control_plane.kubeconfig_for("nobody", "nobody"))) as opened:
        with pytest.raises(PermanentError) as caught:
            await opened.attempt(named, namespace=kube_namespace).start()

    assert (caught.value.code, caught.value.kind) == ("Forbidden", ErrorKind.SYSTEM)
    assert f"may not read PodTemplates in {kube_namespace}" in str(caught.value)
