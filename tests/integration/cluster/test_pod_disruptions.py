"""
What happens to Pods of a real cluster, and what the engine makes of it: phase, code and kind of each.

One engine runs all of it. What a control plane alone can show (quotas, a stopped API server, a stopped etcd, a watch
that has expired) is in ``tests/integration/kubernetes``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from flyteidl.core import security_pb2, tasks_pb2

from airscrew.engine.api.model import ExecutionView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.manager import open_engine
from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYSTEM, USER = ErrorKind.SYSTEM, ErrorKind.USER
SLEEP = ("sh", "-c", "trap 'exit 1' TERM; sleep 600 & wait")
CONFIG = {
    "image_pull_policy": "IfNotPresent",
    "default_requests": {"cpu": "20m", "memory": "32Mi"},
    "image_pull_grace": 3,
    "mount_grace": 2,
}


@dataclass
class Site:
    """
    The engine, and the namespace that its tasks run in.

    Attributes:
        cluster: The cluster.
        namespace: The namespace.
        image: With Python.
        api: The engine.
    """

    cluster: Cluster
    namespace: str
    image: str
    api: EngineApi

    async def submit(self, name: str, template: bytes, attempts: int = 1) -> str:
        request = SubmitRequest(namespace=self.namespace, name=name, template=template, max_attempts=attempts)
        return (await self.api.submit(request)).execution

    async def until(self, name: str, wanted: Callable[[ExecutionView], bool], seconds: float = 60.0) -> ExecutionView:
        """Follow an execution until it is as wanted."""
        last: ExecutionView | None = None
        try:
            async with asyncio.timeout(seconds):
                async for last in self.api.watch(name):
                    if wanted(last):
                        return last
        except TimeoutError:
            pass
        raise AssertionError(f"{name} was not as wanted within {seconds:.0f} s: {last}")

    async def running(self, name: str) -> ExecutionView:
        return await self.until(name, lambda view: view.phase is Phase.RUNNING)

    async def kubectl(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.cluster.kubectl, *arguments)

    async def node_of(self, pod: str) -> str:
        path = "jsonpath={.spec.nodeName}"
        return await self.kubectl("get", "pod", "-n", self.namespace, pod, "-o", path)

    async def end(self, name: str) -> None:
        """Kill an execution, and wait until its Pod is gone."""
        await self.api.kill(name, "the test is over", force=False)
        await self.until(name, lambda view: view.phase.is_terminal)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace() as name:
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    cluster: Cluster, namespace: str, python_image: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    config = {**CONFIG, "kubeconfig": str(cluster.kubeconfig)}
    settings = EngineSettings(home=str(tmp_path_factory.mktemp("home")), executors={"pod": config})
    async with open_engine(settings, work=WorkScope.everything(), serve_socket=False) as api:
        yield Site(cluster, namespace, python_image, api)


@pytest.fixture
def afterwards(cluster: Cluster) -> Iterator[ExitStack]:
    """What mends the cluster; the next test begins when all nodes are ready."""
    try:
        with ExitStack() as stack:
            yield stack
    finally:
        cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=60s")


def template(image: str, *command: str, memory: str = "", secret: str = "", mount: str = "ENV_VAR") -> bytes:
    task = tasks_pb2.TaskTemplate(type="container")
    task.id.name, task.id.version = "demo", "1"
    task.container.image = image
    task.container.command.extend(command)
    if memory:
        entry = tasks_pb2.Resources.ResourceEntry(name=tasks_pb2.Resources.MEMORY, value=memory)
        task.container.resources.limits.append(entry)
    if secret:
        requirement = security_pb2.Secret.MountType.Value(mount)
        task.security_context.secrets.append(security_pb2.Secret(group=secret, key="k", mount_requirement=requirement))
    return task.SerializeToString()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A task that cannot end well, and how it ends."""

    name: str
    command: tuple[str, ...] = SLEEP
    image: str = ""
    more: dict[str, str] = field(default_factory=dict)
    codes: frozenset[str]
    retried: bool = False
    says: str = ""


