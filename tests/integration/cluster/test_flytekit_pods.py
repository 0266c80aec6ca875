"""Real flytekit tasks as Pods of real kubelets, their data on S3: the main job on a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster_tasks import flytekit_task, integers, site_manifests
from tests.support.leaks import nothing_is_left
from tests.support.object_stores import ObjectStore, start_s3

from airscrew.engine.api.model import ExecutionView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.manager import open_engine
from airscrew.engine.testing.cluster.cluster import Cluster
from airscrew.idl.phase import Phase


@pytest.fixture(scope="module")
def s3(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 that Pods reach."""
    store = start_s3(tmp_path_factory.mktemp("s3") / "s3", cluster.network.host)
    try:
        store.start()
        yield store
    finally:
        store.stop()


@dataclass
class Site:
    """A namespace in which flytekit tasks can run, and an engine over it."""

    cluster: Cluster
    namespace: str
    store: ObjectStore
    image: str
    home: Path

    def prepare(self) -> None:
        """Put the code and the way to S3 where Pods find them."""
        for manifest in site_manifests(self.store):
            self.cluster.apply(manifest, self.namespace)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[EngineApi]:
        config = {
            "kubeconfig": str(self.cluster.kubeconfig),
            "pod_template": "code",
            "default_env_from_secrets": ["s3"],
            "image_pull_policy": "IfNotPresent",
        }
        settings = EngineSettings(
            home=str(self.home), data_prefix=f"{self.store.base}/{self.namespace}", executors={"pod": config}
        )
        async with open_engine(settings, work=WorkScope.everything(), serve_socket=False) as api:
            yield api

    async def submit(self, api: EngineApi, name: str, task: str, **inputs: int) -> str:
        request = SubmitRequest(
            namespace=self.namespace,
            name=name,
            template=flytekit_task(task),
            wire="flyte1",
            inputs=integers(**inputs),
            overrides={"container_image": self.image},
        )
        return (await api.submit(request)).execution

    async def is_empty(self) -> None:
        """Wait until no Pod is left: a success shows before its Pod is deleted."""
        asked = ("get", "pods", "-n", self.namespace, "-o", "json")
        async with asyncio.timeout(60):
            while json.loads(await asyncio.to_thread(self.cluster.kubectl, *asked))["items"]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def end_of(api: EngineApi, name: str, seconds: float = 60.0) -> ExecutionView:
    """Follow an execution to its end."""
    last: ExecutionView | None = None
    try:
        async with asyncio.timeout(seconds):
            async for view in api.watch(name):
                last = view
                if view.phase.is_terminal:
                    return view
    except TimeoutError:
        pass
    raise AssertionError(f"{name} did not end in {seconds:.0f} s: {last}")


@pytest.fixture
def site(
    cluster: Cluster,
    cluster_namespace: str,
    airscrew_image: str,
    s3: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    site = Site(cluster, cluster_namespace, s3, airscrew_image, tmp_path / "home")
    site.prepare()
    return site


async def test_flytekit_tasks_run_as_pods_to_their_outputs_and_leave_none(site: Site) -> None:
    async with site.engine() as api:
        names = [await site.submit(api, f"add-{number}", "add_one", x=number) for number in range(4)]
        for number, name in enumerate(names):
            view = await end_of(api, name)
            assert view.phase is Phase.SUCCESS, view
            assert (await api.outputs(name)).values == {"o0": number + 1}
        await site.is_empty()
        await nothing_is_left(api)


async def test_an_exception_of_the_user_is_told_as_the_users(site: Site) -> None:
    async with site.engine() as api:
        view = await end_of(api, await site.submit(api, "refused", "refuse", x=3))

        assert view.phase.is_failure
        assert view.error is not None
        assert "3 is not wanted" in view.error.message
        await site.is_empty()
