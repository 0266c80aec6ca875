from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from tests.support.faulty_store import FaultyStore
from typing_extensions import override

from airscrew.engine.clock import LoopClock
from airscrew.engine.outbox import FileSink, Limits, LogSink, MemorySink, Outbox, RefusedError
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import PhaseEvent
from airscrew.state.store import Compare, Operation, Page, Put, TxnResult, prefix_end

pytestmark = pytest.mark.virtual_time(limit_seconds=1_000_000)

EPOCH = 1000.0


def event(name: str, number: int, at: float = EPOCH) -> PhaseEvent:
    return PhaseEvent(
        id=f"{name}-{number}",
        execution=name,
        uid=Uid("u"),
        task_type="job",
        attempt=0,
        version=number,
        phase=Phase.RUNNING,
        occurred_at=at,
        reported_at=at,
        key=AttemptKey("a"),
    )


class Box:
    """A store with events, and the outboxes that are opened over it one after the other."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.store = FaultyStore()
        self.limits = limits
        self.clock = LoopClock(EPOCH)
        self.sequence = 0

    async def write(self, *events: PhaseEvent, life: int = 1, sequence: int | None = None) -> None:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        await self.store.inner.txn([], [Put(keys.event_key(life, self.sequence), msgspec.json.encode(list(events)))])

    async def write_many(self, count: int, name: str = "x", start: int = 0) -> None:
        for number in range(start, start + count):
            await self.write(event(name, number))

    async def kept(self, prefix: str = keys.EVENTS) -> list[str]:
        page = await self.store.inner.range(prefix, prefix_end(prefix), limit=100_000)
        return [item.key for item in page.items]

    @asynccontextmanager
    async def open(self, *sinks: object) -> AsyncIterator[Outbox]:
        outbox = Outbox(self.store, sinks, clock=self.clock, random=Random(1), limits=self.limits)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outbox.run())
            try:
                yield outbox
            finally:
                task.cancel()


class Moody(MemorySink):
    """Takes, fails or refuses as it is told, by what it is asked to deliver."""

    def __init__(self, mood: Callable[[Sequence[PhaseEvent]], object] = len) -> None:
        super().__init__("moody")
        self.mood = mood
        self.tries = 0
        self.at_once = 0

    @override
    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        self.tries += 1
        self.at_once += 1
        assert self.at_once == 1, "two batches at once"
        try:
            mood = self.mood(events)
            if isinstance(mood, Exception):
                raise mood
            if isinstance(mood, float):
                await elapse(mood)
            await super().deliver(events)
        finally:
            self.at_once -= 1


def ids(sink: MemorySink) -> list[str]:
    return [one.id for one in sink.events]


class TestDelivery:
    async def test_events_come_in_the_order_of_their_writes(self) -> None:
        box, sink = Box(), MemorySink()
        await box.write_many(3)
        async with box.open(sink) as outbox:
            await box.write(event("x", 3), event("x", 4))
            assert await outbox.flush(5)

        assert ids(sink) == [f"x-{n}" for n in range(5)]

    async def test_an_event_with_a_lower_number_that_is_written_later_is_not_lost(self) -> None:
        box, sink = Box(), MemorySink()
        async with box.open(sink) as outbox:
            await box.write(event("x", 2), sequence=2)
            await outbox.flush(5)
            await box.write(event("y", 1), sequence=1)
            await outbox.flush(5)

        assert ids(sink) == ["x-2", "y-1"]

    async def test_what_was_taken_is_not_delivered_again_after_a_restart(self) -> None:
        box, first, second = Box(), MemorySink(), MemorySink()
        await box.write_many(3)
        async with box.open(first) as outbox:
            await outbox.flush(5)
        await box.write_many(2, start=3)

        async with box.open(second) as outbox:
            await outbox.flush(5)

        assert ids(second) == ["x-3", "x-4"]

    async def test_a_crash_before_the_cursor_is_written_delivers_again(self) -> None:
        box, first, second = Box(), MemorySink(), MemorySink()
        await box.write_many(3)
        async with box.open(first):
            await elapse(0.1)

        async with box.open(second) as outbox:
            await outbox.flush(5)

        assert ids(first) == ids(second) == ["x-0", "x-1", "x-2"]

    async def test_a_thousand_and_more_at_the_start_lose_none_that_is_written_meanwhile(self) -> None:
        box, sink = Box(), MemorySink()
        for number in range(2, 1302):
            await box.write(event("x", number), sequence=number)
        original = box.store.range
        pages: list[Page] = []

        async def write_between_pages(start: str, end: str, *, limit: int = 1000) -> Page:
            page = await original(start, end, limit=limit)
            if not pages:
                await box.write(event("low", 1), sequence=1)
                await box.write(event("high", 1), sequence=5000)
            pages.append(page)
            return page

        box.store.range = write_between_pages  # type: ignore[method-assign]
        async with box.open(sink):
            await elapse(5)

        assert len(pages) >= 2
        assert {"low-1", "high-1"} <= set(ids(sink))
        assert len(ids(sink)) == len(set(ids(sink)))

    async def test_a_batch_never_ends_within_a_revision(self) -> None:
        box, sink = Box(), Moody()
        names = [keys.event_key(1, number) for number in range(1200)]
        puts = [Put(name, msgspec.json.encode([event("x", n)])) for n, name in enumerate(names)]
        for start in range(0, 1200, 120):
            await box.store.inner.txn([], puts[start : start + 120])

        async with box.open(sink) as outbox:
            assert await outbox.flush(5)

        assert len(set(ids(sink))) == 1200


class TestErasing:
    async def test_what_every_sink_has_is_erased_and_nothing_else(self) -> None:
        box = Box()
        quick, slow = MemorySink("quick"), Moody(lambda _: OSError("down"))
        await box.write_many(3)
        async with box.open(quick, slow):
            await elapse(30)
            assert len(await box.kept()) == 3
            slow.mood = len
            await elapse(120)
            assert await box.kept() == []

        assert ids(quick) == ids(slow)

    async def test_without_sinks_events_are_erased(self) -> None:
        box = Box()
        await box.write_many(3)
        async with box.open():
            await elapse(3)

        assert await box.kept() == []

    async def test_the_cursor_is_written_with_what_is_erased(self) -> None:
        box, sink = Box(), MemorySink()
        await box.write_many(3)
        written: list[set[str]] = []
        box.store.before_txn = lambda operations: written.append({type(one).__name__ for one in operations})
        async with box.open(sink):
            await elapse(3)

        assert written == [{"Put", "DeleteRange"}]

    async def test_an_event_that_is_written_into_a_gap_is_not_erased_unseen(self) -> None:
        box, sink = Box(), MemorySink()
        for number in (1, 2, 4, 5):
            await box.write(event("x", number), sequence=number)
        async with box.open(sink) as outbox:
            await box.store.inner.txn([], [])
            original = box.store.inner.txn

            async def write_first(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
                box.store.inner.txn = original  # type: ignore[method-assign]
                await box.write(event("late", 3), sequence=3)
                return await original(compares, operations)

            box.store.inner.txn = write_first  # type: ignore[method-assign]
            await outbox.flush(5)
            await elapse(5)

        assert "late-3" in ids(sink)

    async def test_many_runs_of_numbers_are_erased_in_several_goes(self) -> None:
        box, sink = Box(), MemorySink()
        for number in range(0, 600, 2):
            await box.write(event("x", number), sequence=number)
        async with box.open(sink) as outbox:
            await elapse(30)
            kept = outbox.statistics().kept

        assert (await box.kept(), kept) == ([], 0)


class TestTrouble:
    async def test_a_slow_sink_delays_no_other(self) -> None:
        box, quick, slow = Box(), MemorySink("quick"), Moody(lambda _: 3600.0)
        async with box.open(quick, slow) as outbox:
            await box.write_many(3)
            await elapse(1)
            waiting = outbox.statistics().sinks["moody"].waiting

        assert (len(quick.events), waiting) == (3, 3)

    async def test_a_failing_sink_gets_the_same_events_again_later(self) -> None:
        box, sink = Box(), Moody()
        sink.mood = lambda _: OSError("down") if sink.tries < 4 else None
        await box.write_many(2)
        async with box.open(sink) as outbox:
            assert not await outbox.flush(0.1)
            assert outbox.statistics().sinks["moody"].last_error == "OSError: down"
            assert await outbox.flush(60)

        assert ids(sink) == ["x-0", "x-1"]

    async def test_what_is_refused_goes_to_the_dead_letters_and_the_rest_goes_on(self) -> None:
        box, sink = Box(), Moody()
        sink.mood = lambda events: RefusedError("too odd") if any(one.id == "x-1" for one in events) else None
        await box.write_many(3)
        async with box.open(sink) as outbox:
            await outbox.flush(5)
            refused = outbox.statistics().sinks["moody"].refused

        assert ids(sink) == ["x-0", "x-2"]
        assert refused == 1
        assert await box.kept(keys.DEAD_EVENTS) == [keys.dead_event_key("moody", keys.event_key(1, 2))]

    async def test_a_dead_letter_waits_for_the_store(self) -> None:
        box, sink = Box(), Moody(lambda _: RefusedError("no"))
        await box.write_many(1)
        async with box.open(sink):
            box.store.down = True
            await elapse(20)
            box.store.down = False
            await elapse(60)

        assert len(await box.kept(keys.DEAD_EVENTS)) == 1

    async def test_bytes_that_are_no_event_hold_up_nobody(self) -> None:
        box, sink = Box(), MemorySink()
        await box.write_many(1)
        await box.store.inner.txn([], [Put(keys.event_key(1, 2), b"\xff\xff")])
        box.sequence = 2
        await box.write(event("x", 1))
        async with box.open(sink) as outbox:
            assert await outbox.flush(5)

        assert ids(sink) == ["x-0", "x-1"]
        assert len(await box.kept(keys.DEAD_EVENTS)) == 1

    async def test_a_store_that_is_away_loses_no_event(self) -> None:
        box, sink = Box(), MemorySink()
        async with box.open(sink) as outbox:
            await box.write_many(2)
            await outbox.flush(5)
            box.store.down = True
            await box.write_many(2, start=2)
            await elapse(10)
            box.store.down = False
            await elapse(120)

        assert ids(sink) == ["x-0", "x-1", "x-2", "x-3"]

    async def test_after_a_compaction_it_lists_again_even_when_that_fails_at_first(self) -> None:
        box, sink = Box(), MemorySink()
        async with box.open(sink) as outbox:
            await box.write_many(2)
            await outbox.flush(5)
            box.store.down = True
            await box.write_many(2, start=2)
            await box.store.inner.compact(10_000)
            await elapse(10)
            box.store.down, box.store.fail_ranges = False, 1
            await elapse(120)

        assert ids(sink) == ["x-0", "x-1", "x-2", "x-3"]

    async def test_a_flush_without_a_store_says_so(self) -> None:
        box = Box()
        async with box.open(MemorySink()) as outbox:
            box.store.down = True

            assert not await outbox.flush(1)


class TestLimits:
    @pytest.mark.parametrize(
        "limits", [Limits(max_events=2), Limits(max_bytes=400), Limits(max_age_seconds=100.0)], ids=str
    )
    async def test_over_its_limits_the_oldest_are_dropped_and_the_sink_is_told(self, limits: Limits) -> None:
        box, sink = Box(limits), Moody(lambda _: OSError("down"))
        for number in range(5):
            await box.write(event("x", number, EPOCH if number < 3 else EPOCH + 500))
        async with box.open(sink) as outbox:
            await elapse(200)
            dropped = outbox.statistics().dropped
            sink.mood = len
            await outbox.flush(120)

        assert dropped == 3
        assert ids(sink)[1:] == ["x-3", "x-4"]
        assert sink.events[0].id.startswith("gap-moody")
        assert sink.events[0].reason.startswith("events of 3 steps were dropped")

    async def test_bytes_that_are_no_event_are_not_too_old(self) -> None:
        box, sink = Box(Limits(max_age_seconds=EPOCH)), Moody(lambda _: OSError("down"))
        await box.store.inner.txn([], [Put(keys.event_key(1, 1), b"\xff\xff")])
        box.sequence = 1
        await box.write(event("x", 0))
        async with box.open(sink) as outbox:
            await elapse(200)
            sink.mood = len
            assert await outbox.flush(120)
            dropped = outbox.statistics().dropped

        assert dropped == 0
        assert ids(sink) == ["x-0"]
        assert await box.kept(keys.DEAD_EVENTS) == [keys.dead_event_key(sink.name, keys.event_key(1, 1))]

    async def test_several_droppings_before_the_sink_is_back_are_one_gap(self) -> None:
        box, sink = Box(Limits(max_events=1)), Moody(lambda _: OSError("down"))
        async with box.open(sink) as outbox:
            for number in range(4):
                await box.write(event("x", number))
                await elapse(5)
            sink.mood = len
            await outbox.flush(120)

        assert [one.reason[:17] for one in sink.events if one.id.startswith("gap")] == ["events of 3 steps"]

    async def test_a_sink_that_has_everything_is_told_of_no_gap(self) -> None:
        box, slow, quick = Box(Limits(max_events=1)), Moody(lambda _: OSError("down")), MemorySink("quick")
        async with box.open(slow, quick):
            await box.write_many(5)
            await elapse(10)

        assert ids(quick) == [f"x-{n}" for n in range(5)]


class TestSinks:
    async def test_a_file_has_one_json_object_a_line(self, tmp_path: Path) -> None:
        sink = FileSink(tmp_path / "new" / "events.jsonl")

        await sink.deliver([event("x", 0), event("x", 1)])
        await sink.deliver([event("x", 2)])

        lines = (tmp_path / "new" / "events.jsonl").read_bytes().splitlines()
        assert [msgspec.json.decode(line)["id"] for line in lines] == ["x-0", "x-1", "x-2"]

    async def test_a_file_over_its_limit_is_moved_aside(self, tmp_path: Path) -> None:
        sink = FileSink(tmp_path / "events.jsonl", limit_bytes=300)

        for number in range(6):
            await sink.deliver([event("x", number)])

        assert (tmp_path / "events.jsonl.1").exists()

    async def test_the_log_has_a_constant_message_with_fields(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", "airscrew.events")

        await LogSink().deliver([event("x", 7)])

        assert [record.message for record in caplog.records] == ["phase"]
        assert caplog.records[0].version == 7  # type: ignore[attr-defined]
