"""
The bare loop that the engine is measured against: the calls that a task as a Pod takes, and nothing else.

It creates a Pod, hears from one watch that it has ended, deletes it and takes its finalizer off. Nothing is stored,
nothing tried again: a call that fails ends the measurement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, cast

import msgspec

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.kubernetes.api.door import Door, open_door
from airscrew.plugins.kubernetes.api.kinds import POD
from airscrew.plugins.kubernetes.names import FINALIZER

if TYPE_CHECKING:
    import aiohttp

LABEL = "airscrew.io/bench"
SELECTOR = f"{LABEL}=bare"

ENVIRONMENT = {
    "AIRSCREW_ATTEMPT_KEY": "a" * 27,
    "AIRSCREW_EXECUTION": "namespace/run-0-1000",
    "AIRSCREW_MAX_ATTEMPTS": "1",
    "FLYTE_ATTEMPT_NUMBER": "0",
    "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
    "FLYTE_INTERNAL_EXECUTION_ID": "run-0-1000",
    "FLYTE_INTERNAL_EXECUTION_PROJECT": "bench",
    "FLYTE_INTERNAL_EXECUTION_WORKFLOW": "bench.pod",
    "FLYTE_INTERNAL_TASK_DOMAIN": "development",
    "FLYTE_INTERNAL_TASK_NAME": "bench.pod",
    "FLYTE_INTERNAL_TASK_PROJECT": "bench",
    "FLYTE_INTERNAL_TASK_VERSION": "1",
}
"""What an engine's task finds in its environment: an API server works on a Pod as long as it is large."""

_AMOUNTS = {"cpu": "1m", "memory": "1Mi"}


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    uid: str = ""
    resource_version: str = ""


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    status: _Status = _Status()


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: _Pod


_pod_decoder = msgspec.json.Decoder(_Pod)
_event_decoder = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class BarePodLoop:
    """
    The loop; open it with ``open_bare_pods``.

    Attributes:
        door: The way to the API server.
        headers: With the token.
        namespace: Where the Pods are.
        spec: Of the Pods.
    """

    door: Door
    headers: Mapping[str, str]
    namespace: str
    spec: Mapping[str, object]
    _numbers: count[int] = field(default_factory=count)
    _ends: dict[str, asyncio.Future[None]] = field(default_factory=dict[str, "asyncio.Future[None]"])

    async def run(self, tasks: int, in_flight: int) -> None:
        """Make so many Pods, each to its end and away again."""
        listed = await self._call("GET", POD.path(self.namespace), query={"labelSelector": SELECTOR, "limit": "1"})
        version = _pod_decoder.decode(listed).metadata.resource_version
        left = iter(range(tasks))
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(version))
            async with asyncio.TaskGroup() as workers:
                for _ in range(in_flight):
                    workers.create_task(self._work(left))
            watch.cancel()

    async def say(self, name: str, status: Mapping[str, object]) -> None:
        """Write a Pod's status, as its kubelet does."""
        body = msgspec.json.encode({"status": status})
        await self._call("PATCH", POD.path(self.namespace, name, "status"), body, "application/merge-patch+json")

    async def _work(self, left: Iterator[int]) -> None:
        for _ in left:
            await self._one()

    async def _one(self) -> None:
        name = f"bare-{next(self._numbers)}"
        end = self._ends[name] = asyncio.get_running_loop().create_future()
        made = _pod_decoder.decode(
            await self._call("POST", POD.path(self.namespace), msgspec.json.encode(self._manifest(name)))
        )
        await end
        path, uid = POD.path(self.namespace, name), made.metadata.uid
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background", "gracePeriodSeconds": 30}
        await self._call("DELETE", path, msgspec.json.encode(options))
        change = msgspec.json.encode({"metadata": {"uid": uid, "finalizers": None}})
        await self._call("PATCH", path, change, "application/merge-patch+json")
        del self._ends[name]

    def _manifest(self, name: str) -> Mapping[str, object]:
        """Make a Pod as the engine does of the same task."""
        labels = {LABEL: "bare", "airscrew.io/installation": "0" * 32, "airscrew.io/executor": "pod"}
        annotations = {
            "airscrew.io/execution": f"{self.namespace}/{name}",
            "airscrew.io/uid": "0" * 32,
            "airscrew.io/attempt": "0",
            "airscrew.io/settings": '{"primary":"primary"}',
            "primary_container_name": "primary",
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": annotations,
                "finalizers": [FINALIZER],
            },
            "spec": {**self.spec, "containers": self._containers(), "enableServiceLinks": False},
        }

    def _containers(self) -> Sequence[Mapping[str, object]]:
        """Give the containers what the engine gives its own."""
        environment = [{"name": name, "value": value} for name, value in ENVIRONMENT.items()]
        more: Mapping[str, object] = {
            "env": environment,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {"requests": _AMOUNTS, "limits": _AMOUNTS},
        }
        containers = cast("Sequence[Mapping[str, object]]", self.spec["containers"])
        return [{**container, **more} for container in containers]

    async def _watch(self, version: str) -> None:
        """Watch for ever: an API server ends a watch whenever it likes, and one that has just begun does so at once."""
        while True:
            version = await self._watch_once(version)

    async def _watch_once(self, version: str) -> str:
        query = {"watch": "1", "labelSelector": SELECTOR, "resourceVersion": version}
        url = f"{self.door.host}{POD.path(self.namespace)}"
        async with self.door.session.get(
            url,
            params=query,
            headers=self.headers,
            proxy=self.door.proxy,
            server_hostname=self.door.server_name,
            timeout=_no_limit(),
        ) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = _event_decoder.decode(line)
                    self._take(event)
                    version = event.object.metadata.resource_version
        return version

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            raise ExecutorError("the watch of the bare loop cannot go on: begin the measurement again")
        end = self._ends.get(event.object.metadata.name)
        if end is not None and not end.done() and event.object.status.phase in {"Succeeded", "Failed"}:
            end.set_result(None)

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        async with self.door.session.request(
            method,
            f"{self.door.host}{path}",
            params=query,
            data=body,
            headers={**self.headers, "Content-Type": kind},
            proxy=self.door.proxy,
            server_hostname=self.door.server_name,
        ) as response:
            data = await response.read()
            if response.status // 100 != 2:  # noqa: PLR2004 - the class of HTTP's successes
                raise ExecutorError(f"{method} {path}: {response.status} {data[:300].decode(errors='replace')}")
            return data


def _no_limit() -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(total=None)


@asynccontextmanager
async def open_bare_pods(
    *, kubeconfig: str, context: str, namespace: str, spec: Mapping[str, object]
) -> AsyncIterator[BarePodLoop]:
    """
    Open the bare loop.

    Args:
        kubeconfig: A file; empty for the Pod's own account inside a cluster, else for what KUBECONFIG names.
        context: A context of it; empty for the current one.
        namespace: Where the Pods are.
        spec: Of the Pods.

    Raises:
        ExecutorError: The ``kubernetes`` package is missing.
        UsageError: The kubeconfig cannot be used.
    """
    async with open_door(kubeconfig, context) as door:
        headers = {"Accept": "application/json", "User-Agent": "airscrew"}
        await door.authorize(headers)
        yield BarePodLoop(door, headers, namespace, spec)
