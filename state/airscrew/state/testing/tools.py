"""
What the checks share.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from airscrew.state.store import Event, KeyValue, LeaseStore, Put, Store, TxnResult, prefix_end

MakeStore = Callable[[], AbstractAsyncContextManager[Store]]
MakeLeaseStore = Callable[[], AbstractAsyncContextManager[LeaseStore]]
Sleep = Callable[[float], Awaitable[None]]

PATIENCE_SECONDS = 20
"""How long anything may take that must happen at once."""


class Check(Protocol):
    """One check of a store."""

    __name__: str

    async def __call__(self, make_store: MakeStore, /) -> None:
        """Raise ``AssertionError`` when the store does not keep it."""
        ...


class LeaseCheck(Protocol):
    """One check of a store's leases."""

    __name__: str

    async def __call__(self, make_store: MakeLeaseStore, sleep: Sleep, /) -> None:
        """Raise ``AssertionError`` when the store does not keep it."""
        ...


def expect(condition: object, text: str) -> None:
    """Raise ``AssertionError`` with a text unless the condition holds."""
    if not condition:
        raise AssertionError(text)


def expect_equal(found: object, wanted: object, what: str) -> None:
    """Raise ``AssertionError`` unless both are equal."""
    expect(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


async def expect_error(call: Awaitable[object], kind: type[Exception], what: str) -> Exception:
    """Return the error that a call raises, or raise ``AssertionError`` when it raises none of its kind."""
    try:
        answer = await call
    except kind as error:
        return error
    raise AssertionError(f"{what}: wanted {kind.__name__}, but it answered {answer!r}")


async def put(store: Store, *items: tuple[str, bytes]) -> TxnResult:
    """Write some keys in one transaction."""
    result = await store.txn((), [Put(key, value) for key, value in items])
    expect(result.succeeded, "a transaction without compares failed")
    return result


async def must_get(store: Store, key: str) -> KeyValue:
    """Read a key that is there."""
    found = await store.get(key)
    if found is None:
        raise AssertionError(f"the key {key!r} is not there")
    return found


async def list_all(store: Store, prefix: str, limit: int = 1000) -> list[KeyValue]:
    """Read all keys with a prefix, page by page."""
    items: list[KeyValue] = []
    start, end = prefix, prefix_end(prefix)
    while True:
        page = await store.range(start, end, limit=limit)
        items += page.items
        if not page.more:
            return items
        start = page.next_start


async def collect(store: Store, prefix: str, from_revision: int, until: int) -> list[Sequence[Event]]:
    """Watch a prefix until a revision's events have come, and return the batches."""
    batches: list[Sequence[Event]] = []
    async with in_time(f"a watch of {prefix!r} from revision {from_revision} to tell revision {until}"):
        async for batch in store.watch(prefix, prefix_end(prefix), from_revision=from_revision):
            expect(batch, "a watch yielded an empty batch")
            batches.append(batch)
            if batch[-1].revision >= until:
                break
    return batches


@asynccontextmanager
async def in_time(what: str) -> AsyncIterator[None]:
    """Raise ``AssertionError`` when the block takes longer than anything may."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield
    except TimeoutError as error:
        raise AssertionError(f"waited {PATIENCE_SECONDS} s for {what}") from error


async def history(store: Store, prefix: str, from_revision: int, until: int) -> list[Event]:
    """Watch a prefix until a revision's events have come, and return them all."""
    return [event for batch in await collect(store, prefix, from_revision, until) for event in batch]
