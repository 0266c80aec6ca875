"""
Checks of guarantees 1 to 3: revisions, transactions and durability.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airscrew.state.errors import TooLargeError
from airscrew.state.store import (
    ANY,
    MAX_TXN_BYTES,
    MAX_TXN_OPERATIONS,
    MAX_VALUE_BYTES,
    Compare,
    Delete,
    DeleteRange,
    Operation,
    Put,
    Store,
    prefix_end,
)
from airscrew.state.testing.tools import (
    Check,
    MakeStore,
    expect,
    expect_equal,
    expect_error,
    history,
    list_all,
    must_get,
    put,
)


async def a_writing_transaction_takes_the_next_revision(make_store: MakeStore) -> None:
    """All its writes carry it."""
    async with make_store() as store:
        first = await put(store, ("next/a", b"1"))
        second = await put(store, ("next/a", b"2"), ("next/b", b"2"))

        expect_equal(second.revision, first.revision + 1, "the revision of the second of two transactions")
        a, b = await must_get(store, "next/a"), await must_get(store, "next/b")
        expect_equal((a.mod_revision, b.mod_revision), (second.revision,) * 2, "the mod_revisions of its writes")
        expect_equal(a.create_revision, first.revision, "the create_revision of a key written twice")
        expect_equal(a.value, b"2", "the value of a key written twice")


async def a_transaction_that_changes_nothing_takes_no_revision(make_store: MakeStore) -> None:
    """Neither without operations nor with deletes of what is not there."""
    async with make_store() as store:
        before = await put(store, ("nothing/a", b"1"))
        calls: Sequence[Sequence[Operation]] = (
            (),
            [Delete("nothing/b")],
            [DeleteRange("nothing/b", "nothing/c")],
            [DeleteRange("nothing/z", "nothing/a")],
        )
        for operations in calls:
            result = await store.txn([Compare("nothing/a", ANY)], operations)
            expect(result.succeeded, f"a transaction whose compare holds failed: {operations}")
            expect_equal(result.revision, before.revision, f"the revision after {operations}")


async def a_key_created_again_begins_anew(make_store: MakeStore) -> None:
    """Its create_revision is that of the last creation."""
    async with make_store() as store:
        await put(store, ("anew/a", b"1"))
        await store.txn((), [Delete("anew/a")])
        expect_equal(await store.get("anew/a"), None, "a deleted key")
        again = await put(store, ("anew/a", b"2"))

        found = await must_get(store, "anew/a")
        expect_equal(found.create_revision, again.revision, "the create_revision of a key created again")


async def a_revision_is_never_used_again(make_store: MakeStore) -> None:
    """Not after a restart either, when the last thing that happened was a delete that is compacted."""
    async with make_store() as store:
        await put(store, ("again/a", b"1"))
        last = await store.txn((), [Delete("again/a")])
        await store.compact(last.revision)
    async with make_store() as store:
        expect((await store.status()).revision >= last.revision, "a restart lost revisions")
        result = await put(store, ("again/b", b"2"))
        expect(result.revision > last.revision, f"revision {result.revision} was used before the restart")


async def compares_judge_a_keys_revision(make_store: MakeStore) -> None:
    """By its mod_revision, by 0 for a key that is not there, by ANY for one that is."""
    async with make_store() as store:
        old = await put(store, ("compare/a", b"1"))
        new = await put(store, ("compare/a", b"2"))
        cases = (
            (Compare("compare/a", new.revision), True),
            (Compare("compare/a", old.revision), False),
            (Compare("compare/a", new.revision + 1), False),
            (Compare("compare/a", 0), False),
            (Compare("compare/a", ANY), True),
            (Compare("compare/b", 0), True),
            (Compare("compare/b", ANY), False),
            (Compare("compare/b", new.revision), False),
        )
        for compare, holds in cases:
            result = await store.txn([compare], ())
            expect_equal(result.succeeded, holds, f"{compare} of a key at {new.revision} or not there")


async def a_failed_transaction_writes_nothing(make_store: MakeStore) -> None:
    """One compare of several is enough; the answer tells the revision at which it was judged."""
    async with make_store() as store:
        before = await put(store, ("failed/a", b"1"))
        compares = [Compare("failed/a", before.revision), Compare("failed/b", ANY)]

        result = await store.txn(compares, [Put("failed/a", b"2"), Put("failed/c", b"2")])

        expect(not result.succeeded, "a transaction succeeded though one of its compares does not hold")
        expect_equal(result.revision, before.revision, "the revision at which it was judged")
        expect_equal((await must_get(store, "failed/a")).value, b"1", "a key that a failed transaction puts")
        expect_equal(await store.get("failed/c"), None, "a key that a failed transaction creates")


async def a_transaction_puts_and_deletes_at_once(make_store: MakeStore) -> None:
    """All in one revision, a range's end left out, and a key deleted twice told once."""
    async with make_store() as store:
        before = await put(store, *((f"mixed/{name}", b"1") for name in "abcdef"))
        operations: Sequence[Operation] = [
            Put("mixed/a", b"2"),
            DeleteRange("mixed/b", "mixed/d"),
            Delete("mixed/c"),
            Delete("mixed/e"),
            Put("mixed/g", b"2"),
        ]

        result = await store.txn([Compare("mixed/a", before.revision)], operations)

        left = [item.key for item in await list_all(store, "mixed/")]
        expect_equal(left, ["mixed/a", "mixed/d", "mixed/f", "mixed/g"], "what is left")
        events = await history(store, "mixed/", result.revision, result.revision)
        told = sorted((event.key, event.value) for event in events)
        wanted = [
            ("mixed/a", b"2"),
            ("mixed/b", None),
            ("mixed/c", None),
            ("mixed/e", None),
            ("mixed/g", b"2"),
        ]
        expect_equal(told, wanted, "the events of the transaction")


