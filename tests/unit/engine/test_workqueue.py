from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from airscrew.engine.clock import LoopClock
from airscrew.engine.ratelimit import ExponentialBackoff, TokenBucket
from airscrew.engine.testing.virtual_time import elapse
from airscrew.engine.workqueue import QueueShutDownError, WorkQueue

pytestmark = pytest.mark.virtual_time


def queue_of(*keys: str, **options: object) -> WorkQueue[str]:
    queue: WorkQueue[str] = WorkQueue(clock=LoopClock(), **options)
    for key in keys:
        queue.add(key)
    return queue


async def take_all(queue: WorkQueue[str]) -> list[str]:
    taken = []
    while len(queue):
        key = await queue.get()
        taken.append(key)
        queue.done(key)
    return taken


async def assert_waits(wait: Callable[[], Awaitable[object]], seconds: float = 1000.0) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait()


async def test_keys_are_handed_out_in_the_order_of_their_adding():
    queue = queue_of("c", "a", "b")

    assert await take_all(queue) == ["c", "a", "b"]


async def test_a_key_added_often_before_it_is_handed_out_is_handed_out_once():
    queue = queue_of("a", "b", "a", "a")

    assert await take_all(queue) == ["a", "b"]
    assert queue.statistics().adds == 2
    assert queue.statistics().folded == 2


async def test_a_key_is_never_with_two_workers_at_once():
    queue = queue_of("a")
    first = await queue.get()

    queue.add("a")

    assert first == "a"
    await assert_waits(queue.get)


async def test_adds_during_processing_are_folded_into_one_run_after_done():
    queue = queue_of("a")
    await queue.get()
    queue.add("a")
    queue.add("a")

    queue.done("a")

    assert await take_all(queue) == ["a"]


async def test_a_key_added_again_during_processing_goes_behind_those_that_wait():
    queue = queue_of("a", "b")
    await queue.get()
    queue.add("a")

    queue.done("a")

    assert await take_all(queue) == ["b", "a"]


async def test_a_waiting_worker_is_woken_by_an_add():
    queue = queue_of()

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(queue.get())
        await elapse(5)
        queue.add("a")

    assert worker.result() == "a"


async def test_each_of_many_waiting_workers_gets_a_key():
    queue = queue_of()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(queue.get()) for _ in range(5)]
        await elapse(1)
        for key in "abcde":
            queue.add(key)

    assert sorted(worker.result() for worker in workers) == list("abcde")


async def test_done_with_a_key_that_no_worker_has_is_an_error():
    queue = queue_of("a")

    with pytest.raises(ValueError, match=r"done\('a'\): no worker has this key"):
        queue.done("a")


async def test_a_cancelled_get_passes_its_wake_up_on():
    queue = queue_of()

    async with asyncio.TaskGroup() as group:
        doomed, other = group.create_task(queue.get()), group.create_task(queue.get())
        await elapse(1)
        queue.add("a")
        doomed.cancel()

    assert doomed.cancelled()
    assert other.result() == "a"


async def test_a_get_cancelled_while_it_waits_takes_no_key_with_it():
    queue = queue_of()

    async with asyncio.TaskGroup() as group:
        doomed = group.create_task(queue.get())
        await elapse(1)
        doomed.cancel()
        queue.add("a")

    assert await take_all(queue) == ["a"]


async def test_a_delayed_key_is_handed_out_at_its_time():
    queue = queue_of()
    queue.add_after("a", 7.5)

    await queue.get()

    assert LoopClock().monotonic() == 7.5


@pytest.mark.parametrize(("first", "second"), [(30.0, 10.0), (10.0, 30.0)])
async def test_of_two_delays_the_earlier_wins_and_the_later_is_gone(first: float, second: float):
    queue = queue_of()
    queue.add_after("a", first)
    queue.add_after("a", second)

    queue.done(await queue.get())

    assert LoopClock().monotonic() == 10.0
    await assert_waits(queue.get)


async def test_delayed_keys_come_in_the_order_of_their_times():
    queue = queue_of()
    for key, seconds in (("c", 3.0), ("a", 1.0), ("d", 3.0), ("b", 2.0)):
        queue.add_after(key, seconds)

    taken = [await queue.get() for _ in range(4)]

    assert taken == ["a", "b", "c", "d"]


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_delay_of_nothing_adds_at_once(seconds: float):
    queue = queue_of()

    queue.add_after("a", seconds)

    assert len(queue) == 1


async def test_an_add_leaves_the_keys_delay_as_it_is():
    queue = queue_of()
    queue.add_after("a", 10.0)
    queue.add("a")
    queue.done(await queue.get())

    queue.done(await queue.get())

    assert LoopClock().monotonic() == 10.0


async def test_a_delay_that_ends_during_processing_leads_to_one_more_run():
    queue = queue_of("a")
    await queue.get()
    queue.add_after("a", 5.0)
    await elapse(20)

    queue.done("a")

    assert await take_all(queue) == ["a"]


async def test_a_cancelled_delay_never_adds_its_key():
    queue = queue_of()
    queue.add_after("a", 5.0)
    queue.add_after("b", 6.0)

    assert queue.cancel_delayed("a")
    assert not queue.cancel_delayed("a")

    assert await queue.get() == "b"
    await assert_waits(queue.get)


