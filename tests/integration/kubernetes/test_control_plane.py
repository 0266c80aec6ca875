"""The control plane that tests run against is one: what a cluster promises holds there."""

from __future__ import annotations

import json
import subprocess

from tests.support.control_plane import VERSION, ControlPlane

POD = {"containers": [{"name": "main", "image": "none", "command": ["true"]}]}


def test_it_serves_the_version_that_was_built(control_plane: ControlPlane) -> None:
    assert control_plane.get("/version")["gitVersion"] == VERSION


def test_a_pod_waits_for_a_node_and_says_so(control_plane: ControlPlane, kube_namespace: str) -> None:
    path = f"/api/v1/namespaces/{kube_namespace}/pods"
    status, _ = control_plane.call("POST", path, {"metadata": {"name": "one"}, "spec": POD})

    assert status == 201
    condition = control_plane.wait_for(lambda: control_plane.get(f"{path}/one")["status"].get("conditions"))[0]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "Unschedulable")


def test_a_user_without_rights_is_refused(control_plane: ControlPlane, kube_namespace: str) -> None:
    config = control_plane.kubeconfig_for("nobody", "nobody")
    command = [control_plane.programs / "kubectl", "--kubeconfig", config, "-n", kube_namespace, "get", "pods"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert 'User "nobody" cannot list resource "pods"' in done.stderr


def test_a_quota_is_enforced(control_plane: ControlPlane, kube_namespace: str) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    control_plane.call("POST", f"/api/v1/namespaces/{kube_namespace}/resourcequotas", quota)
    path = f"/api/v1/namespaces/{kube_namespace}"
    control_plane.wait_for(lambda: control_plane.get(f"{path}/resourcequotas/none")["status"].get("hard"))

    status, answer = control_plane.call("POST", f"{path}/pods", {"metadata": {"name": "one"}, "spec": POD})

    assert status == 403
    assert "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0" in answer["message"]


def test_kubectl_works(control_plane: ControlPlane) -> None:
    names = json.loads(control_plane.kubectl("get", "namespaces", "-o", "json"))["items"]

    assert {"default", "kube-system"} <= {item["metadata"]["name"] for item in names}


def test_an_api_server_that_was_stopped_goes_on(own_control_plane: ControlPlane) -> None:
    own_control_plane.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kept"}})
    own_control_plane.api_server.stop(hard=True)
    assert own_control_plane.call("GET", "/readyz")[0] == 0

    own_control_plane.restart_api_server()

    assert own_control_plane.get("/api/v1/namespaces/kept")["metadata"]["name"] == "kept"
