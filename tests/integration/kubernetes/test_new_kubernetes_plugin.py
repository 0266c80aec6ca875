"""A new plugin over Kubernetes, as it is written, in a real cluster: what its fake stands for is so."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane

from airscrew.engine.scaffold import Kind, Wanted, plan_package, write_package
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of a plugin that was just written."""
    wanted = Wanted(name="written-now", kind=Kind.KUBERNETES)
    write_package(tmp_path / "plugin", plan_package(wanted, version="0.1.0", protobuf="5.26"))
    monkeypatch.syspath_prepend(tmp_path / "plugin" / "src")
    yield import_module("written_now.executor").WrittenNowExecutor
    for name in [name for name in sys.modules if name.partition(".")[0] == "written_now"]:
        del sys.modules[name]


async def test_its_task_runs_to_its_end_as_a_job_and_nothing_is_left(
    executor: Any, played_control_plane: ControlPlane
) -> None:
    plane = played_control_plane
    template = make_template("written-now", custom={"image": "none", "command": ["true"]})
    with plane.namespace() as namespace:
        async with ExecutorEnvironment(executor, config={"kubeconfig": str(plane.kubeconfig)}) as environment:
            status = await environment.attempt(template, namespace=namespace).run()

            assert status.phase is Phase.SUCCESS
            assert plane.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"] == []


async def test_a_kill_over_restarts_ends_with_nothing_left(executor: Any, played_control_plane: ControlPlane) -> None:
    plane = played_control_plane
    template = make_template("written-now", custom={"image": "none", "command": ["sleep", "1000"]})
    with plane.namespace() as namespace:
        async with ExecutorEnvironment(executor, config={"kubeconfig": str(plane.kubeconfig)}) as environment:
            attempt = environment.attempt(template, namespace=namespace)
            await attempt.start()
            await attempt.kill()
            await environment.restart()

            await attempt.kill_until_gone()

            assert plane.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"] == []
