"""
The checker of histories: it takes what may have happened, and finds stores that lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from typing_extensions import override

from airscrew.state.errors import StoreUnavailableError
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Compare, Delete, Event, KeyValue, Operation, Page, Put, Store, TxnResult
from airscrew.state.testing.history import NEVER, UNKNOWN, Answer, Asked, Call, Get, History, Range, Txn
from airscrew.state.testing.linearizability import Content, NotLinearizableError, by_revision, check_history


class Wrapped:
    """A store that passes all on; each broken one below lies in one place."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def get(self, key: str) -> KeyValue | None:
        return await self.inner.get(key)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        return await self.inner.range(start, end, limit=limit)

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        return await self.inner.txn(compares, operations)


class Stale(Wrapped):
    """Reads from a cache that a write does not renew."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, KeyValue | None] = {}

    @override
    async def get(self, key: str) -> KeyValue | None:
        if key not in self.cache:
            self.cache[key] = await self.inner.get(key)
        return self.cache[key]


class Forgetful(Wrapped):
    """Acknowledges its second write and does not make it."""

    writes = 0

    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        self.writes += 1
        if self.writes == 2:
            return TxnResult(True, (await self.inner.status()).revision + 1)
        return await self.inner.txn(compares, operations)


class Doubling(Wrapped):
    """Sends a write again that has happened already."""

    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        result = await self.inner.txn(compares, operations)
        if result.succeeded:
            await self.inner.txn((), operations)
        return result


class Torn(Wrapped):
    """Makes the writes of a transaction one by one."""

    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        result = await self.inner.txn(compares, operations[:1])
        for operation in operations[1:]:
            result = await self.inner.txn((), [operation])
        return result


class Careless(Wrapped):
    """Judges the compares, thinks a while, and writes."""

    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        judged = await self.inner.txn(compares, ())
        return await self.inner.txn((), operations) if judged.succeeded else judged


class Unsure(Wrapped):
    """Says that it does not know, and writes a little later."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[tuple[Sequence[Compare], Sequence[Operation]]] = []

    @override
    async def get(self, key: str) -> KeyValue | None:
        answer = await self.inner.get(key)
        while self.late:
            await self.inner.txn(*self.late.pop())
        return answer

    @override
    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        self.late.append((compares, operations))
        raise StoreUnavailableError("no answer")


async def work(store: Store, history: History) -> None:
    """Three callers who count up one key by compare and set, and keep a second one equal to it."""

    async def count(client: int) -> None:
        recorded = history.recording(store, client)
        for n in range(3):
            found = await recorded.get("a")
            revision = 0 if found is None else found.mod_revision
            value = f"{client}.{n}".encode()
            with suppress(StoreUnavailableError):
                await recorded.txn([Compare("a", revision)], [Put("a", value), Put("b", value)])
            await recorded.range("a", "c")

    async with asyncio.TaskGroup() as group:
        for client in range(1, 4):
            group.create_task(count(client))


async def history_of(store: object, *, revived: bool = False) -> list[Call]:
    history = History(revived=revived)
    await work(store, history)  # type: ignore[arg-type]
    return history.calls


async def test_a_store_that_keeps_its_guarantees_passes() -> None:
    check_history(await history_of(Wrapped()))


@pytest.mark.parametrize("broken", [Stale, Forgetful, Doubling, Torn, Careless, Unsure])
async def test_a_store_that_lies_is_found(broken: type[Wrapped]) -> None:
    calls = await history_of(broken())

    with pytest.raises(NotLinearizableError, match="no order of the calls explains this answer"):
        check_history(calls)


async def test_a_write_that_comes_after_its_lost_answer_is_right_where_a_wire_is_in_between() -> None:
    check_history(await history_of(Unsure(), revived=True))


def call(asked: Asked, answer: Answer, began: int, ended: int = 0) -> Call:
    return Call(client=1, asked=asked, began=began, ended=ended or began + 1, answer=answer)


def put(key: str = "a", value: bytes = b"1") -> Txn:
    return Txn((), (Put(key, value),))


def row(key: str = "a", value: bytes = b"1", revision: int = 1, created: int = 0) -> KeyValue:
    return KeyValue(key=key, value=value, create_revision=created or revision, mod_revision=revision)


def test_a_write_may_be_seen_before_it_is_answered() -> None:
    check_history([call(put(), TxnResult(True, 1), 1, 9), call(Get("a"), row(), 2), call(Get("a"), row(), 4)])


def test_a_write_is_not_seen_and_then_unseen() -> None:
    calls = [call(put(), TxnResult(True, 1), 1, 9), call(Get("a"), row(), 2), call(Get("a"), None, 4)]

    with pytest.raises(NotLinearizableError):
        check_history(calls)


@pytest.mark.parametrize("seen", [None, row()])
def test_a_write_with_no_answer_has_happened_or_not(seen: KeyValue | None) -> None:
    check_history([call(put(), UNKNOWN, 1), call(Get("a"), seen, 3), call(Get("a"), seen, 5)])


def test_a_write_with_no_answer_is_settled_by_a_read() -> None:
    calls = [call(put(), UNKNOWN, 1), call(Get("a"), None, 3), call(Get("a"), row(), 5)]

    with pytest.raises(NotLinearizableError):
        check_history(calls)


def test_a_write_that_may_still_come_happens_once_at_most() -> None:
    late = call(put(), UNKNOWN, 1, NEVER)
    calls = [call(Get("a"), None, 3), call(Get("a"), row(), 5), call(put("b"), TxnResult(True, 2), 7)]

    check_history([late, *calls])
    with pytest.raises(NotLinearizableError):
        check_history([late, *calls, call(Get("a"), row(revision=3, created=1), 9)])


def test_a_failed_transaction_needs_a_reason() -> None:
    asked = Txn((Compare("a", 0),), (Put("a", b"2"),))
    calls = [call(put(), TxnResult(True, 1), 1), call(asked, TxnResult(False, 1), 3)]

    check_history(calls)
    with pytest.raises(NotLinearizableError):
        check_history(
            [*calls, call(Txn((), (Delete("a"),)), TxnResult(True, 2), 5), call(asked, TxnResult(False, 2), 7)]
        )


def test_a_page_is_of_one_point_in_time() -> None:
    both = Txn((), (Put("a", b"1"), Put("b", b"1")))
    half = Page((row("a"),), 1, more=False)

    with pytest.raises(NotLinearizableError):
        check_history([call(both, TxnResult(True, 1), 1, 9), call(Range("a", "c", 10), half, 2)])


def test_a_history_begins_from_what_is_there() -> None:
    begin = Content(7, (row("a", b"1", 7),))

    check_history([call(Get("a"), row("a", b"1", 7), 1), call(put("b"), TxnResult(True, 8), 3)], begin=begin)


def test_what_a_watch_tells_must_be_what_was_written() -> None:
    calls = [call(put(), TxnResult(True, 1), 1), call(put("b"), TxnResult(True, 2), 3)]
    events = [Event("a", b"1", 1), Event("b", b"1", 2)]

    check_history(calls, told=by_revision([events]))
    with pytest.raises(NotLinearizableError):
        check_history(calls, told=by_revision([[events[0], Event("b", b"other", 2)]]))


def test_many_callers_at_once_are_judged_quickly() -> None:
    writes = [call(put("a", b"%d" % n), TxnResult(True, n), 1 + n, 1000) for n in range(1, 9)]
    reads = [call(Get("a"), row("a", b"%d" % n, n, 1), 100 + 2 * n) for n in range(1, 9)]

    check_history([*writes, *reads])