async def test_cancelled_and_superseded_delays_do_not_pile_up():
    queue = queue_of()

    for number in range(1000):
        queue.add_after(str(number), 1e6)
        queue.cancel_delayed(str(number))

    assert len(queue._heap) < 100
    assert queue.statistics().delayed == 0


async def test_any_number_of_delays_costs_one_timer_of_the_loop():
    queue = queue_of()

    for number in range(1000):
        queue.add_after(str(number), 1000.0 - number)

    live = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]
    assert len(live) == 1


def limited(bucket: TokenBucket | None = None, jitter: float = 0.0) -> WorkQueue[str]:
    backoff = ExponentialBackoff(base_seconds=1.0, cap_seconds=10.0, jitter=jitter, random=Random(7))
    return queue_of(backoff=backoff, bucket=bucket)


async def test_rate_limited_adds_back_off_exponentially_up_to_the_cap():
    queue = limited()

    delays = []
    for _ in range(6):
        delays.append(queue.add_rate_limited("a"))
        queue.done(await queue.get())

    assert delays == [1, 2, 4, 8, 10, 10]
    assert LoopClock().monotonic() == sum(delays)
    assert queue.statistics().retries == 6


async def test_keys_back_off_each_for_itself_until_forgotten():
    queue = limited()
    for _ in range(3):
        queue.add_rate_limited("a")

    assert queue.num_requeues("a") == 3
    assert queue.add_rate_limited("b") == 1
    queue.forget("a")
    assert queue.num_requeues("a") == 0
    assert queue.add_rate_limited("a") == 1


async def test_forgetting_a_key_leaves_its_delay_alone():
    queue = limited()
    queue.add_rate_limited("a")

    queue.forget("a")

    assert await queue.get() == "a"


async def test_the_bucket_is_shared_and_the_longer_of_both_delays_counts():
    queue = limited(TokenBucket(rate=0.5, burst=1))

    delays = [queue.add_rate_limited(key) for key in ("a", "b", "c")]

    assert delays == [1, 2, 4]


async def test_jitter_spreads_the_retries_of_different_keys():
    queue = limited(jitter=0.5)

    delays = {queue.add_rate_limited(str(number)) for number in range(20)}

    assert len(delays) == 20
    assert all(1.0 <= delay <= 1.5 for delay in delays)


async def test_after_a_shut_down_what_is_ready_is_handed_out_and_nothing_new():
    queue = queue_of("a")
    queue.shut_down()
    queue.add("b")
    queue.add_after("c", 1.0)
    queue.add_rate_limited("d")

    queue.done(await queue.get())

    with pytest.raises(QueueShutDownError):
        await queue.get()


async def test_a_shut_down_wakes_all_waiting_workers():
    queue = queue_of()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(outcome(queue)) for _ in range(3)]
        await elapse(1)
        queue.shut_down()

    assert [worker.result() for worker in workers] == ["shut down"] * 3


async def outcome(queue: WorkQueue[str]) -> str:
    try:
        return await queue.get()
    except QueueShutDownError:
        return "shut down"


async def test_a_shut_down_drops_the_delays_and_their_timer():
    queue = queue_of()
    queue.add_after("a", 10.0)

    queue.shut_down()

    assert queue.statistics().delayed == 0
    assert all(handle.cancelled() for handle in asyncio.get_running_loop()._scheduled)


async def test_a_worker_waits_for_a_key_that_another_one_will_give_back_after_a_shut_down():
    queue = queue_of("a")
    await queue.get()
    queue.add("a")
    queue.shut_down()

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(queue.get())
        await elapse(1)
        queue.done("a")

    assert worker.result() == "a"


async def test_a_drain_ends_when_every_key_is_done():
    queue = queue_of("a", "b")
    ended_at = []

    async def work(seconds: float) -> None:
        key = await queue.get()
        await elapse(seconds)
        queue.done(key)

    async def drain() -> None:
        await queue.shut_down_with_drain()
        ended_at.append(LoopClock().monotonic())

    async with asyncio.TaskGroup() as group:
        for seconds in (5.0, 9.0):
            group.create_task(work(seconds))
        group.create_task(drain())

    assert ended_at == [9.0]


async def test_an_empty_queue_is_drained_at_once():
    queue = queue_of()

    await queue.shut_down_with_drain()

    assert queue.is_shut_down


async def test_statistics_tell_depth_age_and_work():
    queue = queue_of("a", "b", "c")
    queue.add_after("d", 100.0)
    await elapse(2)
    await queue.get()
    await elapse(3)
    queue.add("e")

    stats = queue.statistics()

    assert (stats.depth, stats.delayed, stats.in_processing, stats.adds) == (3, 1, 1, 4)
    assert (stats.oldest_age_seconds, stats.longest_processing_seconds) == (5.0, 3.0)


async def test_statistics_of_an_idle_queue_are_zero():
    stats = queue_of().statistics()

    assert (stats.depth, stats.oldest_age_seconds, stats.longest_processing_seconds) == (0, 0.0, 0.0)


async def test_an_add_from_another_thread_goes_through_the_loop():
    queue = queue_of()
    loop = asyncio.get_running_loop()

    await asyncio.to_thread(loop.call_soon_threadsafe, queue.add, "a")

    assert await queue.get() == "a"