async def a_key_is_touched_once_in_a_transaction(make_store: MakeStore) -> None:
    """One that puts a key and touches it again is refused as a whole."""
    async with make_store() as store:
        await put(store, ("once/a", b"1"))
        calls: Sequence[Sequence[Operation]] = (
            [Put("once/a", b"2"), Put("once/a", b"3")],
            [Put("once/a", b"2"), Delete("once/a")],
            [DeleteRange("once/", "once/z"), Put("once/b", b"2")],
            [Put("", b"2")],
            [Put("once/\ud800", b"2")],
        )
        for operations in calls:
            await expect_error(store.txn((), operations), ValueError, f"{operations}")
        expect_equal((await must_get(store, "once/a")).value, b"1", "a key of a refused transaction")


async def what_is_too_large_is_refused(make_store: MakeStore) -> None:
    """Just what is over the limits, and nothing of it is written."""
    largest = bytes(MAX_VALUE_BYTES)
    async with make_store() as store:
        await put(store, ("large/a", largest))
        expect_equal((await must_get(store, "large/a")).value, largest, "a value of the largest size")
        many = [Put(f"large/many/{n}", b"") for n in range(MAX_TXN_OPERATIONS)]
        compares = [Compare(operation.key, 0) for operation in many]
        result = await store.txn(compares, many)
        expect(result.succeeded, "a transaction of the largest size failed")

        calls: Sequence[tuple[Sequence[Compare], Sequence[Operation]]] = (
            ((), [Put("large/b", largest + b"1")]),
            ((), [Put(f"large/b/{n}", bytes(MAX_TXN_BYTES // 2)) for n in range(2)]),
            ((), [*many, Put("large/b", b"")]),
            ([*compares, Compare("large/b", 0)], [Put("large/b", b"")]),
        )
        for number, (conditions, operations) in enumerate(calls):
            await expect_error(store.txn(conditions, operations), TooLargeError, f"too large a call, case {number}")
        expect_equal(await list_all(store, "large/b"), [], "the keys of refused transactions")
        await store.txn((), [DeleteRange("large/", prefix_end("large/"))])


async def concurrent_increments_lose_nothing(make_store: MakeStore) -> None:
    """Compare-and-set from many callers at once."""
    callers, times = 16, 8

    async def increment(store: Store) -> None:
        for _ in range(times):
            while True:
                found = await store.get("counter/a")
                number, revision = (int(found.value), found.mod_revision) if found is not None else (0, 0)
                write = Put("counter/a", b"%d" % (number + 1))
                if (await store.txn([Compare("counter/a", revision)], [write])).succeeded:
                    break

    async with make_store() as store:
        await store.txn((), [Delete("counter/a")])
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(increment(store))
        expect_equal(int((await must_get(store, "counter/a")).value), callers * times, "the counter")


async def a_transaction_is_seen_whole(make_store: MakeStore) -> None:
    """Readers never find one of its two writes without the other."""
    rounds = 50

    async def write(store: Store) -> None:
        for n in range(rounds):
            await put(store, ("whole/a", b"%d" % n), ("whole/b", b"%d" % n))

    async def read(store: Store) -> None:
        last = b""
        while last != b"%d" % (rounds - 1):
            page = await store.range("whole/", prefix_end("whole/"))
            if page.items:
                a, b = page.items
                expect_equal((a.value, a.mod_revision), (b.value, b.mod_revision), "two keys of one transaction")
                last = a.value
            await asyncio.sleep(0)

    async with make_store() as store:
        await store.txn((), [DeleteRange("whole/", prefix_end("whole/"))])
        async with asyncio.TaskGroup() as group:
            group.create_task(read(store))
            group.create_task(write(store))


async def acknowledged_writes_survive_a_restart(make_store: MakeStore) -> None:
    """With values, revisions and history."""
    async with make_store() as store:
        first = await put(store, ("restart/a", b"1"), ("restart/b", b""), ("restart/c", b"\x00\xff"))
        last = await store.txn((), [Put("restart/a", b"2"), Delete("restart/b")])
        before = await list_all(store, "restart/")
    async with make_store() as store:
        expect_equal(await list_all(store, "restart/"), before, "the keys after a restart")
        expect_equal(await store.get("restart/a"), before[0], "a key after a restart")
        events = await history(store, "restart/", first.revision, last.revision)
        expect_equal(len(events), 5, "the number of events kept over a restart")


CHECKS: Sequence[Check] = (
    a_writing_transaction_takes_the_next_revision,
    a_transaction_that_changes_nothing_takes_no_revision,
    a_key_created_again_begins_anew,
    a_revision_is_never_used_again,
    compares_judge_a_keys_revision,
    a_failed_transaction_writes_nothing,
    a_transaction_puts_and_deletes_at_once,
    a_key_is_touched_once_in_a_transaction,
    what_is_too_large_is_refused,
    concurrent_increments_lose_nothing,
    a_transaction_is_seen_whole,
    acknowledged_writes_survive_a_restart,
)
