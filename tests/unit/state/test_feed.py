from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from airscrew.state.errors import CompactedError, StoreUnavailableError
from airscrew.state.feed import Feed
from airscrew.state.store import Event


class Table:
    """The history that a feed falls back to, and how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def older(self, first: int, stop: int, start: str, end: str) -> Sequence[Event]:
        self.asked.append((first, stop))
        return [Event("a", b"%d" % n, n) for n in range(first, stop) if start <= "a" < end]


def write(feed: Feed, *keys: str, value: bytes = b"x") -> None:
    for key in keys:
        feed.publish([[(key, value)]])


async def read(feed: Feed, count: int, from_revision: int = 1, start: str = "a", end: str = "b") -> list[int]:
    revisions: list[int] = []
    async for batch in feed.watch(start, end, from_revision):
        revisions += [event.revision for event in batch]
        if len(revisions) >= count:
            break
    return revisions


async def test_a_recent_revision_is_read_from_memory() -> None:
    table = Table()
    feed = Feed(older=table.older, keep_revisions=10)
    write(feed, *["a"] * 10)

    assert await read(feed, 10) == list(range(1, 11))
    assert table.asked == []


async def test_a_reader_behind_the_ring_reads_the_table_and_then_the_ring_without_a_gap() -> None:
    table = Table()
    feed = Feed(older=table.older, keep_revisions=10)
    write(feed, *["a"] * 2000)

    assert await read(feed, 2000) == list(range(1, 2001))
    assert table.asked[0] == (1, 513)
    assert len(table.asked) == 4


async def test_the_ring_is_bounded_by_bytes() -> None:
    feed = Feed(older=Table().older, keep_bytes=1000)

    write(feed, *["a"] * 100, value=b"x" * 100)

    assert feed.size_bytes <= 2000


async def test_a_waiting_watch_sleeps_through_the_keys_of_others() -> None:
    table = Table()
    feed = Feed(older=table.older, keep_revisions=10)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(read(feed, 1))
        await asyncio.sleep(0)
        write(feed, *["z"] * 100)
        await asyncio.sleep(0)

        write(feed, "a")

    assert watching.result() == [101]
    assert table.asked == []


async def test_a_watch_overtaken_by_compaction_is_told_the_oldest_revision() -> None:
    feed = Feed()
    write(feed, "a", "a", "a")
    watch = feed.watch("a", "b", 1)
    await anext(watch)
    write(feed, *["a"] * 5)

    feed.compact(6)

    with pytest.raises(CompactedError) as caught:
        await anext(watch)
    assert caught.value.oldest == 7


async def test_closing_ends_waiting_watches() -> None:
    feed = Feed()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_outcome(feed))
        await asyncio.sleep(0)

        feed.close("closed")

    assert isinstance(watching.result(), StoreUnavailableError)


async def _outcome(feed: Feed) -> Exception | None:
    try:
        await read(feed, 1)
    except StoreUnavailableError as error:
        return error
    return None


async def test_after_a_reset_a_waiting_watch_reads_what_came_meanwhile_from_the_table() -> None:
    table = Table()
    feed = Feed(older=table.older)
    write(feed, "a")
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(read(feed, 2, from_revision=2))
        await asyncio.sleep(0)

        feed.reset(3, 0)

    assert watching.result() == [2, 3]
