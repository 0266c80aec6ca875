from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse
from airscrew.engine.workqueue import LaneStatistics, QueueShutDownError, WorkQueue

pytestmark = pytest.mark.virtual_time


def first_letter(key: str) -> str:
    return key[0]


def lanes_of(*keys: str, limits: Mapping[str, int] | None = None, default: int | None = None) -> WorkQueue[str]:
    queue = WorkQueue[str](clock=LoopClock(), lane=first_letter, lane_limits=limits, default_lane_limit=default)
    for key in keys:
        queue.add(key)
    return queue


async def take(queue: WorkQueue[str], count: int) -> list[str]:
    return [await queue.get() for _ in range(count)]


async def assert_has_nothing(queue: WorkQueue[str]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await queue.get()


async def test_lanes_take_turns_and_each_is_first_in_first_out():
    queue = lanes_of("a1", "a2", "a3", "b1", "b2", "c1")

    assert await take(queue, 6) == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_a_lane_with_a_hundred_thousand_keys_delays_another_by_one_key():
    queue = lanes_of(*(f"a{number}" for number in range(100_000)))
    queue.add("b1")

    assert "b1" in await take(queue, 2)


async def test_a_lane_at_its_limit_holds_up_no_other():
    queue = lanes_of("a1", "a2", "a3", "b1", "b2", limits={"a": 1})

    assert await take(queue, 3) == ["a1", "b1", "b2"]
    await assert_has_nothing(queue)


async def test_a_finished_key_makes_room_for_the_next_of_its_lane():
    queue = lanes_of("a1", "a2", limits={"a": 1})

    async with asyncio.TaskGroup() as group:
        first = await queue.get()
        waiting = group.create_task(queue.get())
        await elapse(1)
        assert not waiting.done()
        queue.done(first)

    assert waiting.result() == "a2"


async def test_a_key_added_again_takes_its_place_in_its_lane_and_under_its_limit():
    queue = lanes_of("a1", "a2", limits={"a": 1})
    await queue.get()
    queue.add("a1")

    queue.done("a1")

    assert await take(queue, 1) == ["a2"]
    await assert_has_nothing(queue)
    queue.done("a2")
    assert await take(queue, 1) == ["a1"]


async def test_the_default_limit_holds_for_lanes_without_their_own():
    queue = lanes_of("a1", "a2", "b1", "b2", limits={"b": 2}, default=1)

    assert await take(queue, 3) == ["a1", "b1", "b2"]
    await assert_has_nothing(queue)


async def test_a_paused_lane_hands_out_nothing_until_it_is_resumed():
    queue = lanes_of("a1", "a2")
    queue.set_lane_limit("a", 0)
    await assert_has_nothing(queue)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(queue.get()) for _ in range(2)]
        await elapse(1)
        queue.set_lane_limit("a", None)

    assert [worker.result() for worker in workers] == ["a1", "a2"]


async def test_a_limit_set_before_the_lanes_first_key_holds():
    queue = lanes_of()
    queue.set_lane_limit("a", 1)
    queue.add("a1")
    queue.add("a2")

    assert await take(queue, 1) == ["a1"]
    await assert_has_nothing(queue)


async def test_a_lowered_limit_lets_running_keys_finish_and_no_further_one_in():
    queue = lanes_of("a1", "a2", "a3")
    await take(queue, 2)

    queue.set_lane_limit("a", 1)
    queue.done("a1")
    await assert_has_nothing(queue)
    queue.done("a2")

    assert await take(queue, 1) == ["a3"]


async def test_a_shut_down_does_not_wait_for_what_is_ready_in_a_paused_lane():
    queue = lanes_of("a1", limits={"a": 0})

    await queue.shut_down_with_drain()

    with pytest.raises(QueueShutDownError):
        await queue.get()


async def test_a_drain_hands_out_the_keys_of_a_limited_lane_one_by_one():
    queue = lanes_of("a1", "a2", "a3", limits={"a": 1})
    seen = []

    async def work() -> None:
        while True:
            try:
                key = await queue.get()
            except QueueShutDownError:
                return
            await elapse(1)
            seen.append(key)
            queue.done(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(work())
        await queue.shut_down_with_drain()

    assert seen == ["a1", "a2", "a3"]


async def test_statistics_tell_each_lane():
    queue = lanes_of("a1", "a2", "b1", limits={"a": 1})
    await queue.get()

    stats = queue.statistics()

    assert stats.lanes == {
        "a": LaneStatistics(depth=1, in_processing=1, limit=1),
        "b": LaneStatistics(depth=1, in_processing=0, limit=None),
    }


async def test_lanes_that_are_empty_do_not_pile_up():
    queue = WorkQueue[int](clock=LoopClock(), lane=str)

    for number in range(2000):
        queue.add(number)
        queue.done(await queue.get())

    assert len(queue._lanes) < 300
