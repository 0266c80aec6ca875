"""
AutoRefreshCache: keeps what is known of outside jobs fresh, in batches, in the background.

Guarantees:

1. Each item that is not terminal is synced about once per period, by batches: N items cost ceil(N / batch
   size) calls a period. An item that fails backs off alone; a call that fails backs its items off and splits
   them, so that a bad item ends up alone.
2. One sync per item at a time, however slow it is, and across eviction, deletion and creation anew.
3. Terminal is final: a terminal item is polled no more, and neither an answer nor a push turns it back.
4. A push (``update``) is newer than the answer of a call that began before it, and puts the item's next sync
   off by a period.
5. ``on_change`` is called for each change of a value, once it can be read, and for nothing else.
6. The loop and the calls survive whatever sync, ``create_batches``, ``is_terminal`` and ``on_change`` raise;
   a call that hangs is cancelled at its deadline. What goes wrong is counted, and ``statistics().trouble``
   says it.
7. Bounded: no more than ``size`` items. Finished ones leave first. An item that had to leave comes back, and
   is polled again, when its owner looks with ``get_or_create``.
8. Nothing runs before ``async with`` or after it.

All calls are made on the loop's thread and, ``async with`` apart, none waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from random import Random
from types import TracebackType
from typing import Generic, Self

from airscrew.engine.cache.backlog import Backlog
from airscrew.engine.cache.failures import describe
from airscrew.engine.cache.flight import Flight
from airscrew.engine.cache.items import CreateBatches, ItemId, ItemT, SyncFunc
from airscrew.engine.cache.options import CacheOptions
from airscrew.engine.cache.schedule import ROUNDING
from airscrew.engine.cache.statistics import CacheStatistics, ItemStatus
from airscrew.engine.cache.table import Table
from airscrew.engine.clock import Clock
from airscrew.engine.ratelimit import TokenBucket

_log = logging.getLogger("airscrew.cache")

_STUBBORN_SECONDS = 5.0  # how long a cancelled sync call may clean up before it is cancelled again
_TROUBLING_FAILURES = 3  # so many failed calls in a row are trouble; one or two happen
_TROUBLING_DEADLINES = 1.5  # a call that runs for so many deadlines ignores its own
_TROUBLING_LAG = 2.0  # periods that an item may wait for its sync to begin
_EVICTION_MEMORY = 10.0  # periods for which the eviction of a live item is trouble


class AutoRefreshCache(Generic[ItemT]):
    """
    A cache that keeps its items fresh; see the module's guarantees.

    Args:
        name: Names it in logs, tasks and metrics.
        sync: Asks the outside how a batch of items stands.
        is_terminal: Says whether a value is final. Pure.
        clock: The time; its monotonic time must run with the loop's.
        random: Where jitter comes from.
        options: How it is set up.
        create_batches: Makes the batches; None fills batches of ``options.batch_size``.
        on_change: Called with the id and the new value when a value has changed. Must not wait.
    """

    def __init__(
        self,
        name: str,
        *,
        sync: SyncFunc[ItemT],
        is_terminal: Callable[[ItemT], bool],
        clock: Clock,
        random: Random,
        options: CacheOptions | None = None,
        create_batches: CreateBatches[ItemT] | None = None,
        on_change: Callable[[ItemId, ItemT], None] | None = None,
    ) -> None:
        self._name = name
        self._sync = sync
        self._clock = clock
        self._options = options = options or CacheOptions()
        self._table: Table[ItemT] = Table(
            options=options,
            is_terminal=is_terminal,
            on_change=on_change,
            on_due=self._wake_by,
            clock=clock,
            random=random,
        )
        self._backlog = Backlog(self._table.schedule, create_batches, self._table.refuse)
        rate = options.calls_per_second
        self._bucket = TokenBucket(rate=rate, burst=options.call_burst) if rate is not None else None
        self._flights: set[Flight[ItemT]] = set()
        self._wake = asyncio.Event()
        self._sleeps_until = -math.inf
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._needs_recovery = False
        self._failed_in_a_row = 0
        self._last_call_seconds = 0.0

    async def __aenter__(self) -> Self:
        """Begin to sync; left by the task that entered it."""
        self._needs_recovery = True
        self._group = await asyncio.TaskGroup().__aenter__()
        self._loop = self._spawn(self._run(), f"cache {self._name}: loop")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the loop and all calls; one that ignores its cancellation is cancelled again and again."""
        assert self._group is not None
        try:
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks, timeout=_STUBBORN_SECONDS)
        finally:
            self._flights.clear()
            self._table.syncing.clear()
            await self._group.__aexit__(None, None, None)

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    def get(self, item_id: ItemId) -> ItemT | None:
        """Return an item's value as it was last seen; None when the cache does not hold it."""
        entry = self._table.look(item_id)
        return None if entry is None else entry.item

    def get_or_create(self, item_id: ItemId, item: ItemT) -> ItemT:
        """
        Return an item's value as it was last seen; an unknown item is added as given, and polled from now on.

        Idempotent by the id. An owner calls it at each look, with the value that it has persisted: so an item
        that was evicted, or lost with the process, comes back.
        """
        entry = self._table.look(item_id)
        if entry is not None:
            return entry.item
        self._table.create(item_id, item)
        return item

    def update(self, item_id: ItemId, item: ItemT) -> bool:
        """
        Push a value that is newer than the cache's, as a watch event; the next sync is put off by a period.

        Returns:
            Whether it was taken: False when the cache does not hold the item, or it would turn a terminal one
            back.
        """
        return self._table.push(item_id, item)

    def delete_delayed(self, item_id: ItemId) -> bool:
        """
        Drop an item at the loop's next turn, after a running sync of it; until then it can still be read.

        Returns:
            Whether the cache held it.
        """
        self._wake.set()
        return self._table.doom(item_id)

    def inspect(self, item_id: ItemId) -> ItemStatus | None:
        """Tell how one item stands, without this counting as a look; None when the cache does not hold it."""
        entry = self._table.entries.peek(item_id)
        if entry is None:
            return None
        return ItemStatus(
            age_seconds=max(0.0, self._clock.monotonic() - entry.synced_at),
            errors=entry.errors,
            last_error=entry.last_error,
            is_terminal=entry.is_terminal,
            is_syncing=item_id in self._table.syncing,
        )

    def __contains__(self, item_id: ItemId) -> bool:
        """Say whether the cache holds an item, without this counting as a look."""
        return item_id in self._table.entries

    def __len__(self) -> int:
        """Return how many items the cache holds."""
        return len(self._table.entries)

    def statistics(self) -> CacheStatistics:
        """Tell how the cache stands, and what troubles it."""
        now = self._clock.monotonic()
        entries = self._table.entries
        oldest = entries.oldest()
        lag = max(0.0, now - self._backlog.next_due())
        longest = max((now - flight.started_at for flight in self._flights), default=0.0)
        return CacheStatistics(
            size=len(entries),
            live=entries.live_count(),
            syncing=len(self._table.syncing),
            running_calls=len(self._flights),
            max_age_seconds=max(0.0, now - oldest.synced_at) if oldest is not None else 0.0,
            lag_seconds=lag,
            longest_call_seconds=longest,
            last_call_seconds=self._last_call_seconds,
            errors_by_item=self._table.failures.by_item(),
            last_error=self._table.failures.last_error,
            trouble=self._trouble(now, lag, longest),
            batches=self._backlog.made,
            **asdict(self._table.counters),
        )

    def _trouble(self, now: float, lag: float, longest: float) -> str:
        options = self._options
        if self._loop is None or self._loop.done():
            return "the cache is not running"
        if longest > _TROUBLING_DEADLINES * options.deadline_seconds:
            return f"a sync call has run for {longest:.0f} s and ignores its deadline of {options.deadline_seconds:g} s"
        if self._failed_in_a_row >= _TROUBLING_FAILURES:
            return f"the last {self._failed_in_a_row} sync calls failed: {self._table.failures.last_error}"
        if lag > _TROUBLING_LAG * options.period_seconds:
            return f"items wait {lag:.0f} s for their sync: raise concurrency, batch_size or calls_per_second"
        if now - self._table.live_eviction_at < _EVICTION_MEMORY * options.period_seconds:
            return f"items that were still polled had to leave: raise size, now {options.size}"
        return ""

    def _wake_by(self, due: float) -> None:
        if due < self._sleeps_until:
            self._wake.set()

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> None:
        """Turn for ever; a turn that fails is counted and the next one comes a little later."""
        while True:
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001 - a wall: around a loop's turn, which must not end the polling
                self._note_loop_error(error)
                await asyncio.sleep(min(1.0, self._options.period_seconds))

    async def _turn(self) -> None:
        """Begin all calls that are due and allowed, then sleep until more can be."""
        self._wake.clear()
        if self._needs_recovery:
            self._table.recover()
            self._needs_recovery = False
        self._table.sweep()
        seconds = self._begin_calls()
        self._sleeps_until = self._clock.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self._sleeps_until = -math.inf

    def _begin_calls(self) -> float:
        """Begin calls while some are due and allowed; return in how many seconds to look again at the latest."""
        while len(self._flights) < self._options.concurrency:
            now = self._clock.monotonic()
            wait = self._backlog.next_due() - now
            if wait <= ROUNDING and self._bucket is not None:
                wait = self._bucket.seconds_until_token(now)
            if wait > ROUNDING:
                return wait
            self._begin_call(now)
        return math.inf  # the end of a call wakes the loop

    def _begin_call(self, now: float) -> None:
        entries = self._backlog.take(now)
        if not entries:
            return
        if self._bucket is not None:
            self._bucket.try_take(now)
        flight = Flight(entries, now)
        self._flights.add(flight)
        self._table.depart(flight)
        self._spawn(self._fly(flight), f"cache {self._name}: sync of {len(entries)}")

    async def _fly(self, flight: Flight[ItemT]) -> None:
        """Make one call and take what it tells."""
        try:
            outcome = await flight.ask(self._sync, self._options.deadline_seconds)
        finally:
            self._flights.discard(flight)
            self._table.arrive(flight)
            self._wake.set()
        self._last_call_seconds = self._clock.monotonic() - flight.started_at
        if isinstance(outcome, BaseException):
            self._failed_in_a_row += 1
            self._note_failed_call(flight, outcome)
        else:
            self._failed_in_a_row = 0
        try:
            self._table.land(flight, outcome)
        except Exception as error:  # noqa: BLE001 - a wall: around a cache sync batch
            self._note_loop_error(error)

    def _note_failed_call(self, flight: Flight[ItemT], error: BaseException) -> None:
        level = logging.WARNING if self._failed_in_a_row == 1 else logging.DEBUG
        details = {"cache": self._name, "items": len(flight.batch), "error": describe(error)}
        _log.log(level, "sync call failed", extra=details)

    def _note_loop_error(self, error: Exception) -> None:
        self._table.counters.loop_errors += 1
        self._needs_recovery = True
        self._wake.set()
        self._table.failures.last_error = describe(error)
        _log.error("cache loop failed", exc_info=error, extra={"cache": self._name})
