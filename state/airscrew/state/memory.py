"""
The store in memory, for tests and simulation.

It keeps all guarantees of the port but durability, which here means: for as long as the object lives.
Nothing runs beside the loop, and the same calls always give the same answers. Leases
end by the clock that is passed in, when the store is next asked or by a timer of the loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import final

from airscrew.state.errors import LeaseOverError
from airscrew.state.feed import Change, Feed
from airscrew.state.leases import LeaseBook, LeaseTimer
from airscrew.state.limits import check_key, check_range, check_transaction
from airscrew.state.store import (
    ANY,
    MAX_PAGE_BYTES,
    Compare,
    Delete,
    DeleteRange,
    Event,
    KeyValue,
    Operation,
    Page,
    Put,
    StoreStatus,
    TxnResult,
)


@final
class MemoryStore:
    """A ``LeaseStore`` that forgets all when it goes; use it as it is, or with ``urls.open_store``."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic, keep_revisions: int = 100_000) -> None:
        """
        Begin empty.

        Args:
            now: The clock that leases end by, in seconds.
            keep_revisions: How much history to keep at least; older revisions are compacted by and by.
        """
        self._rows: dict[str, KeyValue] = {}
        self._keys: list[str] = []
        self._feed = Feed()
        self._keep_revisions = keep_revisions
        self._book = LeaseBook(now)
        self._timer = LeaseTimer(self._book, self._expire)
        self._last_lease = 0

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        check_key(key)
        self._expire()
        return self._rows.get(key)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read a range of keys."""
        check_range(start, end, limit)
        self._expire()
        keys = self._span(start, end)
        items: list[KeyValue] = []
        size = 0
        for key in keys[:limit]:
            if size >= MAX_PAGE_BYTES:
                break
            row = self._rows[key]
            size += len(row.value)
            items.append(row)
        return Page(items, self._feed.revision, more=len(items) < len(keys))

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make all the writes if all the compares hold, else none."""
        check_transaction(compares, operations)
        await asyncio.sleep(0)  # a call that is cancelled here has not happened
        result = self._judge(compares, operations)
        await asyncio.sleep(0)  # and one that is cancelled here has
        return result

    def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Tell the writes from a revision on."""
        return self._feed.watch(start, end, from_revision)

    async def compact(self, revision: int) -> None:
        """Forget the history up to and with a revision, or the newest one when that is older."""
        self._feed.compact(min(revision, self._feed.revision))

    async def status(self) -> StoreStatus:
        """Tell how the store stands; the sizes are estimates."""
        self._expire()
        size = self._feed.size_bytes + sum(
            sys.getsizeof(key) + sys.getsizeof(row.value) for key, row in self._rows.items()
        )
        return StoreStatus(
            revision=self._feed.revision,
            compacted=self._feed.compacted,
            size_bytes=size,
            in_use_bytes=size,
            description="memory:",
        )

    async def grant_lease(self, seconds: float) -> int:
        """Begin a lease."""
        self._last_lease += 1
        self._book.begin(self._last_lease, seconds)
        self._timer.arm()
        return self._last_lease

    async def keep_alive(self, lease: int) -> float:
        """Begin a lease's time anew."""
        self._expire()
        return self._book.keep_alive(lease)

    async def revoke_lease(self, lease: int) -> None:
        """End a lease and delete its keys."""
        self._expire()
        if lease not in self._book:
            raise LeaseOverError(lease)
        self._end([lease])

    def close(self) -> None:
        """Stop the timer and end all watches; what is kept stays."""
        self._timer.cancel()
        self._feed.close("the store in memory was closed")

    def _judge(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        self._expire()
        if not all(map(self._holds, compares)):
            return TxnResult(False, self._feed.revision)
        for operation in operations:
            if type(operation) is Put and operation.lease and operation.lease not in self._book:
                raise LeaseOverError(operation.lease)
        self._apply(operations)
        return TxnResult(True, self._feed.revision)

    def _expire(self) -> None:
        if self._book.next_due != float("inf") and self._book.seconds_left() == 0:
            self._end(self._book.due())

    def _end(self, leases: Iterable[int]) -> None:
        for lease in leases:
            self._book.end(lease)
            self._apply([Delete(key) for key in self._keys if self._rows[key].lease == lease])

    def _holds(self, compare: Compare) -> bool:
        row = self._rows.get(compare.key)
        if compare.mod_revision == ANY:
            return row is not None
        return (row.mod_revision if row is not None else 0) == compare.mod_revision

    def _apply(self, operations: Iterable[Operation]) -> None:
        """Make the writes at the next revision, if they change anything."""
        revision = self._feed.revision + 1
        changes: list[Change] = []
        for operation in operations:
            match operation:
                case Put():
                    self._put(operation, revision)
                    changes.append((operation.key, operation.value))
                case Delete(key):
                    changes += self._delete([key] if key in self._rows else [])
                case DeleteRange(start, end):
                    changes += self._delete(self._span(start, end))
        if changes:
            self._feed.publish([changes])
            if revision - self._feed.compacted > self._keep_revisions * 1.1:
                self._feed.compact(revision - self._keep_revisions)

    def _put(self, put: Put, revision: int) -> None:
        row = self._rows.get(put.key)
        if row is None:
            insort(self._keys, put.key)
            row = KeyValue(key=put.key, value=b"", create_revision=revision, mod_revision=revision, lease=put.lease)
        self._rows[put.key] = replace(row, value=put.value, mod_revision=revision, lease=put.lease)

    def _delete(self, keys: Sequence[str]) -> list[Change]:
        for key in keys:
            del self._rows[key]
            del self._keys[bisect_left(self._keys, key)]
        return [(key, None) for key in keys]

    def _span(self, start: str, end: str) -> list[str]:
        return self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]
