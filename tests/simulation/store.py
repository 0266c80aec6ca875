"""
A store that goes wrong: what the engine holds instead of the store in memory behind it.

It keeps the promises of the port and nothing more: replies are lost of writes that happened and of writes that did
not; it is slow, away for seconds or minutes, or full; watches break, lag, and are compacted under their readers. A
write that was on its way when its sender died may arrive later. Everything that is written goes through the tap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from tests.simulation.plan import End
from tests.simulation.world import World

from airscrew.state.errors import StoreFullError, StoreUnavailableError
from airscrew.state.limits import check_transaction
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Compare, Event, KeyValue, Operation, Page, Put, StoreStatus, TxnResult

Tap = Callable[[int, Sequence[Operation]], None]

LATE_SECONDS = 5.0


@dataclass(slots=True)
class FaultyStore:
    """
    The store as one engine reaches it.

    Attributes:
        world: The run.
        inner: The truth.
        tap: Told of each transaction that was made, with its revision.
    """

    world: World
    inner: MemoryStore
    tap: Tap = field(default=lambda revision, operations: None)

    async def get(self, key: str) -> KeyValue | None:
        await self._read_fault()
        found = await self.inner.get(key)
        await self._pause()
        return found

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        await self._read_fault()
        page = await self.inner.range(start, end, limit=limit)
        await self._pause()
        return page

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        check_transaction(compares, operations)
        world = self.world
        end = world.write_ends_life()
        if end is not None:
            await self._end_life(end, compares, operations)
        await self._pause()
        self._refuse(operations)
        if world.chance(world.plan.rates.write_refused):
            world.fault("write did not happen, reply lost")
            world.story.add("store", "a write is lost")
            raise StoreUnavailableError("the connection broke, on purpose")
        result = self.apply(compares, operations)
        if world.chance(world.plan.rates.write_lost):
            world.fault("write happened, reply lost")
            world.story.add("store", "the reply to this write is lost")
            raise StoreUnavailableError("the connection broke, on purpose")
        await self._pause()
        return result

    async def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        world = self.world
        if self._is_away():
            raise StoreUnavailableError("no connection, on purpose")
        async for batch in self.inner.watch(start, end, from_revision=from_revision):
            if self._is_away() or world.chance(world.plan.rates.watch_broken):
                world.fault("watch broken")
                world.story.add("store", f"the watch of {start} breaks before revision {batch[0].revision}")
                raise StoreUnavailableError("the stream broke, on purpose")
            await self._pause()
            yield batch

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def status(self) -> StoreStatus:
        await self._read_fault()
        return await self.inner.status()

    def apply(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make the writes, and let the tap know."""
        result = self.inner._judge(compares, operations)
        if result.succeeded:
            self.tap(result.revision, operations)
        else:
            self.world.story.add("store", lambda: f"conflict: {', '.join(one.key for one in compares)}")
        return result

    async def _end_life(self, end: End, compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
        world = self.world
        life = world.life()
        assert life is not None
        match end:
            case End.WRITE_AFTER:
                self.apply(compares, operations)
            case End.WRITE_LATE:
                delay = world.dice.uniform(0.0, LATE_SECONDS)
                world.loop.call_later(delay, self._arrive_late, compares, operations, context=world.context)
            case _:
                pass
        world.crash(life, f"{end.value} ({life.writes}: {', '.join(_name(one) for one in operations)})")
        await world.dead()

    def _arrive_late(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
        self.world.story.add("store", "a write of the dead life arrives now")
        self.apply(compares, operations)

    async def _read_fault(self) -> None:
        await self._pause()
        if self._is_away() or self.world.chance(self.world.plan.rates.read_failed):
            self.world.fault("read failed")
            raise StoreUnavailableError("no answer, on purpose")

    async def _pause(self) -> None:
        """Let others go first; now and then for long."""
        from asyncio import sleep

        world = self.world
        if world.chance(world.plan.rates.slow):
            world.fault("slow reply")
            await sleep(world.dice.random() ** 3 * 8.0)
        else:
            await sleep(0)

    def _refuse(self, operations: Sequence[Operation]) -> None:
        if self._is_away():
            self.world.fault("store away")
            raise StoreUnavailableError("no connection, on purpose")
        if self._within(self.world.plan.full) and any(isinstance(one, Put) for one in operations):
            self.world.fault("store full")
            raise StoreFullError("no room, on purpose")

    def _is_away(self) -> bool:
        return self._within(self.world.plan.outages)

    def _within(self, windows: Sequence[tuple[float, float]]) -> bool:
        now = self.world.loop.time()
        return not self.world.calm and any(begin <= now < end for begin, end in windows)


def _name(operation: Operation) -> str:
    return operation.key if not hasattr(operation, "start") else f"{operation.start}..{operation.end}"
