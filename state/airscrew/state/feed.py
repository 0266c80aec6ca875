"""
The feed that watches read from: recent writes in memory, older ones from the store's own history.

A watch is a cursor, not a queue. It pulls from the feed at its own pace, so a slow reader costs the writer
nothing and no memory: when the ring has moved on, the reader goes on in the history. Revisions follow one
another without gaps, and a batch always ends at the end of a revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from airscrew.state.errors import CompactedError, StoreUnavailableError
from airscrew.state.store import Event

Change = tuple[str, bytes | None]
"""A key and its new value, None when it was deleted."""

Older = Callable[[int, int, str, str], Sequence[Event]]
"""Reads the events from a revision up to and without another, of the keys from a start up to an end."""

_REVISIONS_PER_TURN = 512
_EVENTS_PER_BATCH = 1024


@dataclass(slots=True, eq=False)
class _Waiter:
    """A watch that has seen all there is, asleep until a key of its own is written."""

    start: str
    end: str
    position: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, first: int, revisions: Sequence[Sequence[Change]]) -> bool:
        """Tell whether it waits for one of these changes."""
        return any(
            self.start <= key < self.end for changes in revisions[max(0, self.position - first) :] for key, _ in changes
        )


class Feed:
    """
    All writes since the last compaction, in order.

    Attributes:
        revision: The newest revision that may be told.
        compacted: The newest revision that is compacted away.
    """

    def __init__(
        self,
        *,
        revision: int = 0,
        compacted: int = 0,
        older: Older | None = None,
        keep_revisions: int = 4096,
        keep_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """
        Begin after a revision.

        Args:
            revision: The newest revision so far.
            compacted: The newest revision that is compacted.
            older: Reads what is not in memory any more. Without it the ring keeps all until it is compacted.
            keep_revisions: About how many revisions stay in memory.
            keep_bytes: About how many bytes of values stay in memory.
        """
        self.revision = revision
        self.compacted = compacted
        self._older = older
        self._keep_revisions = keep_revisions
        self._keep_bytes = keep_bytes
        self._ring: list[Sequence[Change]] = []
        self._first = revision + 1
        self._bytes = 0
        self._waiters: dict[_Waiter, None] = {}  # a set would wake them in another order in every process
        self._closed = ""

    def publish(self, revisions: Sequence[Sequence[Change]]) -> None:
        """Tell the changes of the next revisions, one sequence of changes for each."""
        first = self.revision + 1
        self._ring.extend(revisions)
        self._bytes += _size(revisions)
        self.revision += len(revisions)
        for waiter in self._waiters:
            if waiter.wants(first, revisions):
                waiter.woken.set()
            elif not waiter.woken.is_set():
                waiter.position = max(waiter.position, self.revision + 1)
        if self._older is not None and (
            len(self._ring) > 2 * self._keep_revisions or self._bytes > 2 * self._keep_bytes
        ):
            self._trim()

    def compact(self, revision: int) -> None:
        """Refuse watches from this revision and before."""
        self.compacted = max(self.compacted, revision)
        if self._older is None and self._first <= revision:
            count = revision + 1 - self._first
            self._bytes -= _size(self._ring[:count])
            del self._ring[:count]
            self._first += count

    def reset(self, revision: int, compacted: int) -> None:
        """Begin anew after the store was reopened; what came meanwhile is read from the history."""
        self.revision = revision
        self.compacted = max(self.compacted, compacted)
        self._ring.clear()
        self._bytes = 0
        self._first = revision + 1
        self._wake_all()

    def close(self, reason: str) -> None:
        """End all watches with ``StoreUnavailableError``."""
        self._closed = reason
        self._wake_all()

    @property
    def size_bytes(self) -> int:
        """What the values in memory take."""
        return self._bytes

    async def watch(self, start: str, end: str, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Yield the matching events from a revision on; see ``Store.watch``."""
        position = from_revision
        while True:
            if self._closed:
                raise StoreUnavailableError(self._closed)
            if position <= self.compacted:
                raise CompactedError(position, self.compacted + 1)
            if position > self.revision:
                position = await self._wait(start, end, position)
                continue
            events, position = self._read(start, end, position)
            if events:
                yield events
            else:
                await asyncio.sleep(0)

    async def _wait(self, start: str, end: str, position: int) -> int:
        """Sleep until a matching key is written and return from where to read on."""
        waiter = _Waiter(start, end, position)
        self._waiters[waiter] = None
        try:
            await waiter.woken.wait()
        finally:
            self._waiters.pop(waiter, None)
        return waiter.position

    def _read(self, start: str, end: str, position: int) -> tuple[Sequence[Event], int]:
        """Read one bounded turn from a revision and return where the next one begins."""
        if position >= self._first:
            return self._recent(start, end, position)
        assert self._older is not None, "without a history the ring keeps all that is not compacted"
        stop = min(position + _REVISIONS_PER_TURN, self.revision + 1)
        return self._older(position, stop, start, end), stop

    def _recent(self, start: str, end: str, position: int) -> tuple[Sequence[Event], int]:
        events: list[Event] = []
        stop = min(position + _REVISIONS_PER_TURN, self.revision + 1)
        while position < stop and len(events) < _EVENTS_PER_BATCH:
            for key, value in self._ring[position - self._first]:
                if start <= key < end:
                    events.append(Event(key, value, position))
            position += 1
        return events, position

    def _trim(self) -> None:
        """Let go of the oldest half, seldom, so that it costs next to nothing per write."""
        count = 0
        while self._bytes > self._keep_bytes or len(self._ring) - count > self._keep_revisions:
            self._bytes -= _size(self._ring[count : count + 1])
            count += 1
        del self._ring[:count]
        self._first += count

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            waiter.woken.set()


def _size(revisions: Sequence[Sequence[Change]]) -> int:
    return sum(len(value) for changes in revisions for _, value in changes if value is not None)
