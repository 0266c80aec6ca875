"""
The queue against a model: random programs of adds, delays, gets, dones, limits and the passing of time.

The model is the guarantees written down the slow way. It does not say which lane's turn it is; it says which keys
may be handed out at all, and in which order those of one lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse, run_virtual
from airscrew.engine.workqueue import WorkQueue

KEYS = ["a1", "a2", "a3", "b1", "b2", "c1"]
keys = st.sampled_from(KEYS)
steps = st.one_of(
    st.tuples(st.just("add"), keys),
    st.tuples(st.just("add_after"), keys, st.integers(0, 9)),
    st.tuples(st.just("cancel"), keys),
    st.tuples(st.just("get")),
    st.tuples(st.just("get")),
    st.tuples(st.just("done"), st.integers(0, 5)),
    st.tuples(st.just("sleep"), st.integers(1, 5)),
    st.tuples(st.just("limit"), st.sampled_from("abc"), st.sampled_from([None, 0, 1, 2])),
)


class Model:
    def __init__(self) -> None:
        self.ready: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        self.again: set[str] = set()
        self.processing: list[str] = []
        self.delays: dict[str, float] = {}
        self.limits: dict[str, int | None] = {"a": 1}

    def add(self, key: str) -> None:
        if key in self.processing:
            self.again.add(key)
        elif key not in self.ready[key[0]]:
            self.ready[key[0]].append(key)

    def add_after(self, key: str, when: float) -> None:
        self.delays[key] = min(when, self.delays.get(key, when))

    def advance(self, now: float) -> None:
        for key in [key for key, when in self.delays.items() if when <= now]:
            del self.delays[key]
            self.add(key)

    def may_be_handed_out(self) -> Iterator[str]:
        for lane, ready in self.ready.items():
            limit = self.limits.get(lane)
            busy = sum(key[0] == lane for key in self.processing)
            if ready and (limit is None or busy < limit):
                yield ready[0]

    def get(self, key: str) -> None:
        self.ready[key[0]].remove(key)
        self.processing.append(key)

    def done(self, key: str) -> None:
        self.processing.remove(key)
        if key in self.again:
            self.again.remove(key)
            self.add(key)


async def compare(program: list[tuple]) -> None:
    clock, model = LoopClock(), Model()
    queue = WorkQueue[str](clock=clock, lane=lambda key: key[0], lane_limits={"a": 1})
    for step in program:
        match step:
            case ("add", key):
                queue.add(key)
                model.add(key)
            case ("add_after", key, 0):
                queue.add_after(key, 0)
                model.add(key)
            case ("add_after", key, seconds):
                # Each key's delays end at times of its own, so that their order is no matter of luck.
                seconds += 0.01 * (1 + KEYS.index(key))
                queue.add_after(key, seconds)
                model.add_after(key, clock.monotonic() + seconds)
            case ("cancel", key):
                assert queue.cancel_delayed(key) == (model.delays.pop(key, None) is not None)
            case ("get",):
                await get_both(queue, model)
            case ("done", index) if model.processing:
                key = model.processing[index % len(model.processing)]
                queue.done(key)
                model.done(key)
            case ("sleep", seconds):
                await sleep_both(seconds, model)
            case ("limit", lane, limit):
                queue.set_lane_limit(lane, limit)
                model.limits[lane] = limit
        stats = queue.statistics()
        assert stats.depth == sum(map(len, model.ready.values()))
        assert stats.in_processing == len(model.processing)
        assert stats.delayed == len(model.delays)


async def get_both(queue: WorkQueue[str], model: Model) -> None:
    allowed = set(model.may_be_handed_out())
    try:
        async with asyncio.timeout(0):
            key = await queue.get()
    except TimeoutError:
        assert not allowed
    else:
        assert key in allowed
        model.get(key)


async def sleep_both(seconds: float, model: Model) -> None:
    until = LoopClock().monotonic() + seconds
    await elapse(seconds)
    due = sorted((when, key) for key, when in model.delays.items() if when <= until)
    for when, _ in due:
        model.advance(when)


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(steps, max_size=60))
def test_the_queue_does_what_the_model_does(program: list[tuple]):
    run_virtual(compare(program))


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.tuples(keys, st.integers(0, 3)), max_size=40), st.integers(1, 4))
def test_a_run_begins_after_every_add_and_never_two_at_once(adds: list[tuple[str, int]], workers: int):
    queue = WorkQueue[str](clock=LoopClock(), lane=lambda key: key[0], default_lane_limit=2)
    begun: dict[str, float] = {}
    added: dict[str, float] = {}
    running: set[str] = set()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            begun[key] = tick()
            await elapse(2)
            running.remove(key)
            queue.done(key)

    ticks = iter(range(1_000_000))

    def tick() -> int:
        return next(ticks)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(workers)]
            for key, pause in adds:
                await elapse(pause)
                added[key] = tick()
                queue.add(key)
            await elapse(1000)
            for task in tasks:
                task.cancel()

    run_virtual(main())
    assert all(begun[key] > added[key] for key in added)
