"""
Checks of guarantee 5: watches and compaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airscrew.state.errors import CompactedError
from airscrew.state.store import Delete, DeleteRange, Event, Put, Store, prefix_end
from airscrew.state.testing.tools import (
    Check,
    MakeStore,
    collect,
    expect,
    expect_equal,
    expect_error,
    history,
    in_time,
    list_all,
    must_get,
    put,
)


async def a_watch_tells_every_write_once_in_order(make_store: MakeStore) -> None:
    """From its revision on, that one included, and of its own keys alone."""
    async with make_store() as store:
        first = await put(store, ("told/a", b"0"), ("other/a", b"0"))
        second = await put(store, ("told/a", b"1"))
        await put(store, ("told", b"1"), ("told0", b"1"))
        third = await store.txn((), [Put("told/b", b"2"), Delete("told/a")])

        events = await history(store, "told/", first.revision, third.revision)

        wanted = [
            Event("told/a", b"0", first.revision),
            Event("told/a", b"1", second.revision),
            Event("told/a", None, third.revision),
            Event("told/b", b"2", third.revision),
        ]
        expect_equal(sorted(events, key=lambda event: (event.revision, event.key)), wanted, "the events")
        expect_equal([event.revision for event in events], sorted(event.revision for event in events), "their order")
        later = await history(store, "told/", second.revision + 1, third.revision)
        expect_equal([event.revision for event in later], [third.revision] * 2, "the events of a later watch")


async def a_watch_waits_for_what_is_to_come(make_store: MakeStore) -> None:
    """Also when it begins at a revision that does not exist yet, and is not woken by others' keys."""
    async with make_store() as store:
        before = await put(store, ("wait/a", b"0"))
        async with asyncio.TaskGroup() as group:
            near = group.create_task(history(store, "wait/", before.revision + 1, before.revision + 4))
            far = group.create_task(history(store, "wait/", before.revision + 3, before.revision + 4))
            await asyncio.sleep(0)
            for n in range(1, 5):
                await asyncio.sleep(0)
                await put(store, ("wait/a" if n % 2 == 0 else "other/a", b"%d" % n))
        expect_equal([event.value for event in near.result()], [b"2", b"4"], "what a waiting watch told")
        expect_equal([event.value for event in far.result()], [b"4"], "what a watch from a later revision told")


async def a_watch_never_tears_a_transaction(make_store: MakeStore) -> None:
    """All its events come in one batch, however many they are and however they meet the reader."""
    async with make_store() as store:
        before = (await store.status()).revision
        last = before + 40
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(collect(store, "torn/", before + 1, last))
            for n in range(40):
                await put(store, *((f"torn/{k}", b"%d" % n) for k in range(n % 7 + 1)))
        ends = [batch[-1].revision for batch in watching.result()]
        begins = [batch[0].revision for batch in watching.result()]
        expect(all(end < begin for end, begin in zip(ends, begins[1:], strict=False)), "a revision came in two batches")
        count = sum(map(len, watching.result()))
        expect_equal(count, sum(n % 7 + 1 for n in range(40)), "the number of events")


async def a_list_and_a_watch_leave_no_gap(make_store: MakeStore) -> None:
    """A watch from the page's revision + 1 goes on where the list ended, while others write."""

    async def write(store: Store, number: int) -> None:
        for n in range(20):
            await put(store, (f"gap/{number}", b"%d" % n))

    async def follow(store: Store) -> None:
        await asyncio.sleep(0)
        page = await store.range("gap/", prefix_end("gap/"))
        state = {item.key: item.value for item in page.items}
        batches = store.watch("gap/", prefix_end("gap/"), from_revision=page.revision + 1)
        async with in_time("a watch to tell all writes after a list"):
            while list(state.values()) != [b"19"] * 4:
                for event in await anext(batches):
                    step = int(event.value or b"") - int(state.get(event.key, b"-1"))
                    expect_equal(step, 1, f"the step of {event.key} to {event.value!r}")
                    state[event.key] = event.value or b""

    async with make_store() as store:
        await store.txn((), [DeleteRange("gap/", prefix_end("gap/"))])
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(write(store, number))
            group.create_task(follow(store))


async def a_slow_reader_misses_nothing(make_store: MakeStore) -> None:
    """And holds up nobody: the writes all finish before it reads on."""
    async with make_store() as store:
        first = last = await put(store, ("slow/a", b"0"))
        reader = store.watch("slow/", prefix_end("slow/"), from_revision=first.revision)
        events = list(await anext(reader))
        for n in range(1, 300):
            last = await put(store, ("slow/a", b"%d" % n))
        async with in_time("a slow reader to be told all"):
            while events[-1].revision < last.revision:
                events += await anext(reader)
        expect_equal([event.value for event in events], [b"%d" % n for n in range(300)], "what a slow reader saw")


async def compacted_history_is_refused(make_store: MakeStore) -> None:
    """With the oldest revision that is kept; live keys and later history stay."""
    async with make_store() as store:
        old = await put(store, ("compact/a", b"1"), ("compact/b", b"1"))
        await store.txn((), [Put("compact/a", b"2"), Delete("compact/b")])
        new = await put(store, ("compact/c", b"3"))

        await store.compact(new.revision - 1)

        error = await expect_error(history(store, "compact/", old.revision, new.revision), CompactedError, "a watch")
        expect(isinstance(error, CompactedError) and error.oldest == new.revision, f"the oldest revision of: {error}")
        events = await history(store, "compact/", new.revision, new.revision)
        expect_equal([event.key for event in events], ["compact/c"], "the history after the compacted revision")
        expect_equal([item.key for item in await list_all(store, "compact/")], ["compact/a", "compact/c"], "live keys")
        expect_equal((await must_get(store, "compact/a")).value, b"2", "a live key older than the compacted revision")
        expect_equal((await store.status()).compacted, new.revision - 1, "the compacted revision of the status")
        await store.compact(old.revision)
    async with make_store() as store:
        await expect_error(history(store, "compact/", old.revision, new.revision), CompactedError, "a restarted watch")
        await history(store, "compact/", new.revision, new.revision)


CHECKS: Sequence[Check] = (
    a_watch_tells_every_write_once_in_order,
    a_watch_waits_for_what_is_to_come,
    a_watch_never_tears_a_transaction,
    a_list_and_a_watch_leave_no_gap,
    a_slow_reader_misses_nothing,
    compacted_history_is_refused,
)
