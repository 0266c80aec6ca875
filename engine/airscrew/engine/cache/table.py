"""
The items of a cache and every rule about them; no task, no waiting.

Guarantees:

1. Terminal is final: neither an answer nor a push turns a terminal item back.
2. A push is newer than the answer to a question that was asked before it; only a terminal answer counts more.
3. Every live item is in the schedule, in a batch, or held until the running call for its id ends; none is
   ever lost from polling.
4. One sync per id at a time: an item that was evicted or deleted while a call asks for it, and is created
   anew, is held until that call ends, and the call's answer is not taken for it.
5. ``on_change`` is called after the new value can be read; what it raises is contained and counted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Generic

from airscrew.engine.cache.bounded import BoundedEntries
from airscrew.engine.cache.failures import Failures
from airscrew.engine.cache.flight import Flight, SyncError
from airscrew.engine.cache.items import Failed, ItemId, ItemT, SyncResult, Unchanged, Updated
from airscrew.engine.cache.options import CacheOptions
from airscrew.engine.cache.schedule import Entry, Schedule
from airscrew.engine.cache.statistics import Counters
from airscrew.engine.clock import Clock

_log = logging.getLogger("airscrew.cache")

_BREATH = 0.1  # the least pause between two syncs of an item, in periods, when a call takes longer than a period


class Table(Generic[ItemT]):
    """
    The items, their schedule and their failures.

    Args:
        options: The cache's options.
        is_terminal: Says whether a value is final.
        on_change: Called when a value has changed.
        on_due: Called with the time at which an item that was just scheduled is due.
        clock: The time.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        *,
        options: CacheOptions,
        is_terminal: Callable[[ItemT], bool],
        on_change: Callable[[ItemId, ItemT], None] | None,
        on_due: Callable[[float], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._options = options
        self._is_terminal = is_terminal
        self._on_change = on_change
        self._on_due = on_due
        self._clock = clock
        self._random = random
        self._doomed: dict[ItemId, Entry[ItemT]] = {}
        self.entries: BoundedEntries[ItemT] = BoundedEntries(options.size, self._on_evict)
        self.schedule: Schedule[ItemT] = Schedule(period_seconds=options.period_seconds, batch_size=options.batch_size)
        self.failures = Failures(options, random)
        self.counters = Counters()
        self.syncing: set[ItemId] = set()
        self.live_eviction_at = -math.inf

    def look(self, item_id: ItemId) -> Entry[ItemT] | None:
        """Find an item for its owner."""
        entry = self.entries.get(item_id)
        if entry is None:
            self.counters.misses += 1
        else:
            self.counters.hits += 1
        return entry

    def create(self, item_id: ItemId, item: ItemT) -> None:
        """Add an item that is not there."""
        entry = Entry(item_id, item, is_terminal=self._is_terminal(item), now=self._clock.monotonic())
        self.entries.put(entry)
        if item_id not in self.syncing:
            self._schedule_new(entry)

    def push(self, item_id: ItemId, item: ItemT) -> bool:
        """Take a value that is newer than the table's; say whether it was taken."""
        entry = self.entries.get(item_id)
        if entry is None:
            return False
        is_terminal = self._is_terminal(item)
        if entry.is_terminal and not is_terminal:
            self.counters.refused_pushes += 1
            return False
        now = self._clock.monotonic()
        self.counters.pushes += 1
        entry.version += 1
        self.schedule.put_off(entry, now + self._jittered_period())
        self._settle(entry, item, is_terminal, now)
        return True

    def doom(self, item_id: ItemId) -> bool:
        """Mark an item for the next sweep; say whether it was there."""
        entry = self.entries.get(item_id)
        if entry is None:
            return False
        self._doomed[item_id] = entry
        return True

    def sweep(self) -> None:
        """Drop what is marked and not asked for just now."""
        for item_id in [item_id for item_id in self._doomed if item_id not in self.syncing]:
            entry = self._doomed.pop(item_id)
            self._let_go(entry)
            self.entries.remove(entry)

    def depart(self, flight: Flight[ItemT]) -> None:
        """Note that a call begins."""
        self.counters.calls += 1
        self.syncing.update(entry.id for entry, _ in flight.entries)

    def arrive(self, flight: Flight[ItemT]) -> None:
        """Note that a call ended, whatever it told."""
        self.syncing.difference_update(entry.id for entry, _ in flight.entries)

    def land(self, flight: Flight[ItemT], outcome: Mapping[ItemId, SyncResult[ItemT]] | BaseException) -> None:
        """Take what a call told, and schedule its items anew."""
        now = self._clock.monotonic()
        spread = self._random.random()
        if isinstance(outcome, BaseException):
            self._take_failure(flight, outcome, now, spread)
        else:
            self.failures.last_success_at = now
            for entry, version in flight.entries:
                self._take_answer_safely(flight, entry, version, outcome.get(entry.id), spread)
        for entry, _ in flight.entries:
            successor = self.entries.peek(entry.id)
            if successor is not None and not successor.ticket:
                self._schedule_new(successor)

    def recover(self) -> None:
        """Schedule every live item that is neither scheduled nor asked for: after a fault, none may be lost."""
        due = self._clock.monotonic() + self._options.period_seconds
        for entry in self.entries.live():
            if not entry.ticket and entry.id not in self.syncing:
                self._schedule_at(entry, due)

    def refuse(self, entry: Entry[ItemT], error: BaseException) -> None:
        """Note that an item's sync failed before it began."""
        self._fail(entry, error, self._clock.monotonic(), None, of_batch=0)

    def _take_failure(self, flight: Flight[ItemT], error: BaseException, now: float, spread: float) -> None:
        self.counters.failed_calls += 1
        for entry, _ in flight.entries:
            self._fail(entry, error, now, spread, of_batch=len(flight.entries))

    def _take_answer_safely(
        self,
        flight: Flight[ItemT],
        entry: Entry[ItemT],
        version: int,
        answer: SyncResult[ItemT] | None,
        spread: float,
    ) -> None:
        try:
            error = self._take_answer(flight, entry, version, answer)
        except Exception as raised:  # noqa: BLE001 - a wall: around a cache sync batch; a bad value is its own item's failure
            error = raised
        if error is not None:
            self._fail(entry, error, self._clock.monotonic(), spread, of_batch=0)

    def _take_answer(
        self, flight: Flight[ItemT], entry: Entry[ItemT], version: int, answer: SyncResult[ItemT] | None
    ) -> BaseException | None:
        """Take the answer for one item; return what it failed with."""
        if not entry.is_alive or entry.is_terminal:
            self.counters.superseded += 1
            return None
        match answer:
            case Updated(item=item):
                is_terminal = self._is_terminal(item)
            case Unchanged():
                item, is_terminal = entry.item, False
            case Failed(error=error):
                return error
            case _:
                return SyncError("the sync function gave no answer for this item")
        self.counters.items_synced += 1
        self.failures.forgive(entry)
        self.schedule.add(entry, self._next_due(entry, flight))
        if version == entry.version or is_terminal:
            self._settle(entry, item, is_terminal, flight.started_at, is_news=isinstance(answer, Updated))
        else:
            self.counters.superseded += 1
        return None

    def _next_due(self, entry: Entry[ItemT], flight: Flight[ItemT]) -> float:
        known_at = max(entry.synced_at, flight.started_at)
        breath = self._clock.monotonic() + _BREATH * self._options.period_seconds
        return max(known_at + self._jittered_period(), breath)

    def _fail(
        self, entry: Entry[ItemT], error: BaseException, now: float, spread: float | None, *, of_batch: int
    ) -> None:
        if not entry.is_alive or entry.is_terminal:
            self.counters.superseded += 1
            return
        self.counters.sync_errors += 1
        wait = self.failures.record(entry, error, now=now, spread=spread, of_batch=of_batch)
        self._schedule_at(entry, now + wait)

    def _settle(self, entry: Entry[ItemT], item: ItemT, is_terminal: bool, at: float, *, is_news: bool = True) -> None:
        """Give an entry the value of a certain time, and tell its owner when it is another one."""
        has_changed = is_news and (item is entry.item or bool(item != entry.item))
        entry.item = item
        entry.is_terminal = is_terminal
        self.entries.renew(entry, at)
        if is_terminal:
            self._let_go(entry)
        if has_changed:
            self._tell(entry)

    def _tell(self, entry: Entry[ItemT]) -> None:
        self.counters.changes += 1
        if self._on_change is None:
            return
        try:
            self._on_change(entry.id, entry.item)
        except Exception:  # noqa: BLE001 - a wall: the owner's fault is not the item's
            self.counters.callback_errors += 1
            _log.exception("on_change failed", extra={"item_id": entry.id})

    def _on_evict(self, entry: Entry[ItemT]) -> None:
        self.counters.evictions += 1
        if not entry.is_terminal:
            self.counters.live_evictions += 1
            self.live_eviction_at = self._clock.monotonic()
        self._let_go(entry)

    def _let_go(self, entry: Entry[ItemT]) -> None:
        """Poll an entry no more."""
        self.schedule.remove(entry)
        self.failures.forget(entry)

    def _schedule_new(self, entry: Entry[ItemT]) -> None:
        if entry.is_terminal:
            return
        wait = self._options.coalesce_seconds if self._options.sync_on_create else self._jittered_period()
        self._schedule_at(entry, self._clock.monotonic() + wait)

    def _schedule_at(self, entry: Entry[ItemT], due: float) -> None:
        self.schedule.add(entry, due)
        self._on_due(due)

    def _jittered_period(self) -> float:
        return self._options.period_seconds * (1.0 + self._options.jitter * self._random.random())
