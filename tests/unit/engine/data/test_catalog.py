from __future__ import annotations

import asyncio

import pytest
from flyteidl.core import literals_pb2 as lit
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.data.make import INTEGER, STRING, blob, frame, integer, many, mapped, real, struct, text, union

from airscrew.engine.clock import LoopClock
from airscrew.engine.data.catalog import (
    RESERVATIONS,
    CacheEntry,
    CacheKey,
    HeldBy,
    Reserved,
    StoreCatalog,
    cache_key,
    inputs_hash,
    interface_hash,
    key_of_reservation,
)
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.template.model import Interface, Variable
from airscrew.idl.wire import WireForm
from airscrew.state.memory import MemoryStore
from airscrew.state.store import prefix_end

KEY = CacheKey("0" * 40)
TASK = {"project": "p", "domain": "d", "name": "mod.fn", "version": "v1"}
INTERFACE = Interface(inputs={"x": INTEGER, "y": STRING}, outputs={"o0": INTEGER})
INPUTS = {"x": integer(1), "y": text("a")}


def key(**changes: object) -> CacheKey:
    given: dict[str, object] = {"task_id": TASK, "cache_version": "1", "interface": INTERFACE, "inputs": INPUTS}
    return cache_key(**(given | changes))  # type: ignore[arg-type]


def hashed(literal: lit.Literal, own: str) -> lit.Literal:
    copy = lit.Literal()
    copy.CopyFrom(literal)
    copy.hash = own
    return copy


def test_equal_runs_have_equal_keys_whatever_the_order() -> None:
    backwards = {"y": INPUTS["y"], "x": INPUTS["x"]}
    turned = Interface(inputs={"y": STRING, "x": INTEGER}, outputs=INTERFACE.outputs)

    assert key() == key(inputs=backwards) == key(interface=turned)


def test_a_key_is_the_same_in_every_process() -> None:
    assert key() == "be01bda695cd5788bbd9b09e7759722da3b0ca12"


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": TASK | {"name": "mod.other"}},
        {"task_id": TASK | {"project": "q"}},
        {"task_id": TASK | {"domain": "e"}},
        {"cache_version": "2"},
        {"inputs": INPUTS | {"x": integer(2)}},
        {"inputs": {"x": integer(1)}},
        {"interface": Interface(inputs=INTERFACE.inputs, outputs={"o0": STRING})},
        {"interface": Interface(inputs=INTERFACE.inputs, outputs={"o1": INTEGER})},
        {"wire": WireForm.FLYTE2},
    ],
)
def test_whatever_makes_another_run_makes_another_key(change: dict[str, object]) -> None:
    assert key(**change) != key()


def test_the_task_version_and_descriptions_do_not_count() -> None:
    described = Interface(inputs=INTERFACE.inputs, outputs={"o0": Variable(type=INTEGER.type, description="new")})

    assert key(task_id=TASK | {"version": "v2"}) == key()
    assert interface_hash(described) == interface_hash(INTERFACE)


def test_an_ignored_input_does_not_count() -> None:
    changed = INPUTS | {"y": text("b")}

    assert key(inputs=changed, ignored=["y"]) == key(ignored=["y"])
    assert key(ignored=["y"]) != key()


def test_a_literal_with_a_hash_of_its_own_counts_by_it() -> None:
    assert inputs_hash({"f": hashed(frame("s3://b/1"), "h")}) == inputs_hash({"f": hashed(frame("s3://b/2"), "h")})
    assert inputs_hash({"f": hashed(frame("s3://b/1"), "h")}) != inputs_hash({"f": hashed(frame("s3://b/1"), "i")})


def test_a_hash_counts_inside_of_lists_and_maps_too() -> None:
    one, other = hashed(blob("s3://b/1"), "h"), hashed(blob("s3://b/2"), "h")

    assert inputs_hash({"l": many(one), "m": mapped(a=one)}) == inputs_hash({"l": many(other), "m": mapped(a=other)})


@pytest.mark.parametrize("make", [blob, frame])
def test_a_blob_without_a_hash_counts_by_its_location(make: type) -> None:
    assert inputs_hash({"f": make("s3://b/1")}) != inputs_hash({"f": make("s3://b/2")})


def test_values_of_different_kinds_never_share_a_hash() -> None:
    values = [
        integer(1), real(1.0), text("1"), many(integer(1)), mapped(a=integer(1)), union(integer(1)), struct(a=1),
        hashed(integer(1), "1"), many(many(integer(1))), many(integer(1), integer(1)), lit.Literal(), many(), mapped(),
        blob("1"), frame("1"),
    ]  # fmt: skip

    assert len({inputs_hash({"x": value}) for value in values}) == len(values)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.randoms())
