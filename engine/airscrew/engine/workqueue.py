"""
The work queue: client-go's ``util/workqueue``, for coroutines of one loop.

Guarantees:

1. Fair: keys are handed out in the order in which they became ready (within a lane, see 8).
2. Stingy: a key is never with two workers at once. However often it is added before it is handed out, it is
   handed out once; however often it is added while a worker has it, it is handed out once more, after that
   worker's ``done``. No add is lost: a run begins after every add.
3. Any number of producers and workers, and a worker may add keys, its own included. All calls are made on the
   loop's thread; from another one use ``loop.call_soon_threadsafe(queue.add, key)``.
4. Delaying: ``add_after(key, seconds)`` adds the key once that time has passed. A key has at most one delay:
   of two, the earlier wins. An ``add`` meanwhile does not cancel it; ``cancel_delayed`` does.
5. Rate limited: ``add_rate_limited(key)`` delays by the larger of the key's own exponential backoff, with
   jitter and a cap, and the token bucket that all keys share. ``num_requeues(key)`` counts them until
   ``forget(key)``.
6. ``shut_down()``: later adds are ignored, delays are dropped, what is ready is still handed out, and then
   every ``get``, waiting ones included, raises ``QueueShutDownError``. ``shut_down_with_drain()`` also waits
   until every key handed out is done.
7. A cancelled ``get`` loses no key and no wake-up.
8. Lanes: with ``lane`` given, lanes with ready keys take turns, key by key, so that one with 100,000 keys
   delays the others by one key; the order in a lane is first in, first out. A lane with a limit never has
   more keys with workers than that, and one at its limit holds up no other. A limit of 0 pauses the lane;
   what is ready in a paused lane is not waited for at shut-down.

A key costs no task and no timer of its own: ready keys stand in a deque, delayed ones in a heap with one
timer of the loop.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from airscrew.engine.clock import Clock
from airscrew.engine.errors import EngineError
from airscrew.engine.ratelimit import ExponentialBackoff, TokenBucket

KeyT = TypeVar("KeyT", bound=Hashable)

_ROUNDING = 1e-6  # a timer may fire this much before the time it was set for
_KEPT_LANES = 256  # idle lanes beyond so many are forgotten
_HEAP_SLACK = 64  # superseded delays that the heap may hold before it is rebuilt


class QueueShutDownError(EngineError):
    """The queue is shut down and has nothing left: the worker ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """How a lane stands: its ready keys, those with workers, and the most that workers may have at once."""

    depth: int
    in_processing: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """
    How a work queue stands.

    Attributes:
        depth: Keys ready and not yet handed out.
        delayed: Keys that wait for their time.
        in_processing: Keys with workers.
        oldest_age_seconds: How long the oldest ready key has been ready.
        longest_processing_seconds: How long the slowest worker has had its key.
        adds: Keys accepted so far, by whatever way.
        folded: Adds that fell together with an earlier one.
        retries: Rate-limited adds so far.
        lanes: The lanes that have keys, or a limit.
    """

    depth: int
    delayed: int
    in_processing: int
    oldest_age_seconds: float
    longest_processing_seconds: float
    adds: int
    folded: int
    retries: int
    lanes: Mapping[str, LaneStatistics]


class _Lane(Generic[KeyT]):
    """The ready keys of one plugin or tenant; ``in_turn`` says whether it stands in the ring."""

    __slots__ = ("in_turn", "keys", "limit", "name", "processing")

    def __init__(self, name: str, limit: int | None) -> None:
        self.name = name
        self.limit = limit
        self.keys: deque[KeyT] = deque()
        self.processing = 0
        self.in_turn = False

    def has_capacity(self) -> bool:
        return self.limit is None or self.processing < self.limit


_Delay = tuple[float, int, KeyT]


