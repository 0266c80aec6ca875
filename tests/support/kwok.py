"""
Nodes that are played: KWOK says of every Pod that it runs, or that it has ended, and nothing runs.

For thousands of Pods and for how an API server bears them. What a container does, only a real node shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.control_plane import ControlPlane, open_control_plane
from tests.support.go_modules import CannotBuildError, build
from tests.support.programs import Program


def find_kwok() -> Path:
    """
    Return KWOK, built when nobody did before.

    Raises:
        CannotBuildError: Says what to install.
    """
    return build("kwok", package="sigs.k8s.io/kwok/cmd/kwok") / "kwok"


def start_kwok(stack: ExitStack, plane: ControlPlane, *, nodes: int = 3) -> None:
    """
    Play nodes for a control plane, until the stack ends.

    A Pod runs as soon as it has a node; one of a Job succeeds at once.

    Args:
        stack: Ends it.
        plane: Whose nodes they are.
        nodes: How many, of 110 Pods each.
    """
    try:
        program = find_kwok()
    except CannotBuildError as error:
        pytest.fail(f"NO KWOK TO TEST WITH: {error}", pytrace=False)
    command = [str(program), f"--kubeconfig={plane.kubeconfig}", "--manage-all-nodes=true", "--server-address="]
    kwok = Program(command, plane.folder / "kwok.log")
    stack.callback(kwok.stop, hard=True)
    kwok.start()
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    for number in range(nodes):
        name = f"played-{number}"
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
        node = {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": room, "capacity": room}}
        status, answer = plane.call("POST", "/api/v1/nodes", node)
        assert status == 201, answer

    def are_ready() -> bool:
        kwok.check()
        found = plane.get("/api/v1/nodes")["items"]
        return all({"type": "Ready", "status": "True"}.items() <= _ready(node).items() for node in found)

    plane.wait_for(are_ready, "KWOK plays the nodes")


def _ready(node: dict[str, dict[str, list[dict[str, str]]]]) -> dict[str, str]:
    return next((each for each in node["status"].get("conditions", ()) if each["type"] == "Ready"), {})


@pytest.fixture(scope="session")
def played_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose nodes are played by KWOK; the tests of a worker share it."""
    with ExitStack() as stack:
        plane = open_control_plane(stack, tmp_path_factory.mktemp("played"))
        start_kwok(stack, plane)
        yield plane
