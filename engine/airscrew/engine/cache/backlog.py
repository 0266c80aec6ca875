"""
Batches that are made and wait for their call.

Guarantees:

1. An item stands in at most one batch, whatever ``create_batches`` returns, and comes out of here in exactly
   one way: in a batch, back in the schedule, or refused as failed.
2. An item that has become terminal, was deleted or was scheduled anew while its batch waited is no longer
   part of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic

from airscrew.engine.cache.items import CreateBatches, ItemT
from airscrew.engine.cache.schedule import ROUNDING, Entry, Schedule

Refuse = Callable[[Entry[ItemT], Exception], None]


class Backlog(Generic[ItemT]):
    """
    Makes batches of what is due.

    Args:
        schedule: Where the items come from.
        create_batches: Makes the batches; None fills them up to the schedule's size, which costs less.
        refuse: Called with an item that ``create_batches`` raised for or left out.
    """

    def __init__(
        self, schedule: Schedule[ItemT], create_batches: CreateBatches[ItemT] | None, refuse: Refuse[ItemT]
    ) -> None:
        self._schedule = schedule
        self._create_batches = create_batches
        self._refuse = refuse
        self._batches: deque[tuple[float, list[Entry[ItemT]]]] = deque()  # with when they were due
        self.made = 0

    def next_due(self) -> float:
        """Return since or from when a batch can be had; infinity when there is nothing."""
        waiting = self._batches[0][0] if self._batches else math.inf
        return min(waiting, self._schedule.next_due())

    def take(self, now: float) -> list[Entry[ItemT]]:
        """Take the next batch; empty when none is due."""
        if not self._batches:
            self._fill(now)
        if not self._batches:
            return []
        return [entry for entry in self._batches.popleft()[1] if _is_wanted(entry)]

    def _fill(self, now: float) -> None:
        if self._create_batches is None:
            self._append(self._schedule.take_batch(now))
            return
        for group in self._schedule.take_groups(now):
            for batch in self._group(group, self._create_batches):
                if any(entry.due <= now + ROUNDING for entry in batch):
                    for part in _split(batch):
                        self._append(part)
                else:
                    self._give_back(batch)

    def _append(self, batch: list[Entry[ItemT]]) -> None:
        if batch:
            self._batches.append((min(entry.due for entry in batch), batch))
            self.made += 1

    def _group(self, group: list[Entry[ItemT]], create_batches: CreateBatches[ItemT]) -> list[list[Entry[ItemT]]]:
        left = {entry.id: entry for entry in group}
        try:
            made = create_batches([entry.snapshot() for entry in group])
            batches = [[left.pop(item.id) for item in batch if item.id in left] for batch in made]
        except Exception as error:  # noqa: BLE001 - a wall: around a cache sync batch, here around the making of it
            for entry in group:
                self._refuse(entry, error)
            return []
        for entry in left.values():
            self._refuse(entry, ValueError("create_batches left this item out"))
        return batches

    def _give_back(self, batch: Iterable[Entry[ItemT]]) -> None:
        for entry in batch:
            self._schedule.add(entry, entry.due)


def _is_wanted(entry: Entry[ItemT]) -> bool:
    return entry.is_alive and not entry.is_terminal and not entry.ticket


def _split(batch: list[Entry[ItemT]]) -> Iterator[list[Entry[ItemT]]]:
    limit = int(min(len(batch) or 1, *(entry.split_limit for entry in batch)))
    for start in range(0, len(batch), limit):
        yield batch[start : start + limit]
