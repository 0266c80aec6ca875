"""Task templates: refused in a line, or run to an end that says why; with a healthy task beside them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flyteidl.core.tasks_pb2 import TaskTemplate
from hypothesis import strategies as st
from tests.fuzz.engine import play, see_end, submitted
from tests.fuzz.mutations import spoilt_bytes, spoilt_messages, weighted
from tests.fuzz.target import Target
from tests.support.played_api import PlayedApi
from tests.support.templates import echo_template

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.core import Core
from airscrew.plugins.echo import EchoExecutor
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection, Reply
from airscrew.plugins.kubernetes.pod.executor import PodExecutor
from airscrew.plugins.noop import NoopExecutor
from airscrew.plugins.sleep import SleepExecutor

TEMPLATES = Path(__file__).parents[1] / "data" / "templates"


def real(*folders: str) -> list[bytes]:
    files = sorted(file for folder in folders for file in (TEMPLATES / folder).glob("*.pb"))
    return [file.read_bytes() for file in files if file.stat().st_size < 20_000]


OWN = [
    echo_template({"x": "int", "y": "str"}).SerializeToString(),
    echo_template(task_type="noop").SerializeToString(),
    echo_template(task_type="core-sleep").SerializeToString(),
]
V1 = [*OWN, *real("v1")]
V2 = real("v2")


class Cluster(PlayedApi):
    """Makes every Pod that it is asked for, and each of them ends well at once."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self._answer

    def _answer(self, method: str, path: str, body: bytes | None) -> Reply:
        if method == "POST" and body is not None:
            pod: dict[str, Any] = json.loads(body)
            name = pod["metadata"]["name"]
            pod["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "5"}
            pod["metadata"].setdefault("namespace", path.split("/")[4])
            ended = {"terminated": {"exitCode": 0}}
            names = [one.get("name") for one in pod["spec"]["containers"]]
            states = [{"name": one, "state": ended} for one in names]
            pod["status"] = {"phase": "Succeeded", "containerStatuses": states}
            self.listed.setdefault(path, []).append(pod)
            return Reply(201, json.dumps(pod).encode())
        return Reply(404, b"{}")


class PlayedPods(PodExecutor):
    """Pods of a cluster that a test plays."""

    def __init__(self) -> None:
        @asynccontextmanager
        async def connect(_config: ClusterConfig) -> AsyncIterator[Connection]:
            yield Cluster()

        super().__init__(connect)


def check(data: bytes) -> None:
    wire, template = ("flyte2", data[1:]) if data[:1] == b"2" else ("flyte1", data[1:])

    async def body(core: Core, folder: Path) -> None:
        execution = await submitted(core, SubmitRequest(name="bad", template=template, wire=wire))
        if execution:
            await see_end(core, execution)

    play(body, EchoExecutor(), NoopExecutor(), SleepExecutor(), PlayedPods())


def numbered(wire: bytes, inputs: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return inputs.map(lambda data: wire + data)


def _v2_message() -> Any:
    from flyteidl2.core.tasks_pb2 import TaskTemplate as Template2

    return Template2


INPUTS = weighted(
    (3, numbered(b"1", spoilt_messages(TaskTemplate, V1))),
    (2, numbered(b"1", spoilt_messages(TaskTemplate, OWN))),
    (2, numbered(b"2", spoilt_messages(_v2_message(), V2))),
    (1, numbered(b"1", spoilt_bytes(V1))),
    (1, numbered(b"2", spoilt_bytes(V2))),
)
TARGET = Target(name="templates", inputs=INPUTS, check=check, examples=150)


@TARGET.fuzzed
def test_any_template_is_refused_or_comes_to_an_end(data: bytes) -> None:
    check(data)
