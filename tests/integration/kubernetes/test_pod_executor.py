"""Tasks as Pods of a real API server; what a kubelet would say of them is said by the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from flyteidl.core import tasks_pb2
from tests.integration.kubernetes.conftest import Cluster, watch_until
from tests.support.leaks import nothing_is_left

from airscrew.engine.api.model import ApiError
from airscrew.engine.metrics import Recorder
from airscrew.engine.vitals import Instruments, Vitals
from airscrew.idl.phase import Phase

T = TypeVar("T")
PATIENCE = 30.0


def template(**container: Any) -> bytes:
    """A task without outputs: one container."""
    task = tasks_pb2.TaskTemplate(type="container")
    task.id.name, task.id.version = "demo", "1"
    task.container.image = "none"
    task.container.command.extend(["true"])
    for name, value in container.items():
        setattr(task.container, name, value)
    return task.SerializeToString()


async def until(look: Callable[[], T | None]) -> T:
    """Look again and again until there is something."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await asyncio.to_thread(look)
            if found:
                return found
            await asyncio.sleep(0.05)


async def test_a_task_is_a_pod_until_it_ends_and_then_gone(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Running")
        await watch_until(api, name, lambda view: view.phase is Phase.RUNNING)
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])
        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert view.phase is Phase.SUCCESS, view
        await until(lambda: cluster.pod() is None)
        calls = cluster.calls

    assert {method: calls.get(method, 0) for method in ("POST", "DELETE", "PATCH")} == {
        "POST": 1,
        "DELETE": 1,
        "PATCH": 1,
    }
    assert calls.get("GET", 0) <= 3  # where to watch on from, for Pods and for events, and the log


async def test_a_finished_pod_is_kept_for_a_while_when_that_is_wanted(cluster: Cluster) -> None:
    cluster.config = {"retain_seconds": 3600, "retain_count": 5}
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])
        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        kept = await until(cluster.finished_pod)
        await nothing_is_left(api)
        calls = cluster.calls

    assert view.phase is Phase.SUCCESS
    assert "finalizers" not in kept["metadata"]
    assert float(kept["metadata"]["annotations"]["airscrew.io/expires"]) > 0
    assert (calls.get("PATCH"), calls.get("DELETE", 0)) == (1, 0)


async def test_a_pod_says_whose_it_is(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        await cluster.submit(api, "one", template(), labels={"team": "blue"})
        metadata = (await until(cluster.pod))["metadata"]

    assert metadata["labels"]["airscrew.io/key"] == metadata["name"]
    assert metadata["labels"]["team"] == "blue"
    assert metadata["annotations"]["airscrew.io/execution"] == f"{cluster.namespace}/one"
    assert metadata["finalizers"] == ["airscrew.io/attempt"]


async def test_what_pods_cost_and_how_fresh_they_are_is_counted(cluster: Cluster) -> None:
    instruments = cluster.instruments = Instruments(vitals=Vitals(monotonic=time.monotonic), meters=Recorder())
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Running")
        await watch_until(api, name, lambda view: view.phase is Phase.RUNNING)
        found = {(sample.metric.name, sample.labels): sample.value for sample in instruments.samples()}

    assert found["airscrew_cache_items", ("kubernetes/pods",)] == 1
    assert 0 <= found["airscrew_watch_age_seconds", ("kubernetes/pods",)] < 30
    assert isinstance(instruments.meters, Recorder)
    parts = {labels for metric, labels in instruments.meters.counters if metric.name == "airscrew_time_seconds_total"}
    assert ("kubernetes",) in parts
    assert ("external",) not in parts


async def test_a_pod_that_somebody_deletes_is_told_at_once_and_made_again(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Running")
        await watch_until(api, name, lambda view: view.phase is Phase.RUNNING)

        cluster.plane.call("DELETE", f"{cluster.pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})

        async with asyncio.timeout(5):
            view = await watch_until(api, name, lambda view: view.attempt == 1)
        assert "UnexpectedObjectDeletion" in str(view.attempts[0])
        again = await until(cluster.pod)
        assert again["metadata"]["name"] != pod["metadata"]["name"]


async def test_a_killed_task_leaves_no_pod(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        await until(cluster.pod)

        await api.kill(name, "enough")

        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert view.phase is Phase.ABORTED
        assert cluster.pod() is None


async def test_an_engine_that_comes_again_finds_its_pod_and_starts_no_other(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
    cluster.bind(pod)
    cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])

    async with cluster.engine() as api:
        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert view.phase is Phase.SUCCESS
        assert cluster.calls.get("POST", 0) == 0
        await until(lambda: cluster.pod() is None)


async def test_without_watches_the_lists_alone_tell(cluster: Cluster) -> None:
    cluster.config = {"watch": False, "period": 0.3}
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])

        view = await watch_until(api, name, lambda view: view.phase.is_terminal)

        assert view.phase is Phase.SUCCESS
        assert cluster.calls.get("WATCH", 0) == 0


async def test_a_task_waits_for_quota_and_runs_when_it_is_freed(cluster: Cluster) -> None:
    quotas = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas"
    other = {"metadata": {"name": "other"}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    cluster.plane.call("POST", cluster.pods, other)
    cluster.plane.call("POST", quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}})
    await until(lambda: cluster.plane.get(f"{quotas}/few")["status"].get("used", {}).get("pods") == "1")
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        view = await watch_until(api, name, lambda view: view.phase is Phase.WAITING_FOR_RESOURCES)
        assert view.reason == "waiting for quota few: pods: 1 wanted, 1/1 used"

        cluster.plane.call("DELETE", f"{cluster.pods}/other", {"gracePeriodSeconds": 0})

        await until(cluster.pod)