def test_the_order_of_a_map_never_counts(items: dict[str, str], random: st.randoms) -> None:  # type: ignore[valid-type]
    names = list(items)
    random.shuffle(names)  # type: ignore[attr-defined]

    one = mapped(**{name: text(items[name]) for name in items})
    other = mapped(**{name: text(items[name]) for name in names})

    assert inputs_hash({"m": one}) == inputs_hash({"m": other})


class Cache:
    """A catalog over a store in memory, on the loop's clock."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = LoopClock()
        self.gone: set[str] = set()
        self.catalog = StoreCatalog(self.store, self.clock, self.exists)

    async def exists(self, uri: str) -> bool:
        return uri not in self.gone


@pytest.fixture
def cache() -> Cache:
    return Cache()


pytestmark = pytest.mark.virtual_time


async def test_what_was_put_is_found(cache: Cache) -> None:
    entry = CacheEntry(output_uri="s3://b/o", at=1.0, task_name="fn", execution="ns/n", uid="u")

    before = await cache.catalog.lookup(KEY)
    await cache.catalog.put(KEY, entry)

    assert before is None
    assert await cache.catalog.lookup(KEY) == entry


async def test_what_is_too_old_is_a_miss(cache: Cache) -> None:
    await cache.catalog.put(KEY, CacheEntry(output_uri="data:,", at=cache.clock.now()))
    await elapse(100)

    assert await cache.catalog.lookup(KEY, max_age=99) is None
    assert await cache.catalog.lookup(KEY, max_age=101) is not None


async def test_outputs_that_are_gone_are_forgotten(cache: Cache) -> None:
    await cache.catalog.put(KEY, CacheEntry(output_uri="s3://b/o"))
    cache.gone.add("s3://b/o")

    missed = await cache.catalog.lookup(KEY)
    cache.gone.clear()

    assert missed is None
    assert await cache.catalog.lookup(KEY) is None


async def test_bytes_that_are_no_entry_are_a_miss(cache: Cache) -> None:
    from airscrew.state.store import Put

    await cache.store.txn([], [Put(f"cache/entry/{KEY}", b"\xff{")])

    assert await cache.catalog.lookup(KEY) is None


async def test_a_reservation_lets_one_owner_in(cache: Cache) -> None:
    mine = await cache.catalog.reserve(KEY, "me", 60)
    yours = await cache.catalog.reserve(KEY, "you", 60)

    assert isinstance(mine, Reserved)
    assert yours == HeldBy("me", mine.until)


async def test_of_many_at_once_one_gets_the_reservation(cache: Cache) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cache.catalog.reserve(KEY, f"owner {number}", 60)) for number in range(20)]

    assert sum(isinstance(task.result(), Reserved) for task in tasks) == 1


async def test_a_reservation_that_is_not_extended_is_over(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)

    await elapse(59)
    early = await cache.catalog.reserve(KEY, "you", 60)
    await elapse(2)
    late = await cache.catalog.reserve(KEY, "you", 60)

    assert isinstance(early, HeldBy)
    assert isinstance(late, Reserved)


async def test_a_heartbeat_keeps_a_reservation(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)
    await elapse(50)

    await cache.catalog.reserve(KEY, "me", 60)
    await elapse(50)

    assert isinstance(await cache.catalog.reserve(KEY, "you", 60), HeldBy)


async def test_putting_outputs_gives_the_reservation_back(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)

    await cache.catalog.put(KEY, CacheEntry(output_uri="data:,"), owner="me")

    assert await cache.catalog.lookup(KEY) is not None
    assert isinstance(await cache.catalog.reserve(KEY, "you", 60), Reserved)


async def test_who_lost_the_reservation_leaves_anothers_alone(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)
    await elapse(61)
    await cache.catalog.reserve(KEY, "you", 60)

    await cache.catalog.release(KEY, "me")
    await cache.catalog.put(KEY, CacheEntry(output_uri="data:,"), owner="me")

    assert isinstance(await cache.catalog.reserve(KEY, "third", 60), HeldBy)


async def test_releasing_twice_is_releasing(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)

    await cache.catalog.release(KEY, "me")
    await cache.catalog.release(KEY, "me")

    assert isinstance(await cache.catalog.reserve(KEY, "you", 60), Reserved)


async def test_who_waits_is_told_of_a_release_by_a_watch(cache: Cache) -> None:
    await cache.catalog.reserve(KEY, "me", 60)
    start = (await cache.store.status()).revision + 1
    watch = cache.store.watch(RESERVATIONS, prefix_end(RESERVATIONS), from_revision=start)

    await cache.catalog.put(KEY, CacheEntry(output_uri="data:,"), owner="me")
    batch = await anext(aiter(watch))

    assert [(key_of_reservation(event.key), event.value) for event in batch] == [(KEY, None)]


async def test_a_removed_entry_is_gone(cache: Cache) -> None:
    await cache.catalog.put(KEY, CacheEntry(output_uri="data:,"))

    await cache.catalog.remove(KEY)

    assert await cache.catalog.lookup(KEY) is None
