"""
The outbox: reads events from the store in the order of their revisions, and feeds each sink at its own pace.

One reader follows the store and keeps a window of events in memory. Each sink has a task of its own that takes
batches from
the window and writes its cursor; events that every sink has passed are erased. A sink that falls out of the window
reads on from
the store, so a slow one costs no memory. An outbox over its limits drops the oldest events, counts them, and tells
each sink of
the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.outbox.sinks import RefusedError, Sink
from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.errors import CompactedError, StoreError
from airscrew.state.records import PhaseEvent
from airscrew.state.store import DeleteRange, KeyValue, Operation, Put, Store, prefix_end

BATCH_EVENTS = 500
PAUSE_SECONDS = 0.5
PAUSE_CAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    How much the outbox keeps.

    Attributes:
        max_events: Steps' worth of events kept for slow sinks.
        max_age_seconds: How long they are kept.
        erase_seconds: How often what every sink has is erased.
    """

    max_events: int = 200_000
    max_age_seconds: float = 7 * 86400.0
    erase_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatistics:
    """How far a sink is: delivered and refused events, failures in a row, steps waiting, the last error."""

    delivered: int
    refused: int
    failures: int
    waiting: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStatistics:
    """How the outbox stands: steps kept, steps dropped over the limits, and each sink."""

    kept: int
    dropped: int
    sinks: dict[str, SinkStatistics]


@dataclass(slots=True)
class _Entry:
    key: str
    revision: int
    value: bytes


@dataclass(slots=True)
class _Feed:
    """One sink's place in the outbox."""

    sink: Sink
    cursor: int = 0
    written: int = 0
    delivered: int = 0
    refused: int = 0
    failures: int = 0
    last_error: str = ""
    more: asyncio.Event = field(default_factory=asyncio.Event)


_decoder = msgspec.json.Decoder(list[PhaseEvent])


