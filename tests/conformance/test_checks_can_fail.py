"""
The conformance suite finds a store that breaks a guarantee: each fault here is one that a real store could have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from typing_extensions import override

from airscrew.state.errors import CompactedError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import (
    Compare,
    DeleteRange,
    Event,
    KeyValue,
    Operation,
    Page,
    Put,
    Store,
    StoreStatus,
    TxnResult,
)
from airscrew.state.testing import check_store


class Sound:
    """A store that hands everything on; its subclasses break one thing each."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    async def get(self, key: str) -> KeyValue | None:
        return await self.inner.get(key)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        return await self.inner.range(start, end, limit=limit)

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        return await self.inner.txn(compares, operations)

    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        async for batch in self.inner.watch(start, end, from_revision=from_revision):
            yield batch

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def status(self) -> StoreStatus:
        return await self.inner.status()


class IgnoresCompares(Sound):
    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        return await self.inner.txn((), operations)


class TearsTransactions(Sound):
    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        result = await self.inner.txn(compares, operations[:1])
        if result.succeeded and operations[1:]:
            result = await self.inner.txn((), operations[1:])
        return result


class ForgetsDeletedRanges(Sound):
    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        return await self.inner.txn(compares, [one for one in operations if not isinstance(one, DeleteRange)])


class ReadsOldValues(Sound):
    """Answers each read from a copy that lags one write behind."""

    def __init__(self) -> None:
        super().__init__()
        self.copy: dict[str, KeyValue | None] = {}

    @override
    async def get(self, key: str) -> KeyValue | None:
        old, self.copy[key] = self.copy.get(key), await self.inner.get(key)
        return old


class ForgetsOnRestart(Sound):
    pass


class IncludesTheEnd(Sound):
    @override
    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        return await self.inner.range(start, end + "\0", limit=limit)


class CountsWrongly(Sound):
    @override
    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        page = await self.inner.range(start, end, limit=limit)
        return replace(page, more=len(page.items) == limit)


class SkipsTheFirstRevision(Sound):
    @override
    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        async for batch in self.inner.watch(start, end, from_revision=from_revision + 1):
            yield batch


class TellsOneEventAtATime(Sound):
    @override
    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        async for batch in self.inner.watch(start, end, from_revision=from_revision):
            for event in batch:
                yield [event]


class TellsTheKeysOfOthers(Sound):
    @override
    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        async for batch in self.inner.watch("\0", "\U0010ffff", from_revision=from_revision):
            yield batch


class HidesCompaction(Sound):
    @override
    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        try:
            async for batch in self.inner.watch(start, end, from_revision=from_revision):
                yield batch
        except CompactedError as error:
            async for batch in self.inner.watch(start, end, from_revision=error.oldest):
                yield batch


class TakesARevisionForNothing(Sound):
    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        result = await self.inner.txn(compares, operations)
        return result if operations else await self.inner.txn((), [Put("\0", b"")])


FAULTS = [
    IgnoresCompares,
    TearsTransactions,
    ForgetsDeletedRanges,
    ReadsOldValues,
    ForgetsOnRestart,
    IncludesTheEnd,
    CountsWrongly,
    SkipsTheFirstRevision,
    TellsOneEventAtATime,
    TellsTheKeysOfOthers,
    HidesCompaction,
    TakesARevisionForNothing,
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.virtual_time
async def test_a_broken_store_is_found(fault: type[Sound]) -> None:
    store = fault()

    @asynccontextmanager
    async def make() -> AsyncIterator[Store]:
        yield fault() if fault is ForgetsOnRestart else store

    with pytest.raises((AssertionError, ExceptionGroup)):
        await check_store(make)


async def test_a_sound_store_is_found_sound() -> None:
    store = Sound()

    @asynccontextmanager
    async def make() -> AsyncIterator[Store]:
        yield store

    await check_store(make)
