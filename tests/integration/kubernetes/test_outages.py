"""A minute without the API server, and a minute without the engine's etcd: they cost time and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.kubernetes.conftest import Cluster, watch_until
from tests.integration.kubernetes.test_pod_executor import template, until
from tests.support.etcd import Etcd

from airscrew.engine.api.model import ApiError
from airscrew.idl.phase import Phase

OUTAGE_SECONDS = 60.0
"""What is asked of the engine: longer than its shortest patience with either."""


async def without_api_server(cluster: Cluster) -> None:
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Running")
        await watch_until(api, name, lambda view: view.phase is Phase.RUNNING)
        for number in range(3):  # the place that the engine watches from is compacted when the API server is back
            config = {"metadata": {"name": f"later-{number}"}}
            cluster.plane.call("POST", f"/api/v1/namespaces/{cluster.namespace}/configmaps", config)
        cluster.plane.api_server.stop(hard=True)
        waiting = await cluster.submit(api, "two", template())
        await asyncio.sleep(OUTAGE_SECONDS)
        view = await watch_until(api, waiting, lambda view: view.phase is Phase.WAITING_FOR_RESOURCES)
        assert "no connection to the API server" in view.reason
        lists = cluster.calls["GET"]

        await asyncio.to_thread(cluster.plane.restart_api_server)
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])

        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert (view.phase, view.attempt) == (Phase.SUCCESS, 0), view.error
        second = await until(lambda: next(iter(set(cluster.all_pods()) - {pod["metadata"]["name"]}), None))
        ended = [cluster.ended("primary")]
        cluster.say(cluster.plane.get(f"{cluster.pods}/{second}"), phase="Succeeded", containerStatuses=ended)
        view = await watch_until(api, waiting, lambda view: view.phase.is_terminal)
        assert (view.phase, view.attempt) == (Phase.SUCCESS, 0), view.error
        assert cluster.calls["GET"] > lists, "the watch had expired, and what was missed is listed"


async def without_etcd(cluster: Cluster, etcd: Etcd) -> None:
    cluster.store = etcd.new_url()
    async with cluster.engine() as api:
        name = await cluster.submit(api, "one", template())
        pod = await until(cluster.pod)
        cluster.bind(pod)
        cluster.say(pod, phase="Running")
        await watch_until(api, name, lambda view: view.phase is Phase.RUNNING)
        etcd.servers[0].kill()
        cluster.say(pod, phase="Succeeded", containerStatuses=[cluster.ended("primary")])
        with pytest.raises(ApiError):
            await cluster.submit(api, "two", template())
        await asyncio.sleep(OUTAGE_SECONDS)
        assert cluster.pod() is not None, "nothing is deleted before its end is recorded"

        etcd.servers[0].start()
        etcd.servers[0].wait_ready()

        await until(lambda: cluster.pod() is None)
        view = await watch_until(api, name, lambda view: view.phase.is_terminal)
        assert (view.phase, view.attempt) == (Phase.SUCCESS, 0), view.error


async def test_a_minute_without_either_costs_time_and_nothing_else(
    own_cluster: Cluster, cluster: Cluster, own_etcd: Etcd
) -> None:
    cluster.home = cluster.home.with_name("other")
    async with asyncio.TaskGroup() as group:
        group.create_task(without_api_server(own_cluster))
        group.create_task(without_etcd(cluster, own_etcd))
