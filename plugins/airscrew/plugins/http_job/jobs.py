"""
The jobs of one service: read in batches in the background, and whoever owns a job that changed is woken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Self

from airscrew.engine.cache import (
    AutoRefreshCache,
    Batch,
    BatchItem,
    CacheOptions,
    Failed,
    Measured,
    SyncResult,
    Unchanged,
    Updated,
    single_item_batches,
)
from airscrew.engine.clock import Clock
from airscrew.plugins.http_job.client import ServiceClient
from airscrew.plugins.http_job.decide import Rules
from airscrew.plugins.http_job.replies import HttpJobError, JobView
from airscrew.plugins.http_job.state import HttpJobState

READS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Watched:
    """
    A job that is read again and again.

    Attributes:
        job_id: Its id at the service.
        settled_at: Before this monotonic time its absence means nothing.
        view: What the service said last.
    """

    job_id: str
    settled_at: float
    view: JobView = field(default_factory=JobView)


class ServiceJobs:
    """
    What one service's jobs need; open it with ``async with``.

    Attributes:
        rules: What the configuration says of the service.
        client: Talks to it.
    """

    def __init__(
        self,
        rules: Rules,
        client: ServiceClient,
        *,
        clock: Clock,
        random: Random,
        size: int,
        wake: Callable[[str], None],
    ) -> None:
        self.rules = rules
        self.client = client
        self._clock = clock
        many = rules.service.get_many
        self._cache: AutoRefreshCache[Watched] = AutoRefreshCache(
            f"http_job/{rules.name}",
            sync=self._sync,
            is_terminal=lambda watched: rules.is_terminal(watched.view),
            clock=clock,
            random=random,
            options=CacheOptions(
                period_seconds=rules.service.interval,
                batch_size=many.batch if many else 1,
                size=size,
                concurrency=READS_AT_ONCE,
                deadline_seconds=rules.service.timeout * 2,
                sync_on_create=True,
            ),
            create_batches=None if many else single_item_batches,
            on_change=lambda key, _: wake(key),
        )

    async def __aenter__(self) -> Self:
        await self._cache.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cache.__aexit__(kind, error, trace)

    @property
    def cache(self) -> Measured:
        """What they are kept in."""
        return self._cache

    def look(self, key: str, state: HttpJobState) -> JobView:
        """Return what was heard of a job last, and see to it that it is read from now on."""
        return self._cache.get_or_create(key, self._watched(state)).view

    def is_settled(self, key: str, state: HttpJobState) -> bool:
        """Tell whether the job would be visible by now if it existed."""
        return self._clock.monotonic() >= self._cache.get_or_create(key, self._watched(state)).settled_at

    def trouble(self, key: str) -> str:
        """Say why a job is not heard of at the moment; empty when it is."""
        status = self._cache.inspect(key)
        return status.last_error if status and status.errors > 1 else ""

    def forget(self, key: str) -> None:
        """Read a job no more."""
        self._cache.delete_delayed(key)

    def _watched(self, state: HttpJobState) -> Watched:
        settle = self.rules.service.settle
        age = max(self._clock.now() - state.created_at, 0.0)
        return Watched(state.id, self._clock.monotonic() + max(settle - age, 0.0))

    async def _sync(self, batch: Batch[Watched]) -> list[SyncResult[Watched]]:
        if self.rules.service.get_many is None:
            return [await self._sync_alone(item) for item in batch]
        views = await self.client.read_many([item.item.job_id for item in batch])
        return [await self._answer(item, views.get(item.item.job_id)) for item in batch]

    async def _sync_alone(self, item: BatchItem[Watched]) -> SyncResult[Watched]:
        try:
            return self._updated(item, await self.client.read(item.item.job_id))
        except (HttpJobError, OSError) as error:
            return Failed(item.id, error)

    async def _answer(self, item: BatchItem[Watched], view: JobView | None) -> SyncResult[Watched]:
        """Take a job's part of a list; one that is not listed is asked for by itself where that is possible."""
        if view is None and self.rules.service.get is not None:
            return await self._sync_alone(item)
        return self._updated(item, view)

    def _updated(self, item: BatchItem[Watched], view: JobView | None) -> SyncResult[Watched]:
        if view is not None:
            return Updated(item.id, replace(item.item, view=view))
        if self._clock.monotonic() < item.item.settled_at:
            return Unchanged(item.id)
        before = item.item.view
        return Updated(item.id, replace(item.item, view=replace(before, missing=before.missing + 1)))
