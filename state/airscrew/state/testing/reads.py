"""
Checks of guarantee 4: reads.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from airscrew.state.store import DeleteRange, Put, Store, prefix_end
from airscrew.state.testing.tools import Check, MakeStore, expect, expect_equal, list_all, put


async def a_range_is_read_in_pages(make_store: MakeStore) -> None:
    """In the order of keys, without the end, and each page says whether there is more."""
    async with make_store() as store:
        await put(store, *((f"page/{n:02}", b"%d" % n) for n in range(10)))

        page = await store.range("page/03", "page/07", limit=3)
        rest = await store.range(page.next_start, "page/07", limit=3)

        expect_equal([item.key for item in page.items], ["page/03", "page/04", "page/05"], "the first page")
        expect_equal((page.more, rest.more), (True, False), "whether there is more")
        expect_equal([item.key for item in rest.items], ["page/06"], "the second page")
        exact = await store.range("page/03", "page/06", limit=3)
        expect(not exact.more, "a page that holds just all there is says that there is more")
        expect_equal(list((await store.range("page/07", "page/03")).items), [], "a range that ends before it begins")


async def a_range_of_large_values_ends_in_time(make_store: MakeStore) -> None:
    """Its pages may be shorter than their limit, but nothing is left out."""
    async with make_store() as store:
        for n in range(6):
            await put(store, (f"heavy/{n}", bytes(900_000)))

        items = await list_all(store, "heavy/", limit=1000)

        expect_equal([item.key for item in items], [f"heavy/{n}" for n in range(6)], "a range of large values")
        await store.txn((), [DeleteRange("heavy/", prefix_end("heavy/"))])


async def keys_are_ordered_by_code_point(make_store: MakeStore) -> None:
    """Whatever they are made of."""
    names = [
        "odd/",
        "odd/\0",
        "odd/\0a",
        "odd/A",
        "odd/a",
        "odd/a\0",
        "odd/aa",
        "odd/é",
        "odd/\uffff",
        "odd/\U0001f6e9",
    ]
    async with make_store() as store:
        await put(store, *((name, name.encode()) for name in reversed(names)))

        found = await list_all(store, "odd/", limit=3)

        expect_equal([item.key for item in found], names, "the order of keys")
        expect_equal([item.value for item in found], [name.encode() for name in names], "their values")
        one = await store.get("odd/\0a")
        expect(one is not None and one.value == b"odd/\0a", "a key with a NUL in it is not found")


async def a_read_sees_what_was_acknowledged_before(make_store: MakeStore) -> None:
    """By get and by range, at the revision of the write or a newer one."""
    async with make_store() as store:
        for n in range(30):
            result = await put(store, ("seen/a", b"%d" % n))
            found = await store.get("seen/a")
            page = await store.range("seen/", prefix_end("seen/"))
            expect(found is not None and found.value == b"%d" % n, "get missed an acknowledged write")
            expect_equal([item.value for item in page.items], [b"%d" % n], "range after an acknowledged write")
            expect(page.revision >= result.revision, "a page says that it is older than an acknowledged write")


@dataclass(slots=True)
class _Register:
    """
    The history of a key, told as revisions.

    Attributes:
        written: What each revision wrote.
        newest: The newest revision that anybody was told of.
    """

    written: dict[int, bytes] = field(default_factory=dict[int, bytes])
    newest: int = 0

    def saw(self, revision: int) -> None:
        """Note that somebody was told of a revision."""
        self.newest = max(self.newest, revision)


async def concurrent_reads_are_linearizable(make_store: MakeStore) -> None:
    """
    No read is older than anything that anybody was told before it began.

    Writes are ordered by their revisions, so it is enough to compare numbers.
    """
    register = _Register()
    async with make_store() as store:
        register.saw((await put(store, ("line/a", b"begin"), ("line/b", b"begin"))).revision)
        register.written[register.newest] = b"begin"
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(_write(store, register, number))
                group.create_task(_read(store, register, random.Random(number)))


async def _write(store: Store, register: _Register, number: int) -> None:
    for n in range(25):
        value = b"%d-%d" % (number, n)
        result = await store.txn((), [Put("line/a", value), Put("line/b", value)])
        register.written[result.revision] = value
        register.saw(result.revision)


async def _read(store: Store, register: _Register, dice: random.Random) -> None:
    for _ in range(60):
        before = register.newest
        key = dice.choice(("line/a", "line/b"))
        if dice.getrandbits(1):
            found = await store.get(key)
        else:
            page = await store.range(key, key + "\0")
            found = page.items[0]
        if found is None:
            raise AssertionError(f"{key} was lost")
        expect(found.mod_revision >= before, f"a read answered {found.mod_revision} after {before} was told")
        wanted = register.written.get(found.mod_revision, found.value)
        expect_equal(found.value, wanted, f"the value read at revision {found.mod_revision}")
        register.saw(found.mod_revision)
        if dice.getrandbits(1):
            await asyncio.sleep(0)


CHECKS: Sequence[Check] = (
    a_range_is_read_in_pages,
    a_range_of_large_values_ends_in_time,
    keys_are_ordered_by_code_point,
    a_read_sees_what_was_acknowledged_before,
    concurrent_reads_are_linearizable,
)
