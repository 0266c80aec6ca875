"""How an engine stands, in numbers: an engine over a store in memory, looked at by its instruments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from tests.support.scripted import Count, Scripted
from tests.support.templates import echo_template

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.cache import AutoRefreshCache, Batch, Measured, SyncResult, Unchanged
from airscrew.engine.clock import SystemClock
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.executor import NotStarted, TaskContext, TaskStatus
from airscrew.engine.manager import open_engine
from airscrew.engine.metrics import Recorder
from airscrew.engine.metrics.names import METRICS
from airscrew.engine.registry import Registry
from airscrew.engine.vitals import Instruments, Vitals

Told = dict[tuple[str, tuple[str, ...]], float]


class Watching(Scripted):
    """An executor that keeps its jobs in a cache and watches them."""

    id = "watching"
    task_types = ("echo",)

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False
        self.cache: AutoRefreshCache[int] = AutoRefreshCache(
            "watching/jobs", sync=self.sync, is_terminal=lambda _: False, clock=SystemClock(), random=Random(1)
        )

    async def sync(self, batch: Batch[int]) -> list[SyncResult[int]]:
        return [Unchanged(item.id) for item in batch]

    async def start_task(self, context: TaskContext[Count], template: object) -> TaskStatus[Count] | NotStarted:
        self.cache.get_or_create(context.key, 1)
        return await super().start_task(context, template)

    def caches(self) -> Sequence[Measured]:
        if self.is_broken:
            raise RuntimeError("a defect of the executor's")
        return (self.cache,)

    def watches(self) -> Mapping[str, float]:
        return {"watching/jobs": 12.5}


@asynccontextmanager
async def engine(folder: Path, executor: Scripted) -> AsyncIterator[tuple[EngineApi, Instruments]]:
    registry = Registry()
    registry.register(executor)
    instruments = Instruments(vitals=Vitals(monotonic=time.monotonic), meters=Recorder())
    settings = EngineSettings(home=str(folder), store="memory:")
    everything = WorkScope.everything()
    async with open_engine(
        settings, work=everything, serve_socket=False, registry=registry, instruments=instruments
    ) as api:
        instruments.vitals.has_begun = True
        yield api, instruments
    await registry.close()


def told(instruments: Instruments) -> Told:
    return {(sample.metric.name, sample.labels): sample.value for sample in instruments.samples()}


async def until_running(api: EngineApi, name: str) -> None:
    async with asyncio.timeout(20):
        async for view in api.watch(name):
            if view.phase.title == "Running":
                return


async def until_told(instruments: Instruments, name: str) -> Told:
    """Look again and again, for 20 s at most."""
    async with asyncio.timeout(20):
        while True:
            found = told(instruments)
            if (name, ()) in found:
                return found
            await asyncio.sleep(0.01)


async def test_everything_is_told_of_an_engine_at_work(tmp_path: Path) -> None:
    executor = Watching()
    async with executor.cache, engine(tmp_path, executor) as (api, instruments):
        for name in ("a", "b"):
            await api.submit(SubmitRequest(name=name, template=echo_template().SerializeToString(), inputs=b""))
            await until_running(api, f"default/{name}")

        found = told(instruments)

    assert found["airscrew_executions", ("watching", "Running")] == 2
    assert found["airscrew_quarantined", ("watching",)] == 0
    assert found["airscrew_breaker_open", ("watching",)] == 0
    assert found["airscrew_loop_held_seconds_total", ("watching",)] > 0
    assert found["airscrew_cache_items", ("watching/jobs",)] == 2
    assert 0 <= found["airscrew_cache_age_seconds", ("watching/jobs",)] < 20
    assert found["airscrew_watch_age_seconds", ("watching/jobs",)] == 12.5
    assert found["airscrew_queue_adds_total", ()] >= 2
    assert found["airscrew_members", ()] == found["airscrew_leader", ()] == found["airscrew_store_up", ()] == 1
    assert found["airscrew_shards_held", ()] == 256
    labels = {metric.name: metric.labels for metric in METRICS}
    assert all(len(values) == len(labels[name]) for name, values in found)


async def test_an_executor_that_cannot_tell_is_left_out_and_the_rest_is_told(tmp_path: Path) -> None:
    executor = Watching()
    executor.is_broken = True
    async with executor.cache, engine(tmp_path, executor) as (api, instruments):
        await api.submit(SubmitRequest(name="a", template=echo_template().SerializeToString(), inputs=b""))
        await until_running(api, "default/a")

        found = told(instruments)

    assert not [name for name, _ in found if "cache" in name]
    assert found["airscrew_executions", ("watching", "Running")] == 1


async def test_the_store_is_timed_and_the_ledger_looked_at(tmp_path: Path) -> None:
    async with engine(tmp_path, Watching()) as (_, instruments):
        found = await until_told(instruments, "airscrew_leaks")
    recorder = instruments.meters
    assert isinstance(recorder, Recorder)
    operations = {labels for metric, labels in recorder.histograms if metric.name == "airscrew_store_seconds"}

    assert found["airscrew_leaks", ()] == 0
    assert operations == {("get",), ("range",), ("txn",)}


async def test_nothing_is_told_of_an_engine_that_is_over(tmp_path: Path) -> None:
    async with engine(tmp_path, Watching()) as (_, instruments):
        assert ("airscrew_queue_depth", ()) in told(instruments)

    assert ("airscrew_queue_depth", ()) not in told(instruments)
