"""The measurements of Pods measure, and what a Pod task costs in requests stays as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane, open_control_plane
from tests.support.etcd import Etcd
from tests.support.kwok import start_kwok

COMMAND = Path(sys.executable).with_name("airscrew")


@pytest.fixture(scope="module")
def ending_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose only node ends every Pod at once."""
    with ExitStack() as stack:
        plane = open_control_plane(stack, tmp_path_factory.mktemp("ending"), nodes=True)
        start_kwok(stack, plane, nodes=1, ends_all=True)
        yield plane


def bench(plane: ControlPlane, etcd: Etcd, *arguments: str) -> dict[str, Any]:
    with plane.namespace() as namespace:
        where = ["--kubeconfig", str(plane.kubeconfig), "--store", etcd.new_url(), "-n", namespace, "-o", "json"]
        done = subprocess.run([COMMAND, "bench", *arguments, *where], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"] == []
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_pod_task_costs_three_writes_and_no_read(ending_plane: ControlPlane, etcd: Etcd) -> None:
    found = bench(ending_plane, etcd, "pods", "--tasks", "40", "--repeat", "1", "--node", "played-0")

    assert found["engine_writes_per_pod"] == 3
    assert found["engine_reads_per_pod"] == 0
    assert found["ratio"] > 0


def test_the_bare_loop_makes_the_same_pods(ending_plane: ControlPlane, etcd: Etcd) -> None:
    version = ending_plane.get("/api/v1/pods?limit=1")["metadata"]["resourceVersion"]

    bench(ending_plane, etcd, "pods", "--tasks", "10", "--repeat", "1", "--node", "played-0")

    told = ending_plane.told(f"/api/v1/pods?resourceVersion={version}&labelSelector=airscrew.io/executor%3Dpod")
    made = [one["object"] for one in told if one["type"] == "ADDED"]
    bare = [pod for pod in made if "airscrew.io/bench" in pod["metadata"]["labels"]]
    ours = [pod for pod in made if "airscrew.io/key" in pod["metadata"]["labels"]]
    assert len(bare) == len(ours) == 20, "ten to warm up, and ten"
    assert _form(bare[-1]["spec"]) == _form(ours[-1]["spec"])
    assert _form(bare[-1]["metadata"]["annotations"]) == _form(ours[-1]["metadata"]["annotations"])
    assert len(json.dumps(bare[-1])) == pytest.approx(len(json.dumps(ours[-1])), rel=0.05)


def _form(tree: Any) -> Any:
    """Take away what differs from Pod to Pod, values and the volume of the token, and keep the names."""
    if isinstance(tree, dict):
        kept = {key: value for key, value in tree.items() if key not in {"volumes", "volumeMounts"}}
        return {key: value if key == "name" else _form(value) for key, value in kept.items()}
    return [_form(one) for one in tree] if isinstance(tree, list) else ""


def test_a_change_of_a_pod_is_recorded_soon(ending_plane: ControlPlane, etcd: Etcd) -> None:
    found = bench(ending_plane, etcd, "pod-events", "--in-flight", "40", "--events", "40", "--rate", "20")

    assert found["events"] == 40
    assert found["event_p50_ms"] < 250
