"""
The jobs of one provider: read in the background, pushed to, and their owners woken by a change.

Adaptive: while a plugin hears of changes, jobs are read at the slow pace of a safety net; else many with one request
where the provider can do that; else one by one, in turn, at the rate that it allows. What is held back by an outage
waits at the door and goes on when the provider is back; it does not back off by itself.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Generic, Self, TypeVar

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
from airscrew.engine.errors import ExecutorError
from airscrew.plugins.webapi.breaker import LONGEST_PAUSE_SECONDS
from airscrew.plugins.webapi.decide import Watched, seen
from airscrew.plugins.webapi.door import Door
from airscrew.plugins.webapi.plugin import Limits, StateT, ViewT, WebApiPlugin
from airscrew.plugins.webapi.state import JobState

T = TypeVar("T")
AskT = TypeVar("AskT")

_BATCH_JITTER = 0.0  # batches are apart from one another by themselves, and the period is promised as the longest
_SINGLE_JITTER = 0.1


class Jobs(Generic[StateT, ViewT]):
    """
    What is known of a provider's jobs; open it with ``async with``.

    Args:
        name: Names it in metrics.
        plugin: Reads jobs; may be set up later, before the first job comes.
        door: Lets requests through.
        clock: The time.
        random: Where jitter comes from.
        wake: Push an attempt into the engine's queue.
    """

    def __init__(
        self,
        name: str,
        plugin: WebApiPlugin[StateT, ViewT],
        door: Door,
        *,
        clock: Clock,
        random: Random,
        wake: Callable[[str], None],
    ) -> None:
        self.is_listening = False
        self._name = name
        self._plugin = plugin
        self._door = door
        self._clock = clock
        self._heard_at: dict[str, float] = {}
        self._items: dict[str, str] = {}
        self._hurried: dict[str, None] = {}
        self._hurry = asyncio.Event()
        self._stack = AsyncExitStack()
        self._cache: AutoRefreshCache[Watched[StateT, ViewT]] = AutoRefreshCache(
            name,
            sync=self._sync,
            is_terminal=self.is_over,
            clock=clock,
            random=random,
            options=_options(plugin.limits),
            create_batches=None if plugin.limits.batch_size > 1 else single_item_batches,
            on_change=lambda item, _: wake(_key_of(item)),
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._cache)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            hurrying = group.create_task(self._run_hurried(), name=f"webapi {self._name}: pushed jobs")
            stack.callback(hurrying.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def cache(self) -> Measured:
        """What they are kept in."""
        return self._cache

    def look(self, key: str, state: StateT) -> Watched[StateT, ViewT]:
        """Return what was heard of a job last, and see to it that it is read from now on."""
        item = _item(key, state)
        self._items.setdefault(state.id, item)
        watched = self._cache.get(item)
        return watched if watched is not None else self._cache.get_or_create(item, self._watched(state))

    def is_settled(self, key: str, state: StateT) -> bool:
        """Tell whether the job would be visible by now if it existed."""
        watched = self._cache.get(_item(key, state)) or self._watched(state)
        return self._clock.monotonic() >= watched.settled_at

    def is_over(self, watched: Watched[StateT, ViewT]) -> bool:
        """Tell whether nothing more will be heard of a job."""
        return watched.is_gone or (watched.view is not None and self._plugin.is_over(watched.view))

    def trouble(self, key: str, state: StateT) -> str:
        """Say why a job is not heard of at the moment; empty when it is."""
        if self._door.trouble:
            return self._door.trouble
        status = self._cache.inspect(_item(key, state))
        return status.last_error if status and status.errors > 1 else ""

    def forget(self, key: str, state: StateT) -> None:
        """Read a job no more."""
        item = _item(key, state)
        self._items.pop(state.id, None)
        self._heard_at.pop(item, None)
        self._cache.delete_delayed(item)

    def changed(self, job_id: str, view: ViewT) -> bool:
        """Take what a plugin was told of a job; False when nobody waits for it."""
        item = self._items.get(job_id)
        watched = self._cache.get(item) if item is not None else None
        if item is None or watched is None:
            return False
        self._heard_at[item] = self._clock.monotonic()
        return self._cache.update(item, replace(watched, view=view, missing=0))

    def look_at(self, job_id: str) -> bool:
        """Read a job soon; False when nobody waits for it."""
        item = self._items.get(job_id)
        if item is None:
            return False
        self._hurried[item] = None
        self._hurry.set()
        return True

    def _watched(self, state: StateT) -> Watched[StateT, ViewT]:
        settle = self._plugin.limits.settle_seconds
        age = max(self._clock.now() - state.created_at, 0.0)
        return Watched(state, self._clock.monotonic() + max(settle - age, 0.0), visibility_seconds=settle)

    async def _run_hurried(self) -> None:
        """Read what plugins pointed at, as many at once as a request takes."""
        while True:
            await self._hurry.wait()
            items = list(self._hurried)[: self._plugin.limits.batch_size]
            for item in items:
                del self._hurried[item]
            if not self._hurried:
                self._hurry.clear()
            found = ((item, self._cache.get(item)) for item in items)
            batch = [BatchItem(item, watched) for item, watched in found if watched and not self.is_over(watched)]
            for result in await self._read_safely(batch):
                if isinstance(result, Updated):
                    self._cache.update(result.id, result.item)

    async def _read_safely(self, batch: Batch[Watched[StateT, ViewT]]) -> Sequence[SyncResult[Watched[StateT, ViewT]]]:
        try:
            return await self._read(batch) if batch else ()
        except Exception:  # noqa: BLE001 - the background read comes to these jobs in any case, and shows the trouble
            return ()

    async def _sync(self, batch: Batch[Watched[StateT, ViewT]]) -> Sequence[SyncResult[Watched[StateT, ViewT]]]:
        if self.is_listening and not self._is_any_stale(batch):
            return [Unchanged(item.id) for item in batch]
        return await self._read(batch)

    def _is_any_stale(self, batch: Batch[Watched[StateT, ViewT]]) -> bool:
        """Tell whether a job of a batch was heard of too long ago; the whole batch is then read, at no further cost."""
        since = self._clock.monotonic() - self._plugin.limits.pushed_period_seconds
        return any(self._heard_at.get(item.id, float("-inf")) < since for item in batch)

    async def _read(self, batch: Batch[Watched[StateT, ViewT]]) -> Sequence[SyncResult[Watched[StateT, ViewT]]]:
        if self._plugin.limits.batch_size == 1:
            return [await self._read_alone(item) for item in batch]
        async with self._door.reading_patiently():
            views = await self._limited(self._plugin.get_many, [item.item.state for item in batch])
        return [await self._answer(item, views.get(item.item.state.id)) for item in batch]

    async def _answer(
        self, item: BatchItem[Watched[StateT, ViewT]], view: ViewT | None
    ) -> SyncResult[Watched[StateT, ViewT]]:
        """Take a job's part of a list; one that is not listed is asked for by itself where that is possible."""
        if view is None and self._plugin.reads_single_jobs:
            return await self._read_alone(item)
        return self._updated(item, view)

    async def _read_alone(self, item: BatchItem[Watched[StateT, ViewT]]) -> SyncResult[Watched[StateT, ViewT]]:
        try:
            async with self._door.reading_patiently():
                view = await self._limited(self._plugin.get, item.item.state)
        except (ExecutorError, OSError) as error:
            return Failed(item.id, error)
        return self._updated(item, view)

    def _updated(
        self, item: BatchItem[Watched[StateT, ViewT]], view: ViewT | None
    ) -> SyncResult[Watched[StateT, ViewT]]:
        now = self._clock.monotonic()
        if self.is_listening:
            self._heard_at[item.id] = now
        watched = seen(item.item, view, now)
        return Unchanged(item.id) if watched is item.item else Updated(item.id, watched)

    async def _limited(self, ask: Callable[[AskT], Awaitable[T]], what: AskT) -> T:
        """Give a request no longer than it may take: a plugin's library may have no limit of its own."""
        async with asyncio.timeout(self._plugin.limits.timeout_seconds):
            return await ask(what)


def _item(key: str, state: JobState) -> str:
    """Name a job in the cache: an attempt may have two for a while, and what is heard of one is not of the other."""
    return f"{key} {state.id}"


def _key_of(item: str) -> str:
    return item.partition(" ")[0]


def _options(limits: Limits) -> CacheOptions:
    rate = limits.reads_per_second
    concurrency = limits.concurrency if rate is None else max(1, min(limits.concurrency, math.ceil(rate)))
    in_line = 0.0 if rate is None else concurrency / rate
    return CacheOptions(
        period_seconds=limits.period_seconds,
        batch_size=limits.batch_size,
        size=limits.size,
        concurrency=concurrency,
        deadline_seconds=2 * (limits.timeout_seconds + LONGEST_PAUSE_SECONDS) + in_line,
        jitter=_BATCH_JITTER if limits.batch_size > 1 else _SINGLE_JITTER,
        backoff_cap_seconds=LONGEST_PAUSE_SECONDS,
        sync_on_create=True,
    )