ROWS = [
    Row(name="out-of-memory", command=("python3", "-c", "b'x' * (1 << 28)"), more={"memory": "64Mi"},
        codes=frozenset({"OOMKilled"}), retried=True, says="OOMKilled"),
    Row(name="no-such-image", image="127.0.0.1:1/none:1", codes=frozenset({"ErrImagePull", "ImagePullBackOff"}),
        retried=True, says="127.0.0.1:1/none:1"),
    Row(name="secret-missing-as-variable", more={"secret": "nobody"}, codes=frozenset({"SecretNotFound"}),
        says="Secret 'nobody'"),
    Row(name="secret-missing-as-file", more={"secret": "nobody", "mount": "FILE"}, codes=frozenset({"SecretNotFound"}),
        says="Secret 'nobody'"),
]  # fmt: skip


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_a_task_that_cannot_run_ends_with_its_reason(site: Site, row: Row) -> None:
    made = template(row.image or site.image, *row.command, **row.more)

    view = await site.until(await site.submit(row.name, made), lambda view: view.phase.is_terminal)

    assert view.error is not None, view
    exhausted, _, code = view.error.code.rpartition("|")
    assert code in row.codes
    assert exhausted == ("RetriesExhausted" if row.retried else "")
    assert (view.phase, view.error.kind) == (Phase.PERMANENT_FAILURE, USER)
    assert row.says in view.error.message


async def test_a_missing_secret_as_file_is_shown_while_its_grace_lasts(site: Site) -> None:
    name = await site.submit("waits", template(site.image, *SLEEP, secret="late", mount="FILE"))

    await site.until(name, lambda view: "FailedMount" in view.reason and "late" in view.reason)
    await site.kubectl("create", "secret", "generic", "late", "-n", site.namespace, "--from-literal=k=v")

    view = await site.until(name, lambda view: view.phase is Phase.RUNNING or view.phase.is_terminal)
    if view.phase is Phase.RUNNING:
        await site.end(name)
    else:
        assert view.error is not None  # the grace was over before the Secret was there: a slow machine
        assert view.error.code == "SecretNotFound"


async def test_a_pod_that_somebody_deletes_is_told_within_two_seconds(site: Site) -> None:
    name = await site.submit("deleted", template(site.image, *SLEEP))
    pod = (await site.running(name)).key

    await site.kubectl("delete", "pod", "-n", site.namespace, pod, "--wait=false")
    deleted = time.monotonic()
    await site.until(name, lambda view: view.phase is not Phase.RUNNING)
    told = time.monotonic() - deleted

    view = await site.until(name, lambda view: view.attempt == 1)
    error = view.attempts[0].error
    assert error is not None
    assert (error.code, error.kind) == ("UnexpectedObjectDeletion", SYSTEM)
    assert told < 2
    await site.end(name)


async def test_an_evicted_pod_costs_a_system_attempt(site: Site) -> None:
    name = await site.submit("evicted", template(site.image, *SLEEP))
    pod = (await site.running(name)).key
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": site.namespace}}

    path = f"/api/v1/namespaces/{site.namespace}/pods/{pod}/eviction"
    await asyncio.to_thread(site.cluster.kubectl, "create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    view = await site.until(name, lambda view: view.attempt == 1)
    error = view.attempts[0].error
    assert error is not None
    assert (error.code, error.kind) == ("Interrupted", SYSTEM)
    assert "EvictionByEvictionAPI" in error.message
    await site.end(name)


async def test_the_task_of_a_drained_node_runs_on_the_other(site: Site, afterwards: ExitStack) -> None:
    name = await site.submit("drained", template(site.image, *SLEEP))
    first = await site.node_of((await site.running(name)).key)
    afterwards.callback(site.cluster.kubectl, "uncordon", first)

    await asyncio.to_thread(site.cluster.drain, first)

    view = await site.until(name, lambda view: view.attempt == 1 and view.phase is Phase.RUNNING)
    error = view.attempts[0].error
    assert error is not None
    assert (error.code, error.kind) == ("Interrupted", SYSTEM)
    assert await site.node_of(view.key) != first
    await site.end(name)


async def test_the_task_of_a_node_that_is_gone_runs_on_the_other(site: Site, afterwards: ExitStack) -> None:
    """A node without power is told to be out of service, as whoever switched it off does: else nobody can know."""
    name = await site.submit("gone", template(site.image, *SLEEP))
    first = await site.node_of((await site.running(name)).key)
    (node,) = (each for each in site.cluster.nodes if each.name == first)
    taint = "node.kubernetes.io/out-of-service"
    afterwards.callback(site.cluster.kubectl, "taint", "node", first, f"{taint}-")
    afterwards.callback(node.power_on)
    node.power_off()
    await site.until(name, lambda view: view.attempt == 1 or "deleted" in view.reason or bool(view.error), 60)

    await site.kubectl("taint", "node", first, f"{taint}=nodeshutdown:NoExecute")

    view = await site.until(name, lambda view: view.attempt == 1 and view.phase is Phase.RUNNING, 90)
    error = view.attempts[0].error
    assert error is not None
    assert (error.code, error.kind) == ("Interrupted", SYSTEM)
    assert await site.node_of(view.key) != first
    await site.end(name)