class WorkQueue(Generic[KeyT]):
    """
    A fair, deduplicating, delaying, rate-limited queue; see the module's guarantees.

    Args:
        clock: The time.
        backoff: The delay of a key that is added rate-limited again and again; None for none.
        bucket: What all rate-limited adds share; None for no limit.
        lane: Names a key's lane; must always give the same one. None puts all keys in the lane ``""``.
        lane_limits: How many keys of a lane workers may have at once.
        default_lane_limit: The same for lanes not named there; None for no limit.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        backoff: ExponentialBackoff | None = None,
        bucket: TokenBucket | None = None,
        lane: Callable[[KeyT], str] | None = None,
        lane_limits: Mapping[str, int] | None = None,
        default_lane_limit: int | None = None,
    ) -> None:
        self._monotonic = clock.monotonic
        self._backoff = backoff
        self._bucket = bucket
        self._lane_of = lane
        self._limits: dict[str, int | None] = dict(lane_limits or {})
        self._default_limit = default_lane_limit
        self._lanes: dict[str, _Lane[KeyT]] = {}
        self._ring: deque[_Lane[KeyT]] = deque()  # exactly the lanes with a ready key and room for it
        self._dirty: dict[KeyT, float] = {}  # keys to be handed out, with the time at which they became ready
        self._processing: dict[KeyT, tuple[_Lane[KeyT], float]] = {}  # in the order in which they were handed out
        self._delays: dict[KeyT, _Delay[KeyT]] = {}
        self._heap: list[_Delay[KeyT]] = []  # may hold superseded delays; those in _delays count
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._requeues: dict[KeyT, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._drained: asyncio.Event | None = None
        self._is_shut_down = False
        self._adds = self._folded = self._retries = 0

    def add(self, key: KeyT) -> None:
        """Make a key ready; again after ``done`` when a worker has it. Never waits."""
        if self._is_shut_down:
            return
        if key in self._dirty:
            self._folded += 1
            return
        self._adds += 1
        processing = self._processing.get(key)
        if processing is None:
            self._enqueue(self._lane(key), key)
        else:
            self._dirty[key] = 0.0  # its age begins when the worker lets go of it

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Add a key once so many seconds have passed; at once for none. The earlier of two delays wins."""
        if self._is_shut_down:
            return
        if seconds <= 0:
            self.add(key)
            return
        when = self._monotonic() + seconds
        known = self._delays.get(key)
        if known is not None and known[0] <= when:
            self._folded += 1
            return
        self._sequence += 1
        delay = (when, self._sequence, key)
        self._delays[key] = delay
        heapq.heappush(self._heap, delay)
        if self._heap[0] is delay:
            self._set_timer(seconds)

    def cancel_delayed(self, key: KeyT) -> bool:
        """Forget a key's delay, so that nothing is held for a key that is over; say whether it had one."""
        if self._delays.pop(key, None) is None:
            return False
        if len(self._heap) > 2 * len(self._delays) + _HEAP_SLACK:
            self._heap = list(self._delays.values())
            heapq.heapify(self._heap)
        return True

    def add_rate_limited(self, key: KeyT) -> float:
        """Add a key as soon as the rate limits allow, and return the seconds until then."""
        if self._is_shut_down:
            return 0.0
        failures = self._requeues.get(key, 0) + 1
        self._requeues[key] = failures
        self._retries += 1
        own = self._backoff.delay(failures) if self._backoff is not None else 0.0
        shared = self._bucket.reserve(self._monotonic()) if self._bucket is not None else 0.0
        seconds = max(own, shared)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: KeyT) -> None:
        """Count a key's rate-limited adds from zero again, as its work has succeeded or is given up."""
        self._requeues.pop(key, None)

    def num_requeues(self, key: KeyT) -> int:
        """Return how often a key was added rate-limited since it was last forgotten."""
        return self._requeues.get(key, 0)

    async def get(self) -> KeyT:
        """
        Hand out the next key; the worker owns it until it calls ``done`` with it.

        Waits only while no key may be handed out.

        Raises:
            QueueShutDownError: The queue is shut down and empty.
        """
        while not self._ring:
            if self._is_shut_down and not self._may_become_ready():
                raise QueueShutDownError("the work queue is shut down")
            await self._wait()
        lane = self._ring.popleft()
        key = lane.keys.popleft()
        del self._dirty[key]
        lane.processing += 1
        if lane.keys and lane.has_capacity():
            self._ring.append(lane)
        else:
            lane.in_turn = False
        self._processing[key] = (lane, self._monotonic())
        return key

    def done(self, key: KeyT) -> None:
        """
        Take a key back from its worker; called exactly once for each key handed out, whatever became of it.

        Raises:
            ValueError: No worker has the key.
        """
        processing = self._processing.pop(key, None)
        if processing is None:
            raise ValueError(f"done({key!r}): no worker has this key; call done once for each get")
        lane = processing[0]
        lane.processing -= 1
        if key in self._dirty:
            self._enqueue(lane, key)
        elif lane.keys:
            self._give_turn(lane)
        elif not lane.processing and len(self._lanes) > _KEPT_LANES:
            del self._lanes[lane.name]
        if self._is_shut_down:
            self._finish_if_over()

    def set_lane_limit(self, lane: str, limit: int | None) -> None:
        """Set how many keys of a lane workers may have at once: 0 pauses it, None lifts the limit."""
        self._limits[lane] = limit
        known = self._lanes.get(lane)
        if known is None:
            return
        known.limit = limit
        if known.in_turn and not known.has_capacity():
            self._ring.remove(known)
            known.in_turn = False
        for _ in range(min(len(known.keys), max(1, len(self._getters)))):
            self._give_turn(known)
        if self._is_shut_down:
            self._finish_if_over()

    def shut_down(self) -> None:
        """Take nothing new, drop the delays, hand out what is ready, then end the workers. May be called again."""
        self._is_shut_down = True
        self._delays.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._finish_if_over()

    async def shut_down_with_drain(self) -> None:
        """Shut down, and wait until every key that was ready has been handed out and is done."""
        self.shut_down()
        if self._drained is None:
            self._drained = asyncio.Event()
            self._finish_if_over()
        await self._drained.wait()

    @property
    def is_shut_down(self) -> bool:
        """Whether ``shut_down`` was called."""
        return self._is_shut_down

    def __len__(self) -> int:
        """Return how many keys are ready."""
        return sum(len(lane.keys) for lane in self._lanes.values())

    def statistics(self) -> QueueStatistics:
        """Tell how the queue stands; costs a step per lane."""
        now = self._monotonic()
        oldest = min((self._dirty[lane.keys[0]] for lane in self._lanes.values() if lane.keys), default=now)
        _, slowest = next(iter(self._processing.values()), (None, now))
        return QueueStatistics(
            depth=len(self),
            delayed=len(self._delays),
            in_processing=len(self._processing),
            oldest_age_seconds=now - oldest,
            longest_processing_seconds=now - slowest,
            adds=self._adds,
            folded=self._folded,
            retries=self._retries,
            lanes={
                lane.name: LaneStatistics(depth=len(lane.keys), in_processing=lane.processing, limit=lane.limit)
                for lane in self._lanes.values()
                if lane.keys or lane.processing or lane.limit is not None
            },
        )

    def _lane(self, key: KeyT) -> _Lane[KeyT]:
        name = self._lane_of(key) if self._lane_of is not None else ""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(name, self._limits.get(name, self._default_limit))
        return lane

    def _enqueue(self, lane: _Lane[KeyT], key: KeyT) -> None:
        self._dirty[key] = self._monotonic()
        lane.keys.append(key)
        self._give_turn(lane)

    def _give_turn(self, lane: _Lane[KeyT]) -> None:
        """Put a lane that has keys into the ring if it may be served, and wake a worker for one of them."""
        if not lane.in_turn:
            if not lane.has_capacity():
                return
            lane.in_turn = True
            self._ring.append(lane)
        if self._getters:
            self._wake_one()

    async def _wait(self) -> None:
        getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._getters.remove(getter)
            if not getter.cancelled() and self._ring and self._getters:
                self._wake_one()  # this wake-up was for a key that another worker has to take now
            raise

    def _wake_one(self) -> None:
        getter = self._getters.popleft()
        while getter.done() and self._getters:  # cancelled, and not yet aware of it
            getter = self._getters.popleft()
        if not getter.done():
            getter.set_result(None)

    def _may_become_ready(self) -> bool:
        """Say whether a key may still be handed out after the shut-down."""
        lanes = self._lanes.values()
        if any(lane.keys and lane.limit != 0 for lane in lanes):
            return True
        return any(key in self._dirty and lane.limit != 0 for key, (lane, _) in self._processing.items())

    def _finish_if_over(self) -> None:
        if self._ring or self._may_become_ready():
            return
        while self._getters:
            self._wake_one()
        if self._drained is not None and not self._processing:
            self._drained.set()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._monotonic()
        while self._heap:
            delay = self._heap[0]
            when, _, key = delay
            is_live = self._delays.get(key) is delay
            if is_live and when > now + _ROUNDING:
                self._set_timer(when - now)
                return
            heapq.heappop(self._heap)
            if is_live:
                del self._delays[key]
                self.add(key)
