"""
A store that goes wrong: what the engine holds instead of the store in memory behind it.

It keeps the promises of the port and nothing more: replies are lost of writes that happened and of writes that did
not; it is slow, away for seconds or minutes, or full. Reads are linearizable, as the port promises. Each watch has a
lag of its own: it falls behind by seconds or minutes and then tells all at once, its batches are cut at other
revisions, it breaks, and is compacted under its reader; what two watches tell comes in any order. A write that was
on its way when its sender died may arrive later. A life may be cut off from it. Everything that is written goes
through the tap.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tests.simulation.disk import Disk
from tests.simulation.plan import End
from tests.simulation.world import World

from airscrew.state.errors import LeaseOverError, StoreFullError, StoreUnavailableError
from airscrew.state.limits import check_transaction
from airscrew.state.memory import MemoryStore
from airscrew.state.store import Compare, Event, KeyValue, Operation, Page, Put, StoreStatus, TxnResult

Tap = Callable[[int, Sequence[Operation], int], None]
"""Told of the revision, the writes, and the number of the life that made them; 0 for nobody's."""

LATE_SECONDS = 5.0
LAG_SECONDS = (0.5, 120.0)
"""How far a watch falls behind."""


@dataclass(slots=True)
class FaultyStore:
    """
    The store as one engine reaches it.

    Attributes:
        world: The run.
        inner: The truth.
        tap: Told of each transaction that was made.
        reads: How many reads there were.
        disk: What outlives a cut of the power.
    """

    world: World
    inner: MemoryStore
    tap: Tap = field(default=lambda revision, operations, life: None)
    reads: int = 0
    disk: Disk = field(default_factory=Disk)

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
        self._reach()
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
        self._reach()
        if self._is_away() or self._is_mute():
            raise StoreUnavailableError("no connection, on purpose")
        async for whole in self.inner.watch(start, end, from_revision=from_revision):
            if world.chance(world.plan.rates.watch_late):
                await self._lag(start)
            for batch in self._cut(whole):
                if (
                    self._is_away()
                    or self._is_cut_off()
                    or self._is_mute()
                    or world.chance(world.plan.rates.watch_broken)
                ):
                    world.fault("watch broken")
                    world.story.add("store", f"the watch of {start} breaks before revision {batch[0].revision}")
                    raise StoreUnavailableError("the stream broke, on purpose")
                await self._pause()
                yield batch

    async def _lag(self, start: str) -> None:
        world = self.world
        low, high = LAG_SECONDS
        left = max(world.plan.calm_after - world.loop.time(), 0.0)
        seconds = min(low * (high / low) ** world.dice.random(), left)
        world.fault("watch late")
        world.story.add("store", f"the watch of {start} falls behind by {seconds:.1f} s")
        await sleep(seconds)

    def _cut(self, batch: Sequence[Event]) -> Iterator[Sequence[Event]]:
        """Tell a batch in parts now and then; a revision is never torn apart."""
        begin = 0
        for place in range(1, len(batch)):
            if batch[place].revision != batch[place - 1].revision and self.world.chance(0.3):
                yield batch[begin:place]
                begin = place
        yield batch[begin:]

    async def grant_lease(self, seconds: float) -> int:
        await self._read_fault()
        lease = await self.inner.grant_lease(seconds)
        await self._pause()
        return lease

    async def keep_alive(self, lease: int) -> float:
        await self._read_fault()
        if self._is_mute():
            raise StoreUnavailableError("the sign of life is lost, on purpose")
        seconds = await self.inner.keep_alive(lease)
        await self._pause()
        return seconds

    async def revoke_lease(self, lease: int) -> None:
        await self._read_fault()
        await self.inner.revoke_lease(lease)
        await self._pause()

    async def compact(self, revision: int) -> None:
        await self.inner.compact(revision)

    async def status(self) -> StoreStatus:
        await self._read_fault()
        return await self.inner.status()

    def apply(
        self, compares: Sequence[Compare], operations: Sequence[Operation], *, sender: int | None = None
    ) -> TxnResult:
        """Make the writes, and let the tap know; the sender is the life that calls, unless another one is named."""
        if sender is None:
            life = self.world.life()
            sender = life.number if life is not None else 0
        result = self.inner._judge(compares, operations)
        if result.succeeded:
            self.disk.write(result.revision, operations)
            self.disk.sync()
            self.tap(result.revision, operations, sender)
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
                world.loop.call_later(
                    delay, self._arrive_late, compares, operations, life.number, context=world.context
                )
            case End.POWER:
                if world.dice.random() < 0.5:
                    self.apply(compares, operations)
                self._cut_power()
            case _:
                pass
        world.crash(life, f"{end.value} ({life.writes}: {', '.join(_name(one) for one in operations)})")
        await world.dead()

    def _arrive_late(self, compares: Sequence[Compare], operations: Sequence[Operation], sender: int) -> None:
        self.world.story.add("store", "a write of the dead life arrives now")
        with suppress(LeaseOverError):
            self.apply(compares, operations, sender=sender)

    def _cut_power(self) -> None:
        """Let the store come up again with what its disk has kept."""
        if not self.disk.cut_power(self.world.dice):
            return
        self.world.fault("power cut: writes lost")
        self.inner = MemoryStore(now=self.world.loop.time)
        for _, operations in self.disk.log:
            self.inner._apply([replace(one, lease=0) if isinstance(one, Put) else one for one in operations])

    def _is_cut_off(self) -> bool:
        life = self.world.life()
        return life is not None and life.is_cut_off

    def _is_mute(self) -> bool:
        life = self.world.life()
        return life is not None and life.is_mute

    def _reach(self) -> None:
        if self._is_cut_off():
            self.world.fault("store cut off")
            raise StoreUnavailableError("no route to the store, on purpose")

    async def _read_fault(self) -> None:
        await self._pause()
        self._reach()
        self.reads += 1
        if self.reads in self.world.plan.failed_reads:
            self.world.fault("read failed")
            raise StoreUnavailableError("no answer, for certain")
        if self._is_away() or self.world.chance(self.world.plan.rates.read_failed):
            self.world.fault("read failed")
            raise StoreUnavailableError("no answer, on purpose")

    async def _pause(self) -> None:
        """Let others go first; now and then for long."""
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
