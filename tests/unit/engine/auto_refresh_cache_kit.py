"""A fake job service that counts how it is asked, and a cache over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from airscrew.engine.cache import (
    AutoRefreshCache,
    Batch,
    CacheOptions,
    CreateBatches,
    Failed,
    SyncResult,
    Updated,
)
from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse

PERIOD = 10.0


@dataclass(frozen=True)
class Job:
    steps: int = 0
    last: int = 1_000_000


def is_finished(job: Job) -> bool:
    return job.steps >= job.last


class JobService:
    """Each question moves a job one step on; it notices when it is asked for one job twice at once."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, list[str]]] = []
        self.latency = 0.0
        self.down: BaseException | None = None
        self.bad: dict[str, Exception] = {}
        self.poison: set[str] = set()
        self.running: Counter[str] = Counter()
        self.most_at_once = 0

    async def sync(self, batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        ids = [item.id for item in batch]
        self.calls.append((now(), ids))
        self.running.update(ids)
        self.most_at_once = max(self.most_at_once, *self.running.values())
        try:
            await elapse(self.latency)
            if self.down is not None:
                raise self.down
            if self.poison & set(ids):
                raise ValueError("one of these jobs is unknown")
            return [self._answer(item.id, item.item) for item in batch]
        finally:
            self.running.subtract(ids)

    def _answer(self, item_id: str, job: Job) -> SyncResult[Job]:
        if item_id in self.bad:
            return Failed(item_id, self.bad[item_id])
        return Updated(item_id, replace(job, steps=job.steps + 1))

    def times_of(self, item_id: str) -> list[float]:
        return [time for time, ids in self.calls if item_id in ids]

    def count(self, item_id: str) -> int:
        return len(self.times_of(item_id))

    def sizes(self) -> list[int]:
        return [len(ids) for _, ids in self.calls]


class Changes(list[tuple[str, Job]]):
    """What ``on_change`` was told."""

    def __call__(self, item_id: str, job: Job) -> None:
        self.append((item_id, job))


def now() -> float:
    return LoopClock().monotonic()


def cache_of(
    service: JobService,
    *,
    on_change: Changes | None = None,
    create_batches: CreateBatches[Job] | None = None,
    random: Random | None = None,
    **options: float | bool | None,
) -> AutoRefreshCache[Job]:
    settings = {"period_seconds": PERIOD, "jitter": 0.0, "coalesce_seconds": 0.0} | options
    return AutoRefreshCache(
        "jobs",
        sync=service.sync,
        is_terminal=is_finished,
        clock=LoopClock(),
        random=random or Random(3),
        options=CacheOptions(**settings),
        create_batches=create_batches,
        on_change=on_change,
    )


def ids(count: int) -> list[str]:
    return [f"job{number:04}" for number in range(count)]
