"""
When items are due, and which of them share a call.

Guarantees:

1. An item is in the schedule at most once, and not at all while a batch has it.
2. A batch is only made when an item is due. It is then filled up with the items due next, except those synced
   within the last tenth of a period; so, whatever the moments at which items came, N of them cost ceil(N /
   batch size) calls a period, and none waits longer than its period for it.
3. Items that fail never share a batch with those that do not, and none of their batches is larger than their
   split limit.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Generic

from airscrew.engine.cache.items import BatchItem, ItemId, ItemT

EARLY = 0.9  # an item may be synced by this part of a period before it is due, when a call goes anyway
EARLY_RETRY = 0.1  # the same for one that fails: its backoff is not to be undone
ROUNDING = 1e-6  # a timer may fire this much before the time it was set for


class Entry(Generic[ItemT]):
    """
    An item, and what the cache knows about it.

    Attributes:
        id: Its name.
        item: Its value.
        version: Grows with each push, so that an answer that was asked for before it is known as such.
        due: When it is to be synced; meaningful while it is scheduled or in a batch.
        ticket: Its place in a heap; 0 when it is in none.
        synced_at: The time of which its value is certain.
        failed_at: When its last failed sync was noticed.
        errors: Failed syncs in a row.
        last_error: What the last of them said.
        split_limit: The largest batch that it may be tried in.
        is_terminal: Whether it is polled no more.
        is_alive: Whether the cache still holds it.
    """

    __slots__ = (
        "due",
        "errors",
        "failed_at",
        "id",
        "is_alive",
        "is_terminal",
        "item",
        "last_error",
        "split_limit",
        "synced_at",
        "ticket",
        "version",
    )

    def __init__(self, item_id: ItemId, item: ItemT, *, is_terminal: bool, now: float) -> None:
        self.id = item_id
        self.item = item
        self.version = 0
        self.due = now
        self.ticket = 0
        self.synced_at = now
        self.failed_at = -math.inf
        self.errors = 0
        self.last_error = ""
        self.split_limit: float = math.inf
        self.is_terminal = is_terminal
        self.is_alive = True

    def snapshot(self) -> BatchItem[ItemT]:
        """Return the item as a sync function is given it."""
        return BatchItem(self.id, self.item)


class _DueHeap(Generic[ItemT]):
    """Entries by due time; one that was removed or put off is found out when its old time comes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Entry[ItemT]]] = []

    def push(self, entry: Entry[ItemT], ticket: int) -> None:
        entry.ticket = ticket
        heapq.heappush(self._heap, (entry.due, ticket, entry))

    def next_due(self) -> float:
        """Return the earliest due time; infinity when there is none."""
        while self._heap:
            due, ticket, entry = self._heap[0]
            if entry.ticket != ticket:
                heapq.heappop(self._heap)
            elif entry.due > due:
                heapq.heapreplace(self._heap, (entry.due, ticket, entry))
            else:
                return due
        return math.inf

    def pop(self, until: float) -> Entry[ItemT] | None:
        """Take the entry that is due first, if it is due by then."""
        if self.next_due() > until:
            return None
        entry = heapq.heappop(self._heap)[2]
        entry.ticket = 0
        return entry

    def pop_all(self, until: float) -> Iterator[Entry[ItemT]]:
        """Take all entries due by then, the longest due first."""
        while (entry := self.pop(until)) is not None:
            yield entry


class Schedule(Generic[ItemT]):
    """
    The entries that wait for their sync; see the module's guarantees.

    Args:
        period_seconds: The period.
        batch_size: The largest batch that ``take_batch`` makes.
    """

    def __init__(self, *, period_seconds: float, batch_size: int) -> None:
        self._batch_size = batch_size
        self._sound: _DueHeap[ItemT] = _DueHeap()
        self._failing: _DueHeap[ItemT] = _DueHeap()
        self._reach = {self._sound: EARLY * period_seconds, self._failing: EARLY_RETRY * period_seconds}
        self._last_ticket = 0

    def add(self, entry: Entry[ItemT], due: float) -> None:
        """Put an entry in, or move it to another time."""
        entry.due = due
        self._last_ticket += 1
        self._heap_of(entry).push(entry, self._last_ticket)

    def put_off(self, entry: Entry[ItemT], due: float) -> None:
        """Let a scheduled entry wait until then at least."""
        if entry.ticket:
            entry.due = max(entry.due, due)

    def remove(self, entry: Entry[ItemT]) -> None:
        """Take an entry out; nothing happens when it is not in."""
        entry.ticket = 0

    def next_due(self) -> float:
        """Return when the next entry is due; infinity when there is none."""
        return min(self._sound.next_due(), self._failing.next_due())

    def take_batch(self, now: float) -> list[Entry[ItemT]]:
        """Take one batch with an entry that is due, filled up; empty when none is due."""
        heap = min(self._sound, self._failing, key=lambda heap: heap.next_due())
        batch: list[Entry[ItemT]] = []
        if heap.next_due() > now + ROUNDING:
            return batch
        limit: float = self._batch_size
        while len(batch) < limit and (entry := heap.pop(now + self._reach[heap])) is not None:
            limit = min(limit, entry.split_limit)
            if len(batch) >= limit:
                self.add(entry, entry.due)
                break
            batch.append(entry)
        return batch

    def take_groups(self, now: float) -> list[list[Entry[ItemT]]]:
        """Take all that may share calls now, for somebody else to make batches of; those that fail apart."""
        return [
            list(heap.pop_all(now + reach)) for heap, reach in self._reach.items() if heap.next_due() <= now + ROUNDING
        ]

    def _heap_of(self, entry: Entry[ItemT]) -> _DueHeap[ItemT]:
        return self._failing if entry.errors else self._sound
