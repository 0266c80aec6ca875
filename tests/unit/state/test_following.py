"""A prefix that is followed: nothing is missed, whatever becomes of watches and of the store's history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.beside import running_beside
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.following import RETRY_SECONDS, Following, read_all
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Delete, Event, KeyValue, Operation, Page, Put

pytestmark = pytest.mark.virtual_time


@dataclass
class Seen:
    """What was taken in, and a store that may be away."""

    store: AwayStore
    known: dict[str, bytes] = field(default_factory=dict)
    lists: list[int] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    following: Following = field(init=False)

    def __post_init__(self) -> None:
        self.following = Following(store=self.store, prefix="a/", take_all=self.take_all, take=self.take)

    def take_all(self, items: Sequence[KeyValue], revision: int) -> None:
        self.lists.append(revision)
        self.known = {item.key: item.value for item in items}

    def take(self, batch: Sequence[Event]) -> None:
        self.batches.append([event.key for event in batch])
        for event in batch:
            if event.value is None:
                self.known.pop(event.key, None)
            else:
                self.known[event.key] = event.value


class AwayStore(MemoryStore):
    """Is away when it is told to be, and breaks the watches that are under way."""

    is_away = False

    def __init__(self) -> None:
        super().__init__()
        self.went = asyncio.Event()
        self.ranges = 0

    async def range(self, start: str, end: str, **more: int) -> Page:
        self.ranges += 1
        self._reach()
        return await super().range(start, end, **more)

    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        self._reach()
        async for batch in super().watch(start, end, from_revision=from_revision):
            self._reach()
            yield batch

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("away, on purpose")

    async def put(self, *operations: Operation) -> int:
        return (await self.txn([], operations)).revision


@asynccontextmanager
async def followed() -> AsyncIterator[Seen]:
    seen = Seen(AwayStore())
    await seen.store.put(Put("a/1", b"1"), Put("b/1", b"1"))
    async with running_beside(following=seen.following.follow()):
        await elapse(0.1)
        yield seen


async def test_it_lists_once_and_then_takes_what_comes() -> None:
    async with followed() as seen:
        await seen.store.put(Put("a/2", b"2"), Put("b/2", b"2"))
        await seen.store.put(Delete("a/1"))
        await elapse(1.0)

    assert seen.known == {"a/2": b"2"}
    assert len(seen.lists) == 1
    assert seen.batches == [["a/2"], ["a/1"]]


async def test_a_store_that_was_away_is_gone_on_with_from_where_it_was_and_not_listed_again() -> None:
    async with followed() as seen:
        seen.store.is_away = True
        await seen.store.put(Put("a/2", b"2"))
        await elapse(10 * RETRY_SECONDS)
        away = dict(seen.known)
        seen.store.is_away = False
        await elapse(RETRY_SECONDS + 0.1)

    assert away == {"a/1": b"1"}
    assert seen.known == {"a/1": b"1", "a/2": b"2"}
    assert len(seen.lists) == 1


async def test_a_history_that_is_gone_is_listed_again_with_what_was_deleted() -> None:
    async with followed() as seen:
        seen.store.is_away = True
        await seen.store.put(Delete("a/1"))
        await seen.store.compact(await seen.store.put(Put("a/3", b"3")))
        await elapse(RETRY_SECONDS)
        seen.store.is_away = False
        await elapse(2 * RETRY_SECONDS + 0.1)

    assert seen.known == {"a/3": b"3"}
    assert len(seen.lists) == 2


async def test_an_outage_costs_a_question_each_retry_and_no_more() -> None:
    seen = Seen(AwayStore())
    seen.store.is_away = True
    async with running_beside(following=seen.following.follow()):
        await elapse(20 * RETRY_SECONDS)

    assert seen.store.ranges in {20, 21}


async def test_an_error_of_whoever_takes_changes_in_comes_out() -> None:
    def refuse(_: Sequence[Event]) -> None:
        raise ValueError("what is this?")

    store = AwayStore()
    following = Following(store=store, prefix="a/", take_all=lambda _items, _revision: None, take=refuse)

    async def write() -> None:
        async with running_beside(following=following.follow()):
            await elapse(0.1)
            await store.put(Put("a/1", b"1"))
            await elapse(1.0)

    with pytest.raises(ValueError, match="what is this"):
        await write()


async def test_a_list_of_many_pages_is_one_as_of_its_first() -> None:
    store = AwayStore()
    for number in range(7):
        last = await store.put(Put(f"a/{number}", b""))

    items, revision = await read_all(store, "a/", page_size=3)

    assert [item.key for item in items] == [f"a/{number}" for number in range(7)]
    assert revision == last
    assert store.ranges == 3
