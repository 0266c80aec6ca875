"""
Pod tasks a second from submission to the end, beside a bare loop against the same API server in the same run.

The bare loop makes the same calls (create, watch, delete, the patch of the finalizer) for the same Pods, as many at
once, and keeps nothing: what is between the two is the engine. They take turns, pair by pair, so that what else the
machine does meets both; the ratio is the median of the pairs. Both run in this process, so its processor time is
theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from statistics import median
from typing import TYPE_CHECKING, Protocol, cast

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.bench.rig import bench_engine, cpu_seconds, now
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from airscrew.engine.bench import BenchOptions, PodOptions
    from airscrew.engine.core import Core
    from airscrew.state.store import Store

GROUP = "airscrew.benchmarks"
POD = "pod"
READS = ("GET",)
WRITES = ("POST", "DELETE", "PATCH", "PUT")

PodSpec = dict[str, object]
Calls = Mapping[str, int]


class BarePods(Protocol):
    """The bare loop, which the plugin of Pods brings."""

    async def run(self, tasks: int, in_flight: int) -> None:
        """Make so many Pods, each to its end and away again."""
        ...

    async def say(self, name: str, status: Mapping[str, object]) -> None:
        """Write a Pod's status, as its kubelet does."""
        ...


class OpenBare(Protocol):
    """Opens the bare loop."""

    def __call__(
        self, *, kubeconfig: str, context: str, namespace: str, spec: PodSpec
    ) -> AbstractAsyncContextManager[BarePods]:
        """
        Open it.

        Args:
            kubeconfig: A file, or empty.
            context: Of it, or empty.
            namespace: Where the Pods are.
            spec: Of the Pods.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One measurement.

    Attributes:
        rate: Pods a second.
        cpu_ms: Of this process, for each Pod.
        writes: Requests that change something, for each Pod.
        reads: Requests that ask, for each Pod.
    """

    rate: float
    cpu_ms: float
    writes: float = 0.0
    reads: float = 0.0


async def measure(options: BenchOptions) -> dict[str, object]:
    """Measure; see ``airscrew bench pods``."""
    tasks, pods = options.tasks, options.pods
    spec = pod_spec(pods)
    async with pod_engine(options) as (core, calls, _), open_bare(pods, spec) as bare:
        await _engine_run(core, pods, min(tasks, 100), "warm", calls)
        await bare.run(min(tasks, 100), pods.in_flight)
        pairs: list[tuple[Run, Run]] = []
        for number in range(options.repeat):
            first = await _bare_run(bare, pods, tasks)
            pairs.append((first, await _engine_run(core, pods, tasks, f"run-{number}", calls)))
    return {"tasks": tasks, "pairs": len(pairs), **_figures(pairs)}


def _figures(pairs: list[tuple[Run, Run]]) -> dict[str, object]:
    bares, engines = [bare for bare, _ in pairs], [engine for _, engine in pairs]
    ratios = [engine.rate / bare.rate for bare, engine in pairs]
    return {
        "bare_pods_per_s": round(median(run.rate for run in bares), 1),
        "bare_cpu_ms_per_pod": round(median(run.cpu_ms for run in bares), 3),
        "engine_pods_per_s": round(median(run.rate for run in engines), 1),
        "engine_cpu_ms_per_pod": round(median(run.cpu_ms for run in engines), 3),
        "engine_writes_per_pod": round(max(run.writes for run in engines), 3),
        "engine_reads_per_pod": round(max(run.reads for run in engines), 3),
        "ratio": round(median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
    }


@asynccontextmanager
async def pod_engine(options: BenchOptions, **more: object) -> AsyncIterator[tuple[Core, Calls, Store]]:
    """Run an engine whose only executor is that of Pods; logs, which the bare loop does not read, are not kept."""
    pods = options.pods
    config: dict[str, object] = {
        "kubeconfig": pods.kubeconfig,
        "context": pods.context,
        "keep_logs": False,
        "default_requests": {"cpu": "1m", "memory": "1Mi"},
        "policy": {"node_name": True},
        **more,
    }
    async with bench_engine(options, executors={POD: config}) as (core, store):
        host = core.hosts.host_of(POD)
        if host is None:
            view = next(view for view in core.hosts.views(core.clock.now()) if view.id == POD)
            raise UsageError(f"Pods cannot be measured: {view.problem or 'the executor pod is not installed'}")
        yield core, cast("Calls", getattr(host.executor, "calls", {})), store


def open_bare(pods: PodOptions, spec: PodSpec) -> AbstractAsyncContextManager[BarePods]:
    """Open the bare loop of the plugin of Pods."""
    found = next(iter(entry_points(group=GROUP, name=POD)), None)
    if found is None:
        raise UsageError(f"Pods cannot be measured: nothing is installed under {GROUP} {POD}")
    opened = cast("OpenBare", found.load())
    return opened(kubeconfig=pods.kubeconfig, context=pods.context, namespace=pods.namespace, spec=spec)


def pod_spec(pods: PodOptions) -> PodSpec:
    """Make the specification of a Pod that ends at once."""
    container = {"name": "primary", "image": pods.image, "command": ["true"]}
    place: PodSpec = {"nodeName": pods.node} if pods.node else {}
    return {"restartPolicy": "Never", "containers": [container], **place}


def pod_template(spec: PodSpec) -> bytes:
    """Make the template of a task that is such a Pod."""
    from flyteidl.core.identifier_pb2 import TASK, Identifier
    from flyteidl.core.interface_pb2 import TypedInterface
    from flyteidl.core.tasks_pb2 import TaskMetadata, TaskTemplate
    from google.protobuf.json_format import ParseDict

    name = Identifier(resource_type=TASK, project="bench", domain="development", name="bench.pod", version="1")
    task = TaskTemplate(id=name, type="pod", metadata=TaskMetadata(), interface=TypedInterface())
    task.config["primary_container_name"] = "primary"
    ParseDict(spec, task.k8s_pod.pod_spec)
    return bytes(task.SerializeToString())


async def _bare_run(bare: BarePods, pods: PodOptions, tasks: int) -> Run:
    started, used = now(), cpu_seconds()
    await bare.run(tasks, pods.in_flight)
    elapsed, used = now() - started, cpu_seconds() - used
    return Run(rate=tasks / elapsed, cpu_ms=used * 1000 / tasks)


async def _engine_run(core: Core, pods: PodOptions, tasks: int, prefix: str, calls: Calls) -> Run:
    template = pod_template(pod_spec(pods))
    slots, left = asyncio.Semaphore(pods.in_flight), asyncio.Semaphore(0)

    def over(live: object) -> None:
        del live
        slots.release()
        left.release()

    core.controller.on_done = over
    before = dict(calls)
    started, used = now(), cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            await slots.acquire()
            request = SubmitRequest(namespace=pods.namespace, name=f"{prefix}-{number}", template=template)
            group.create_task(core.api.submit(request))
        for _ in range(tasks):
            await left.acquire()
    elapsed, used = now() - started, cpu_seconds() - used
    made = {method: count - before.get(method, 0) for method, count in calls.items()}
    return Run(
        rate=tasks / elapsed,
        cpu_ms=used * 1000 / tasks,
        writes=sum(made.get(method, 0) for method in WRITES) / tasks,
        reads=sum(made.get(method, 0) for method in READS) / tasks,
    )
