"""
A store that fails on demand: away for a while, or with replies that are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from airscrew.state.errors import StoreUnavailableError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Compare, Event, KeyValue, Operation, Page, StoreStatus, TxnResult


class FaultyStore:
    """
    A store that fails on demand.

    Attributes:
        down: While set, every call but a watch under way raises ``StoreUnavailableError``.
        lose_replies: So many of the next transactions are made and answered with ``StoreUnavailableError``.
        before_txn: Called before each transaction with its operations; may write by itself (``inner``).
        txns: How many transactions were tried.
        fail_ranges: So many of the next ranges raise ``StoreUnavailableError``.
        page_limit: How many keys a page has at most.
    """

    def __init__(self, inner: MemoryStore | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.down = False
        self.lose_replies = 0
        self.before_txn: Callable[[Sequence[Operation]], object] | None = None
        self.txns = 0
        self.fail_ranges = 0
        self.page_limit = 1000

    async def get(self, key: str) -> KeyValue | None:
        self._check()
        return await self.inner.get(key)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        self._check()
        if self.fail_ranges:
            self.fail_ranges -= 1
            raise StoreUnavailableError("no answer")
        return await self.inner.range(start, end, limit=min(limit, self.page_limit))

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        self._check()
        self.txns += 1
        if self.before_txn is not None:
            made = self.before_txn(operations)
            if asyncio.iscoroutine(made):
                await made
        result = await self.inner.txn(compares, operations)
        if self.lose_replies and operations:
            self.lose_replies -= 1
            raise StoreUnavailableError("the reply was lost")
        return result

    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        self._check()
        async for batch in self.inner.watch(start, end, from_revision=from_revision):
            self._check()
            yield batch

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def status(self) -> StoreStatus:
        self._check()
        return await self.inner.status()

    def close(self) -> None:
        self.inner.close()

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailableError("the store is away")
