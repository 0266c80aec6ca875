"""
A store whose answers are timed.

The methods are written out: what they have in common would be a coroutine more in each of the engine's writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import final

from airscrew.engine.metrics.meters import Meters
from airscrew.engine.metrics.names import STORE_ERRORS, STORE_SECONDS
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.room import BoundedStore
from airscrew.state.store import Compare, KeyValue, LeaseStore, Operation, Page, TxnResult


@final
class TimedStore:
    """A ``LeaseStore`` that tells how long reads and transactions took; all else is the store's own."""

    def __init__(self, store: LeaseStore, meters: Meters) -> None:
        """Wrap a store."""
        self._store = store
        self._meters = meters
        self._bounded = store if isinstance(store, BoundedStore) else None  # found out once: it is asked all the time
        self.watch = store.watch
        self.compact = store.compact
        self.status = store.status
        self.grant_lease = store.grant_lease
        self.keep_alive = store.keep_alive
        self.revoke_lease = store.revoke_lease

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        with self._timed("get"):
            return await self._store.get(key)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read a range of keys."""
        with self._timed("range"):
            return await self._store.range(start, end, limit=limit)

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make all the writes if all the compares hold, else none."""
        with self._timed("txn"):
            return await self._store.txn(compares, operations)

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = monotonic()
        try:
            yield
        except StoreUnavailableError:
            self._meters.count(STORE_ERRORS, operation)
            raise
        finally:
            self._meters.observe(STORE_SECONDS, monotonic() - began, operation)

    def is_short_of_room(self) -> bool:
        """Tell whether the store comes near its limit."""
        return self._bounded is not None and self._bounded.is_short_of_room()
