"""What an API server tells of Pods: a line of a watch that is anything harms no other Pod, nor the watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.fuzz.engine import play, see_shown, settled
from tests.fuzz.mutations import NUMBERED, TIMES, spoil_bytes, spoil_tree
from tests.fuzz.target import Target
from tests.support.played_api import PlayedApi
from tests.support.pods import pod_task

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.core import Core
from airscrew.plugins.echo import EchoExecutor
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, Reply
from airscrew.plugins.kubernetes.pod.executor import PodExecutor

NAMESPACE = "team"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NAME, UID = "@NAME@", "@UID@"
"""Stand in an input for those of the Pod that it is about."""

TERMINATED = {"exitCode": 1, "reason": "Error", "message": "boom", "finishedAt": "2024-01-01T00:00:05Z"}
CONTAINER = {
    "name": "primary",
    "ready": True,
    "restartCount": 0,
    "containerID": "containerd://1",
    "state": {"running": {"startedAt": "2024-01-01T00:00:00Z"}},
    "lastState": {"terminated": TERMINATED},
}
CONDITION = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": NAME,
        "namespace": NAMESPACE,
        "uid": UID,
        "resourceVersion": "20",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "finalizers": ["airscrew.dev/end"],
        "creationTimestamp": "2024-01-01T00:00:00Z",
        "deletionTimestamp": None,
    },
    "spec": {"nodeName": "n1", "containers": [{"name": "primary", "image": "i"}]},
    "status": {
        "phase": "Running",
        "conditions": [CONDITION, {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}],
        "containerStatuses": [CONTAINER],
        "initContainerStatuses": [{**CONTAINER, "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
    },
}
ENDED = {
    **POD,
    "status": {"phase": "Failed", "containerStatuses": [{**CONTAINER, "state": {"terminated": TERMINATED}}]},
}
WELL = {"phase": "Succeeded", "containerStatuses": [{"name": "primary", "state": {"terminated": {"exitCode": 0}}}]}
STATUS = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "boom"}
CHANGES = (
    {"type": "MODIFIED", "object": POD},
    {"type": "MODIFIED", "object": ENDED},
    {"type": "DELETED", "object": POD},
    {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "21"}}},
    {"type": "ERROR", "object": STATUS},
)
LINES = [json.dumps(change) for change in CHANGES]


class Cluster(PlayedApi):
    """Makes every Pod that it is asked for; each runs until the test says something of it."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self._answer
        self.pods: list[dict[str, Any]] = []

    def say(self, line: bytes) -> None:
        """Let the watches tell anything."""
        for lines in self._watches.get(PODS, []):
            lines.put_nowait(line)

    def _answer(self, method: str, path: str, body: bytes | None) -> Reply:
        if method == "POST" and body is not None:
            pod: dict[str, Any] = json.loads(body)
            pod["metadata"] |= {"uid": f"uid-{len(self.pods)}", "resourceVersion": "5", "namespace": NAMESPACE}
            pod["status"] = {"phase": "Running"}
            self.pods.append(pod)
            self.listed.setdefault(path, []).append(pod)
            return Reply(201, json.dumps(pod).encode())
        return Reply(404, b"{}")


class PlayedPods(PodExecutor):
    """Pods of a cluster that a test plays."""

    def __init__(self, cluster: Cluster) -> None:
        @asynccontextmanager
        async def connect(_config: ClusterConfig) -> AsyncIterator[Connection]:
            yield cluster

        super().__init__(connect)


def check(data: bytes) -> None:
    cluster = Cluster()

    async def body(core: Core, folder: Path) -> None:
        for name in ("bad", "good"):
            await core.api.submit(SubmitRequest(namespace=NAMESPACE, name=name, template=pod_task().raw))
            await asyncio.sleep(5)
        bad, good = cluster.pods[0], cluster.pods[1]
        named = data.replace(NAME.encode(), bad["metadata"]["name"].encode()).replace(UID.encode(), b"uid-0")
        for line in named.split(b"\n"):
            cluster.say(line)
        await asyncio.sleep(1)
        good["metadata"]["resourceVersion"], good["status"] = "30", WELL
        cluster.tell(PODS, "MODIFIED", good)
        # A watch that is begun anew lists first: the pause before is bounded.
        await asyncio.sleep(120)
        view = await core.api.get(f"{NAMESPACE}/good")
        assert view.phase.name == "SUCCESS", view
        see_shown(await core.api.get(f"{NAMESPACE}/bad"))
        await core.api.kill(f"{NAMESPACE}/bad", "for a test")
        await settled(core, f"{NAMESPACE}/bad")

    play(body, EchoExecutor(), PlayedPods(cluster))


def spoil(line: str, number: int, times: int, *, tree: bool) -> bytes:
    if tree:
        spoilt = json.dumps(spoil_tree(line, number, times)).encode()
        return spoilt.replace(b'"@DEEP@"', b'{"a":' * 2000 + b"1" + b"}" * 2000)
    return spoil_bytes(line.encode(), number, times)


ONE = st.builds(spoil, st.sampled_from(LINES), NUMBERED, TIMES, tree=st.sampled_from([True, True, True, False]))
INPUTS = st.lists(ONE, min_size=1, max_size=4).map(b"\n".join)
TARGET = Target(name="pods", inputs=INPUTS, check=check, examples=60)


@TARGET.fuzzed
def test_any_line_of_a_watch_harms_no_other_pod(data: bytes) -> None:
    check(data)