class Outbox:
    """
    Feeds the sinks from the store.

    Args:
        store: Where the events are.
        sinks: Where they go.
        clock: The engine's time.
        random: For the pauses of failing sinks.
        limits: How much is kept.
    """

    def __init__(
        self, store: Store, sinks: Sequence[Sink], *, clock: Clock, random: Random, limits: Limits | None = None
    ) -> None:
        self._store = store
        self._feeds = [_Feed(sink) for sink in sinks]
        self._clock = clock
        self._random = random
        self._limits = limits or Limits()
        self._window: list[_Entry] = []
        self._dropped = 0
        self._end = 0
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Feed the sinks until cancelled."""
        await self._load()
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds:
                group.create_task(self._feed(feed), name=f"sink-{feed.sink.name}")
            group.create_task(self._erase_again_and_again(), name="outbox-erase")
            await self._follow()

    async def flush(self, seconds: float) -> bool:
        """Wait until every sink has what is in the store now; False when that takes longer."""
        target = await self._newest()
        try:
            async with asyncio.timeout(seconds):
                while any(feed.cursor < target for feed in self._feeds):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        await self._erase()
        return True

    def statistics(self) -> OutboxStatistics:
        """Tell how the outbox stands."""
        sinks = {
            feed.sink.name: SinkStatistics(
                delivered=feed.delivered,
                refused=feed.refused,
                failures=feed.failures,
                waiting=sum(1 for entry in self._window if entry.revision > feed.cursor),
                last_error=feed.last_error,
            )
            for feed in self._feeds
        }
        return OutboxStatistics(kept=len(self._window), dropped=self._dropped, sinks=sinks)

    async def _newest(self) -> int:
        """Find the revision of the newest event in the store; 0 when there is none."""
        start, newest = keys.EVENTS, 0
        while True:
            page = await self._store.range(start, prefix_end(keys.EVENTS))
            newest = max([newest, *(item.mod_revision for item in page.items)])
            if not page.more:
                return newest
            start = page.next_start

    async def _load(self) -> None:
        """Read the cursors and what is kept, in the order of revisions."""
        for feed in self._feeds:
            found = await self._store.get(keys.cursor_key(feed.sink.name))
            feed.cursor = feed.written = 0 if found is None else int(found.value)
        self._window.clear()
        start, items, revision = keys.EVENTS, list[KeyValue](), 0
        while True:
            page = await self._store.range(start, prefix_end(keys.EVENTS))
            revision = revision or page.revision
            items += page.items
            if not page.more:
                break
            start = page.next_start
        for item in sorted(items, key=lambda one: one.mod_revision):
            self._window.append(_Entry(item.key, item.mod_revision, item.value))
        self._end = max(revision, self._window[-1].revision if self._window else 0)
        self._rouse()

    async def _follow(self) -> None:
        """Take in new events, for ever."""
        pause = PAUSE_SECONDS
        while True:
            try:
                watch = self._store.watch(keys.EVENTS, prefix_end(keys.EVENTS), from_revision=self._end + 1)
                async for batch in watch:
                    pause = PAUSE_SECONDS
                    for event in batch:
                        if event.value is not None:
                            self._window.append(_Entry(event.key, event.revision, event.value))
                    self._end = max(self._end, batch[-1].revision)
                    self._rouse()
            except CompactedError:
                await self._load()
            except StoreError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_CAP_SECONDS)

    def _rouse(self) -> None:
        for feed in self._feeds:
            feed.more.set()

    async def _feed(self, feed: _Feed) -> None:
        while True:
            await feed.more.wait()
            feed.more.clear()
            while batch := self._next(feed):
                await self._deliver(feed, batch)

    def _next(self, feed: _Feed) -> list[_Entry]:
        low, high = 0, len(self._window)
        while low < high:
            middle = (low + high) // 2
            if self._window[middle].revision <= feed.cursor:
                low = middle + 1
            else:
                high = middle
        return self._window[low : low + BATCH_EVENTS]

    async def _deliver(self, feed: _Feed, batch: Sequence[_Entry]) -> None:
        """Deliver a batch, however often it takes; what is refused goes to the dead letters."""
        events = [event for entry in batch for event in _decoder.decode(entry.value)]
        try:
            await feed.sink.deliver(events)
        except RefusedError as error:
            await self._refused(feed, batch, events, error)
        except Exception as error:  # noqa: BLE001 - the wall around a sink: its trouble is its own
            feed.failures += 1
            feed.last_error = f"{type(error).__name__}: {error}"
            pause = min(PAUSE_SECONDS * 2.0 ** min(feed.failures, 20), PAUSE_CAP_SECONDS)
            await asyncio.sleep(pause * (0.5 + self._random.random() / 2))
            feed.more.set()
        else:
            feed.failures = 0
            feed.delivered += len(events)
            feed.cursor = batch[-1].revision
            self._progress.set()

    async def _refused(
        self, feed: _Feed, batch: Sequence[_Entry], events: Sequence[PhaseEvent], error: RefusedError
    ) -> None:
        if len(events) > 1:
            for entry in batch:
                for event in _decoder.decode(entry.value):
                    await self._deliver_one(feed, entry, event)
        else:
            await self._bury(feed, batch[0], error)
        feed.cursor = max(feed.cursor, batch[-1].revision)
        self._progress.set()

    async def _deliver_one(self, feed: _Feed, entry: _Entry, event: PhaseEvent) -> None:
        while True:
            try:
                await feed.sink.deliver([event])
            except RefusedError as error:
                return await self._bury(feed, entry, error)
            except Exception as error:  # noqa: BLE001 - the wall around a sink
                feed.failures += 1
                feed.last_error = f"{type(error).__name__}: {error}"
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                feed.delivered += 1
                return None

    async def _bury(self, feed: _Feed, entry: _Entry, error: RefusedError) -> None:
        feed.refused += 1
        feed.last_error = str(error)
        await self._store.txn([], [Put(keys.dead_event_key(feed.sink.name, entry.key), entry.value)])

    async def _erase_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._limits.erase_seconds)
            try:
                await self._drop_over_limits()
                await self._erase()
            except StoreError:
                continue

    async def _erase(self) -> None:
        """Write the cursors, and erase what every sink has: in one transaction, so that neither runs ahead."""
        if not self._feeds and not self._window:
            return
        passed = min((feed.cursor for feed in self._feeds), default=self._end)
        done = [entry for entry in self._window if entry.revision <= passed]
        operations: list[Operation] = [
            Put(keys.cursor_key(feed.sink.name), str(feed.cursor).encode())
            for feed in self._feeds
            if feed.cursor != feed.written
        ]
        cursors = [(feed, feed.cursor) for feed in self._feeds]
        operations += _ranges([entry.key for entry in done])[:100]
        if not operations:
            return
        erased = {operation.end for operation in operations if isinstance(operation, DeleteRange)}
        await self._store.txn([], operations)
        for feed, cursor in cursors:
            feed.written = cursor
        if len(_ranges([entry.key for entry in done])) <= len(erased):
            kept = {id(entry) for entry in done}
            self._window = [entry for entry in self._window if id(entry) not in kept]

    async def _drop_over_limits(self) -> None:
        """Drop the oldest events beyond the limits, and tell each sink that it has missed some."""
        over = max(len(self._window) - self._limits.max_events, 0)
        oldest_allowed = self._clock.now() - self._limits.max_age_seconds
        while over < len(self._window) and _age_of(self._window[over]) < oldest_allowed:
            over += 1
        if not over:
            return
        last = self._window[over - 1]
        missed = self._window[:over]
        for feed in self._feeds:
            count = sum(1 for entry in missed if entry.revision > feed.cursor)
            if count:
                self._dropped += count
                feed.cursor = last.revision
                await self._tell_gap(feed, count)

    async def _tell_gap(self, feed: _Feed, count: int) -> None:
        event = gap_event(feed.sink.name, count, self._clock.now())
        try:
            async with asyncio.timeout(5.0):
                await feed.sink.deliver([event])
        except Exception as error:  # noqa: BLE001 - the wall around a sink: it is told once, if it listens
            feed.last_error = f"{type(error).__name__}: {error}"


def gap_event(sink: str, count: int, now: float) -> PhaseEvent:
    """Make the event that tells a sink of the events it will never get."""
    return PhaseEvent(
        id=f"gap-{sink}-{now:.3f}",
        execution="",
        uid=Uid(""),
        task_type="",
        attempt=0,
        version=0,
        phase=Phase.UNDEFINED,
        reason=f"events of {count} steps were dropped: the sink was too slow or away for too long",
        occurred_at=now,
        reported_at=now,
        key=AttemptKey(""),
    )


def _age_of(entry: _Entry) -> float:
    events = _decoder.decode(entry.value)
    return events[0].reported_at if events else 0.0


def _ranges(names: Sequence[str]) -> list[DeleteRange]:
    """Cover keys by as few ranges as their order allows: one range for each life's run of sequence numbers."""
    runs: list[DeleteRange] = []
    lives: dict[str, list[str]] = {}
    for name in names:
        lives.setdefault(name.rsplit("/", 1)[0], []).append(name)
    for of_life in lives.values():
        ordered = sorted(of_life)
        first = previous = ordered[0]
        for name in ordered[1:]:
            if _sequence(name) != _sequence(previous) + 1:
                runs.append(DeleteRange(first, previous + "\0"))
                first = name
            previous = name
        runs.append(DeleteRange(first, previous + "\0"))
    return runs


def _sequence(name: str) -> int:
    return int(name.rsplit("/", 1)[1], 16)
