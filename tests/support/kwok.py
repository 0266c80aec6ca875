"""
Nodes that are played: KWOK says of every Pod that it runs, or that it has ended, and nothing runs.

For thousands of Pods and for how an API server bears them. What a container does, only a real node shows.
"""

from __future__ import annotations

import json
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


def start_kwok(stack: ExitStack, plane: ControlPlane, *, nodes: int = 3, ends_all: bool = False) -> None:
    """
    Play nodes for a control plane, until the stack ends.

    A Pod runs as soon as it has a node; one of a Job succeeds at once.

    Args:
        stack: Ends it.
        plane: Whose nodes they are.
        nodes: How many, of 110 Pods each.
        ends_all: Whether every Pod succeeds at once, and finalizers are left to whom they belong.
    """
    try:
        program = find_kwok()
    except CannotBuildError as error:
        pytest.fail(f"NO KWOK TO TEST WITH: {error}", pytrace=False)
    command = [str(program), f"--kubeconfig={plane.kubeconfig}", "--manage-all-nodes=true", "--server-address="]
    if ends_all:
        config = plane.folder / "kwok.json"
        config.write_text("\n---\n".join(json.dumps(stage) for stage in _stages()))
        command.append(f"--config={config}")
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


def _stages() -> list[object]:
    """What a Pod goes through: it runs, it ends, and when it is deleted before that it goes."""
    now = "{{ Now | Quote }}"
    each = "{{ range .spec.containers }}\n- name: {{ .name | Quote }}\n  image: {{ .image | Quote }}\n"
    runs = f"  ready: true\n  restartCount: 0\n  state: {{running: {{startedAt: {now}}}}}\n"
    ends = (
        "  ready: false\n  restartCount: 0\n"
        f"  state: {{terminated: {{exitCode: 0, reason: Completed, startedAt: {now}, finishedAt: {now}}}}}\n"
    )
    scheduled = f"conditions: [{{type: PodScheduled, status: 'True', lastTransitionTime: {now}}}]\n"
    there = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}

    def phase(word: str) -> object:
        return {"key": ".status.phase", "operator": "In", "values": [word]}

    def stage(name: str, where: list[object], then: object) -> object:
        spec = {"resourceRef": {"apiGroup": "v1", "kind": "Pod"}, "selector": {"matchExpressions": where}, "next": then}
        return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}

    running = f"{scheduled}containerStatuses:\n{each}{runs}{{{{ end }}}}\nphase: Running\n"
    ended = f"{scheduled}containerStatuses:\n{each}{ends}{{{{ end }}}}\nphase: Succeeded\n"
    return [
        stage("runs", [there, phase("Pending")], {"statusTemplate": running}),
        stage("ends", [there, phase("Running")], {"statusTemplate": ended}),
        stage("goes", [{**there, "operator": "Exists"}, phase("Running")], {"delete": True}),
    ]


def _ready(node: dict[str, dict[str, list[dict[str, str]]]]) -> dict[str, str]:
    return next((each for each in node["status"].get("conditions", ()) if each["type"] == "Ready"), {})


@pytest.fixture(scope="session")
def played_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose nodes are played by KWOK; the tests of a worker share it."""
    with ExitStack() as stack:
        plane = open_control_plane(stack, tmp_path_factory.mktemp("played"), nodes=True)
        start_kwok(stack, plane)
        yield plane
