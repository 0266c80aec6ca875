"""Helm, and nodes that KWOK plays, do on the control plane what they do elsewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.control_plane import ControlPlane
from tests.support.helm import find_helm

JOBS = 50


def test_helm_installs_a_chart(control_plane: ControlPlane, kube_namespace: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: small, version: 1.0.0}")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}"}}
    (tmp_path / "templates" / "one.yaml").write_text(json.dumps(manifest))
    access = ("--kubeconfig", str(control_plane.kubeconfig), "-n", kube_namespace)

    subprocess.run([find_helm(), "install", "first", str(tmp_path), *access], check=True, capture_output=True)

    found = control_plane.get(f"/api/v1/namespaces/{kube_namespace}/configmaps/first")
    assert found["metadata"]["annotations"]["meta.helm.sh/release-name"] == "first"


def test_played_nodes_run_pods_and_end_those_of_jobs(played_control_plane: ControlPlane) -> None:
    plane = played_control_plane
    with plane.namespace() as namespace:
        spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}
        for number in range(JOBS):
            job = {"metadata": {"name": f"job-{number}"}, "spec": {"template": {"spec": spec}}}
            assert plane.call("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", job)[0] == 201
        plane.call("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "one"}, "spec": spec})

        def are_done() -> bool:
            jobs = plane.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
            return [each["status"].get("succeeded") for each in jobs] == [1] * JOBS

        plane.wait_for(are_done, "all Jobs succeed", 60)
        assert plane.get(f"/api/v1/namespaces/{namespace}/pods/one")["status"]["phase"] == "Running"