async def test_tasks_that_a_quota_would_refuse_are_held_back_and_follow_one_another(cluster: Cluster) -> None:
    quotas = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas"
    cluster.plane.call("POST", quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}})
    await until(lambda: cluster.plane.get(f"{quotas}/few")["status"].get("hard"))
    tasks, ended = 12, list[str]()
    async with cluster.engine() as api:
        first = await cluster.submit(api, "first", template())
        await until(cluster.all_pods)
        second = await cluster.submit(api, "second", template())
        await watch_until(api, second, lambda view: view.phase is Phase.WAITING_FOR_RESOURCES)
        others = [await cluster.submit(api, f"task-{number}", template()) for number in range(tasks)]
        for _ in range(4):
            pod = await until(lambda: next((one for one in cluster.all_pods() if one not in ended), None))
            ended.append(pod)
            cluster.say(cluster.plane.get(f"{cluster.pods}/{pod}"), phase="Succeeded")
            await until(lambda: ended[-1] not in cluster.all_pods())
        await until(lambda: [one for one in cluster.all_pods() if one not in ended])
        sent = cluster.calls["POST"]
        for name in (first, second, *others):
            await api.kill(name, "enough")

    assert sent <= 2 + 4 * 3, "those that wait were sent to be refused"


async def test_what_never_fits_fails_at_once_and_says_why(cluster: Cluster) -> None:
    quotas = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas"
    cluster.plane.call("POST", quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    await until(lambda: cluster.plane.get(f"{quotas}/none")["status"].get("hard"))
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())

        view = await watch_until(api, name, lambda view: view.phase.is_terminal)

        assert view.error is not None
        assert view.error.code == "ResourceRequestsExceedLimits"


@pytest.mark.parametrize("code", [1, 137])
async def test_a_container_that_fails_says_how(cluster: Cluster, code: int) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Failed", containerStatuses=[cluster.ended("primary", code)])

        view = await watch_until(api, name, lambda view: view.attempt == 1 or view.phase.is_terminal)

        assert str(code) in str(view.attempts or view.error)


async def test_an_api_server_that_is_away_costs_nothing_but_time(own_cluster: Cluster) -> None:
    cluster = own_cluster
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.plane.api_server.stop(hard=True)
        waiting = await cluster.submit(api, "two", template())
        view = await watch_until(api, waiting, lambda view: view.phase is Phase.WAITING_FOR_RESOURCES)
        assert "no connection to the API server" in view.reason

        await asyncio.to_thread(cluster.plane.restart_api_server)
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])

        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert view.phase is Phase.SUCCESS
        await until(lambda: len(cluster.plane.get(cluster.pods)["items"]) == 1)


async def test_a_kubeconfig_that_is_not_there_is_said_in_one_line(cluster: Cluster) -> None:
    cluster.config = {"kubeconfig": "/nowhere/config"}
    async with cluster.engine() as api:
        views = {view.id: view for view in await api.executors()}
        assert "kubeconfig /nowhere/config cannot be used" in views["pod"].problem
        with pytest.raises(ApiError, match="no executor takes"):
            await cluster.submit(api, "one", template())
