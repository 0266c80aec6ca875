"""A plugin writer's tests, in a process of their own, get the cluster that their environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.control_plane import ControlPlane

TEST = """
def test_it(cluster, cluster_namespace):
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}, cluster_namespace)
    assert cluster.look("configmap/one", ".metadata.namespace", cluster_namespace) == cluster_namespace
"""


def run_pytest(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["airscrew.engine.testing.cluster.pytest_plugin"]\n')
    (folder / "test_it.py").write_text(TEST)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AIRSCREW_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(
        command, cwd=folder, env={**kept, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_fixtures_that_ship_work_on_a_cluster_that_is_named(control_plane: ControlPlane, tmp_path: Path) -> None:
    path = f"{control_plane.programs}:{os.environ['PATH']}"

    done = run_pytest(tmp_path, AIRSCREW_TEST_KUBECONFIG=str(control_plane.kubeconfig), PATH=path)

    assert done.stdout.strip().splitlines()[-1].startswith("1 passed"), done.stdout


def test_without_any_cluster_they_fail_and_say_what_to_do(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, PATH="/nowhere")

    assert done.returncode == 1
    assert "AIRSCREW_TEST_KUBECONFIG names no kubeconfig; kind needs kind, kubectl, docker on the PATH" in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("1 error")
