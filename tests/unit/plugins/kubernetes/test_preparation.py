"""What a task needs cannot be placed: nothing has been asked of the cluster then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.played_api import PlayedApi
from tests.support.pods import task

from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.plugins.kubernetes.api.connection import ClusterConfig, Connection
from airscrew.plugins.kubernetes.executor import KubernetesExecutor
from airscrew.plugins.kubernetes.plugin import Built
from airscrew.plugins.kubernetes.pod.plugin import PodPlugin
from airscrew.plugins.kubernetes.pod_view import PodView


class AwayPlugin(PodPlugin):
    async def build(self, context: Any, template: Any, cluster: Any) -> Built:
        raise StorageUnavailableError("the storage does not answer, on purpose")


async def test_what_cannot_be_prepared_has_certainly_not_started() -> None:
    api = PlayedApi()

    @asynccontextmanager
    async def connect(_config: ClusterConfig) -> AsyncIterator[Connection]:
        yield api

    class AwayExecutor(KubernetesExecutor[PodView]):
        id, task_types = PodPlugin.id, PodPlugin.task_types

        def __init__(self) -> None:
            super().__init__(AwayPlugin(), connect)

    async with ExecutorEnvironment(AwayExecutor) as environment:
        answer = await environment.attempt(task(task_type="container"), namespace="default").start()

    assert isinstance(answer, NotStarted)
    assert "the storage does not answer" in answer.reason
    assert "POST" not in api.counts
