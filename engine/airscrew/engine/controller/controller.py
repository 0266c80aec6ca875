"""
The controller: which executions are under control, and when each gets its turn.

Keys enter the queue from the requests in the store (a watch that is resumed, and listed again after a compaction),
from timers, from ``wake`` of executors and caches, and from its own start, when everything unfinished is taken under
control. Level-triggered: a key says only *which*; what is to be done is read from the record.

Guarantees: an execution has one turn at a time; an error in a turn is contained, shown, and tried again later; a drain
ends turns between two steps, never within one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from cachetools import LRUCache

from airscrew.engine.clock import Clock
from airscrew.engine.controller.answers import describe
from airscrew.engine.controller.commit import SUBMIT, ExecutionGoneError
from airscrew.engine.controller.inside import call_inside
from airscrew.engine.controller.intake import Intake
from airscrew.engine.controller.late_starts import tell_of_late_start
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.shards import OpenShards
from airscrew.engine.controller.turn import Dispatch, Turns, may_be_outside
from airscrew.engine.machine import first_record
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.metrics.names import TURN_FAILURES
from airscrew.engine.workqueue import QueueShutDownError, WorkQueue
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.errors import ShardLostError, StoreUnavailableError
from airscrew.state.following import RETRY_SECONDS
from airscrew.state.members import shard_unit
from airscrew.state.records import (
    Options,
    RecordError,
    Stage,
    decode_options,
    decode_record,
)
from airscrew.state.store import Store

log = logging.getLogger("airscrew.controller")

TURN_RETRY_SECONDS = 5.0
TURN_RETRY_CAP_SECONDS = 300.0


@dataclass(slots=True, kw_only=True)
class Controller:
    """
    Drives every unfinished execution of the store.

    Attributes:
        store: Where they are.
        installation: Part of every key.
        turns: Takes the turns.
        dispatch: Says who has an execution.
        queue: Whose turn it is.
        clock: The engine's time.
        in_scope: Whether an execution is to be worked on by this process; the others are left alone.
        on_control: Called when an execution comes under control.
        on_change: Called after each turn, for those who watch in process.
        on_done: Called when an execution is done.
        on_lost: Called with each execution under control that is another engine's from now on, or gone.
        shards: Which shards are worked on.
        workers: How many turns are taken at once.
        meters: Where turns that fail are counted.
    """

    store: Store
    installation: str
    turns: Turns
    dispatch: Callable[[Live], Dispatch]
    queue: WorkQueue[ExecutionId]
    clock: Clock
    in_scope: Callable[[Live], bool] = field(default=lambda _live: True)
    on_control: Callable[[Live], None] = field(default=lambda _live: None)
    on_change: Callable[[Live], None] = field(default=lambda _live: None)
    on_done: Callable[[Live], None] = field(default=lambda _live: None)
    on_lost: Callable[[Live], None] = field(default=lambda _live: None)
    shards: OpenShards = field(default_factory=OpenShards.all)
    workers: int = 64
    meters: Meters = NO_METERS
    _lives: dict[ExecutionId, Live] = field(default_factory=dict[ExecutionId, Live])
    _intake: Intake = field(init=False)
    _by_key: dict[str, ExecutionId] = field(default_factory=dict[str, ExecutionId])
    _expected: LRUCache[ExecutionId, Options] = field(default_factory=lambda: LRUCache[ExecutionId, Options](8192))
    _left_alone: set[ExecutionId] = field(default_factory=set[ExecutionId])
    _failures: dict[ExecutionId, int] = field(default_factory=dict[ExecutionId, int])
    _loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        self._intake = Intake(self.store, self.installation, self.shards, self.queue.add)

    async def run(self, ready: Callable[[], None]) -> None:
        """
        Take control and drive until ``drain`` is called or the task is cancelled.

        Args:
            ready: Called once everything unfinished is in the queue.
        """
        self._loop = asyncio.get_running_loop()
        await self._intake.begin()
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._intake.follow(), name="requests")
            workers = [group.create_task(self._work(), name=f"worker-{n}") for n in range(self.workers)]
            ready()
            for worker in workers:
                await worker
            watcher.cancel()

    async def drain(self) -> None:
        """Take no new turns, and wait until those under way have come to a place where they can stop."""
        await self.queue.shut_down_with_drain()

    async def open_shard(self, shard: int) -> None:
        """Take all that is unfinished in a shard under control; again and again while the store is away."""
        self.shards.open(shard)
        while self.shards.is_open(shard):
            try:
                await self._intake.take_in_shard(shard)
            except StoreUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def close_shard(self, shard: int) -> None:
        """
        Take no new turns in a shard, and return when those under way have come to their end.

        Also when the shard is opened again meanwhile, as after it went and came back: then nothing of it is dropped.
        """
        self.shards.close(shard)
        if await self.shards.quiet(shard):
            self.drop_shard(shard)

    def drop_shard(self, shard: int) -> None:
        """Forget a shard: what is under way in it fails at its next write."""
        self.shards.close(shard)
        for execution in self.shards.take_all(shard):
            self._abandon(execution)

    def wake(self, execution: ExecutionId) -> None:
        """Ask for a look now. Thread-safe, cheap."""
        call_inside(self._loop, self._wake, execution)

    def wake_key(self, key: str) -> None:
        """Ask for a look at the execution whose attempt has this key. Thread-safe, cheap."""
        call_inside(self._loop, self._wake_key, key)

    def wake_all_of(self, executor_id: str) -> None:
        """Ask for a look at all that an executor has. Thread-safe."""
        call_inside(self._loop, self._wake_all_of, executor_id)

    def wake_those_of(self, executors: Collection[str]) -> None:
        """Ask for a look at all that may have waited for executors that are there now."""
        for live in list(self._lives.values()):
            if not live.record.executor or live.record.executor in executors:
                self._wake(live.execution)

    def look(self, execution: ExecutionId) -> None:
        """Look at an execution that may not be under control yet."""
        self.queue.add(execution)

    @property
    def left_alone(self) -> int:
        """How many unfinished executions are out of scope."""
        return len(self._left_alone)

    @property
    def lives(self) -> Iterable[Live]:
        """All that is under control; not to be kept, for it changes."""
        return self._lives.values()

    def live(self, execution: ExecutionId) -> Live | None:
        """Return what is kept of an execution under control."""
        return self._lives.get(execution)

    @property
    def ready(self) -> int:
        """How many wait for their turn now."""
        return len(self.queue)

    @property
    def unfinished(self) -> int:
        """How many executions are under control and not done."""
        return len(self._lives)

    def _wake(self, execution: ExecutionId) -> None:
        live = self._lives.get(execution)
        if live is not None:
            live.woken = True
            self.queue.add(execution)

    def _wake_all_of(self, executor_id: str) -> None:
        for live in self._lives.values():
            if live.record.executor == executor_id:
                live.woken = True
                self.queue.add(live.execution)

    def _wake_key(self, key: str) -> None:
        execution = self._by_key.get(key)
        if execution is not None:
            self._wake(execution)

    def _index(self, live: Live) -> None:
        """Keep the execution findable by the key of its attempt."""
        key = "" if live.record.stage is Stage.DONE else live.key
        if key != live.indexed:
            self._by_key.pop(live.indexed, None)
            live.indexed = key
            if key:
                self._by_key[key] = live.execution

    async def _work(self) -> None:
        while True:
            try:
                execution = await self.queue.get()
            except QueueShutDownError:
                return
            try:
                await self._turn(execution)
            finally:
                self.queue.done(execution)

    async def _turn(self, execution: ExecutionId) -> None:
        if not self.shards.is_open(execution.shard):
            self._intake.forget(execution)
            return
        with self.shards.turn(execution.shard):
            await self._take_turn(execution)

    async def _take_turn(self, execution: ExecutionId) -> None:
        live: Live | None = None
        try:
            live = self._lives.get(execution) or await self._take_control(execution)
            if live is None:
                return
            await self._intake.tell_of_strangers(execution, live.options.uid)
            live.check_kept()  # what was asked since is for a turn with what is stored by now
            self._intake.hand_over(live)
            until = await self.turns.take(live)
        except ExecutionGoneError:
            if (gone := self._forget(execution)) is not None:
                self.turns.leave_line(gone)
                self.on_lost(gone)
                self._intake.keep(gone)
            await self._tell_of_late_start(live)
            self.queue.add(execution)  # its name may have been taken again, by one whose requests came to this turn
            return
        except ShardLostError:
            if live is None or not live.lost:
                self._abandon(execution)
            await self._tell_of_late_start(live)
            return
        except RecordError as error:  # no defect of what reads it: a person has to look at what is stored
            told = {"execution": str(execution), "error": describe(error)}
            log.warning("what is stored of an execution cannot be read", extra=told)
            self._put_off(execution)
            return
        except Exception as error:  # the wall of a turn: it concerns this execution alone
            log.exception("a turn failed", extra={"execution": str(execution), "error": describe(error)})
            self._put_off(execution)
            return
        self._failures.pop(execution, None)
        self._index(live)
        self.on_change(live)
        if live.record.stage is Stage.DONE and until is None:
            # Requests that came meanwhile stay: the queue has the execution once more for them.
            self._forget(execution)
            self.queue.cancel_delayed(execution)
            self.on_done(live)
        elif until is not None:
            self.queue.add_after(execution, max(until - self.clock.now(), 0.0))

    def _put_off(self, execution: ExecutionId) -> None:
        self.meters.count(TURN_FAILURES)
        live = self._lives.get(execution)
        if live is not None:
            self._intake.keep(live)
            self.turns.leave_line(live)
        self._forget(execution)
        failures = self._failures[execution] = self._failures.get(execution, 0) + 1
        pause = min(TURN_RETRY_SECONDS * 2.0 ** min(failures - 1, 30), TURN_RETRY_CAP_SECONDS)
        self.queue.add_after(execution, pause)

    async def _tell_of_late_start(self, live: Live | None) -> None:
        if live is not None and live.asked is not None:
            await tell_of_late_start(self.store, live, live.asked, self.clock.now())

    def _forget(self, execution: ExecutionId) -> Live | None:
        live = self._lives.pop(execution, None)
        if live is not None:
            self._by_key.pop(live.indexed, None)
            self.shards.remove(execution)
        return live

    def _abandon(self, execution: ExecutionId) -> None:
        """Forget an execution that is another engine's, and what was asked of it before it came back if it did."""
        if not self.shards.is_open(execution.shard):
            self._intake.forget(execution)
        self._failures.pop(execution, None)
        self.queue.cancel_delayed(execution)
        live = self._forget(execution)
        if live is not None:
            live.lost = True
            self.turns.abandon(live)
            self.on_lost(live)

    def expect(self, execution: ExecutionId, options: Options) -> None:
        """Keep what is about to be accepted by this process, so that it need not be read again."""
        self._expected[execution] = options

    def _expected_live(self, execution: ExecutionId) -> Live | None:
        """Take up what was just accepted by this process: nobody else can have written a record of it."""
        options = self._expected.pop(execution, None)
        submitted = self._intake.of(execution).get(SUBMIT)
        if options is None or submitted is None or submitted[0].uid != options.uid:
            return None
        return Live(execution, options, self.installation, first_record(options), accepted=submitted[1])

    async def _stored_live(self, execution: ExecutionId) -> Live | None:
        spec = await self.store.get(keys.spec_key(execution))
        if spec is None:
            await self._intake.drop(execution)
            return None
        options = decode_options(spec.value)
        found = await self.store.get(keys.record_key(execution))
        record = first_record(options) if found is None else decode_record(found.value)
        if record.stage is Stage.ENDING and record.verdict is None:
            raise RecordError("it is ending, and has no verdict")
        live = Live(execution, options, self.installation, record, accepted=spec.mod_revision)
        if found is not None:
            live.stored, live.revision = record, found.mod_revision
        return live

    async def _take_control(self, execution: ExecutionId) -> Live | None:
        term = self.shards.term(execution.shard)
        live = self._expected_live(execution) or await self._stored_live(execution)
        if live is None:
            return None
        await self._intake.tell_of_strangers(execution, live.options.uid)
        if self.shards.term(execution.shard) != term:
            # It went to another engine meanwhile: what was read may be old, even when it is back by now.
            raise ShardLostError(shard_unit(execution.shard))
        record = live.record
        live.requests.update(self._intake.of(execution))
        live.requests.pop(SUBMIT, None)
        if record.stage is Stage.DONE and not live.requests:
            return None
        if not self.in_scope(live):
            self._left_alone.add(execution)
            return None
        self._left_alone.discard(execution)
        if live.stored is None:
            live.report(self.clock.now())
        self._lives[execution] = live
        self.shards.add(execution)
        self._index(live)
        self.on_control(live)
        given = self.dispatch(live)
        if given.gate is not None and may_be_outside(record):
            given.gate.take(execution)
        # A job may have ended while nobody looked: the first look does not wait for the timer.
        live.woken = True
        return live
