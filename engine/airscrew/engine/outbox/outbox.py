"""
The outbox: reads events from the store in the order of their revisions, and feeds each sink at its own pace.

One reader follows the store and keeps what is not erased yet in a window in memory, within limits of number, bytes and
age. Each sink has a task of its own that takes batches from the window; cursors are written, and events that every
sink has passed are erased, in one transaction. An outbox over its limits drops the oldest events and counts them;
each sink that had not taken them is told of the gap before it gets its next events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from airscrew.engine.clock import Clock
from airscrew.engine.outbox.entries import Entry, events_of, gap_event, reported_at, runs_of
from airscrew.engine.outbox.sinks import RefusedError, Sink
from airscrew.state import keys
from airscrew.state.errors import CompactedError, StoreError
from airscrew.state.records import PhaseEvent
from airscrew.state.store import DeleteRange, KeyValue, Operation, Put, Store, prefix_end

BATCH_EVENTS = 500
MAX_RANGES = 64
PAUSE_SECONDS = 0.5
PAUSE_CAP_SECONDS = 60.0

GATHER_SECONDS = 0.05
"""How long a sink rests after a delivery: a file that is synced for every step of every task slows all who sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    How much the outbox keeps.

    Attributes:
        max_events: Steps' worth of events kept for slow sinks.
        max_bytes: What they may take together.
        max_age_seconds: How long they are kept.
        erase_seconds: How often what every sink has is erased.
    """

    max_events: int = 200_000
    max_bytes: int = 64 * 1024 * 1024
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
class _Feed:
    """
    One sink's place in the outbox.

    Attributes:
        sink: The sink.
        cursor: The revision of the last step that it has.
        written: The cursor as it is stored.
        gap: The event that tells of what it will never get; None when it has missed nothing.
        missed: How many steps that were.
    """

    sink: Sink
    cursor: int = 0
    written: int = 0
    gap: PhaseEvent | None = None
    missed: int = 0
    delivered: int = 0
    refused: int = 0
    failures: int = 0
    last_error: str = ""
    more: asyncio.Event = field(default_factory=asyncio.Event)


_Found = tuple[Entry, list[PhaseEvent]]
"""An entry and its events; none when it cannot be read."""


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
        self._window: list[Entry] = []
        self._dropped = 0
        self._end = 0
        self._progress = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Feed the sinks until cancelled."""
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds:
                group.create_task(self._feed(feed), name=f"sink-{feed.sink.name}")
            group.create_task(self._erase_again_and_again(), name="outbox-erase")
            await self._follow()

    async def flush(self, seconds: float) -> bool:
        """Wait until every sink has what is in the store now; False when that takes longer."""
        self._hurry.set()
        try:
            async with asyncio.timeout(seconds):
                target = await self._newest()
                while any(feed.cursor < target for feed in self._feeds):
                    self._progress.clear()
                    await self._progress.wait()
                await self._erase()
        except (TimeoutError, StoreError):
            return False
        finally:
            self._hurry.clear()
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
        """
        Read the cursors and what is kept, in the order of revisions.

        All pages count as of the first one: what is written while they are read comes by the watch.
        """
        for feed in self._feeds:
            found = await self._store.get(keys.cursor_key(feed.sink.name))
            feed.written = 0 if found is None else int(found.value)
            feed.cursor = max(feed.cursor, feed.written)
        start, items, revision = keys.EVENTS, list[KeyValue](), 0
        while True:
            page = await self._store.range(start, prefix_end(keys.EVENTS))
            revision = revision or page.revision
            items += page.items
            if not page.more:
                break
            start = page.next_start
        kept = sorted((item for item in items if item.mod_revision <= revision), key=lambda one: one.mod_revision)
        self._window = [Entry(item.key, item.mod_revision, item.value) for item in kept]
        self._end = revision
        self._rouse()

    async def _follow(self) -> None:
        """Take in what is there and then what is new, for ever."""
        pause, has_listed = PAUSE_SECONDS, False
        while True:
            try:
                if not has_listed:
                    await self._load()
                    has_listed = True
                watch = self._store.watch(keys.EVENTS, prefix_end(keys.EVENTS), from_revision=self._end + 1)
                async for batch in watch:
                    pause = PAUSE_SECONDS
                    for event in batch:
                        if event.value is not None:
                            self._window.append(Entry(event.key, event.revision, event.value))
                    self._end = max(self._end, batch[-1].revision)
                    self._rouse()
            except CompactedError:
                has_listed = False
            except StoreError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_CAP_SECONDS)

    def _rouse(self) -> None:
        for feed in self._feeds:
            feed.more.set()

    async def _feed(self, feed: _Feed) -> None:
        """Deliver what comes: at once after a quiet while, else what has come since, together."""
        while True:
            await feed.more.wait()
            feed.more.clear()
            while (batch := self._next(feed)) or feed.gap is not None:
                await self._deliver(feed, batch)
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()

    def _next(self, feed: _Feed) -> list[Entry]:
        low, high = 0, len(self._window)
        while low < high:
            middle = (low + high) // 2
            if self._window[middle].revision <= feed.cursor:
                low = middle + 1
            else:
                high = middle
        end = low + BATCH_EVENTS
        while low < end < len(self._window) and self._window[end].revision == self._window[end - 1].revision:
            end += 1  # the cursor cannot stand within a revision
        return self._window[low:end]

    async def _deliver(self, feed: _Feed, batch: Sequence[Entry]) -> None:
        """Deliver a batch, however often it takes; what is refused goes to the dead letters."""
        found = [(entry, events_of(entry)) for entry in batch]
        events = [event for _, some in found for event in some]
        try:
            await self._tell_gap(feed)
            if events:
                await feed.sink.deliver(events)
        except RefusedError as error:
            await self._refused(feed, found, error)
        except Exception as error:  # noqa: BLE001 - the wall around a sink: its trouble is its own
            feed.failures += 1
            feed.last_error = f"{type(error).__name__}: {error}"
            pause = min(PAUSE_SECONDS * 2.0 ** min(feed.failures, 20), PAUSE_CAP_SECONDS)
            await asyncio.sleep(pause * (0.5 + self._random.random() / 2))
            feed.more.set()
        else:
            feed.failures = 0
            feed.delivered += len(events)
            await self._passed(feed, found)

    async def _tell_gap(self, feed: _Feed) -> None:
        gap = feed.gap
        if gap is None:
            return
        with suppress(RefusedError):
            await feed.sink.deliver([gap])
        if feed.gap is gap:
            feed.gap, feed.missed = None, 0

    async def _refused(self, feed: _Feed, found: Sequence[_Found], error: RefusedError) -> None:
        single = sum(len(events) for _, events in found) == 1
        for entry, events in found:
            for event in events:
                if single:
                    await self._bury(feed, entry, error)
                else:
                    await self._deliver_one(feed, entry, event)
        await self._passed(feed, found)

    async def _passed(self, feed: _Feed, found: Sequence[_Found]) -> None:
        """Move the cursor beyond a batch; what could not be read goes to the dead letters."""
        for entry, events in found:
            if not events:
                await self._bury(feed, entry, RefusedError(f"the events at {entry.key} cannot be read"))
        if found:
            feed.cursor = max(feed.cursor, found[-1][0].revision)
        self._progress.set()

    async def _deliver_one(self, feed: _Feed, entry: Entry, event: PhaseEvent) -> None:
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

    async def _bury(self, feed: _Feed, entry: Entry, error: RefusedError) -> None:
        feed.refused += 1
        feed.last_error = str(error)
        dead = Put(keys.dead_event_key(feed.sink.name, entry.key), entry.value)
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._store.txn([], [dead])
            except StoreError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_CAP_SECONDS)
            else:
                return

    async def _erase_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._limits.erase_seconds)
            try:
                self._drop_over_limits()
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
        runs = runs_of([entry.key for entry in done])[:MAX_RANGES]
        operations += [DeleteRange(run[0], run[-1] + "\0") for run in runs]
        if not operations:
            return
        await self._store.txn([], operations)
        for feed, cursor in cursors:
            feed.written = cursor
        erased = {name for run in runs for name in run}
        self._window = [entry for entry in self._window if entry.key not in erased]

    def _drop_over_limits(self) -> None:
        """Drop the oldest events beyond the limits; each sink is told that it has missed some."""
        over = max(len(self._window) - self._limits.max_events, 0)
        excess = sum(len(entry.value) for entry in self._window[over:]) - self._limits.max_bytes
        while excess > 0:
            excess -= len(self._window[over].value)
            over += 1
        over = self._too_old(over)
        if not over:
            return
        last = self._window[over - 1]
        missed = self._window[:over]
        for feed in self._feeds:
            count = sum(1 for entry in missed if entry.revision > feed.cursor)
            if count:
                self._dropped += count
                feed.cursor = last.revision
                feed.missed += count
                feed.gap = gap_event(feed.sink.name, feed.missed, last.revision, self._clock.now())
                feed.more.set()

    def _too_old(self, begin: int) -> int:
        """Say where what is kept long enough ends; a step that cannot be read says nothing of its age."""
        oldest_allowed, end = self._clock.now() - self._limits.max_age_seconds, begin
        for place in range(begin, len(self._window)):
            reported = reported_at(self._window[place])
            if reported is not None and reported >= oldest_allowed:
                break
            end = end if reported is None else place + 1
        return end
