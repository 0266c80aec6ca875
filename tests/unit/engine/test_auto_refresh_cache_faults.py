from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from random import Random

import pytest
from tests.unit.engine.auto_refresh_cache_kit import (
    PERIOD,
    Changes,
    Job,
    JobService,
    cache_of,
    ids,
    is_finished,
    now,
)

from airscrew.engine.cache import AutoRefreshCache, Batch, CacheOptions, SyncResult, Unchanged, Updated
from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.virtual_time import elapse

pytestmark = pytest.mark.virtual_time


class Panic(BaseException):
    """What no `except Exception` catches."""


def tasks_of_caches() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("cache")]


@pytest.mark.parametrize("batch_size", [1, 5])
async def test_a_sync_slower_than_the_period_never_overlaps_itself(batch_size: int):
    service = JobService()
    service.latency = 2.5 * PERIOD
    async with cache_of(service, batch_size=batch_size, concurrency=20) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job())

        await elapse(20 * PERIOD)

    assert service.most_at_once == 1
    assert all(service.count(item_id) >= 7 for item_id in ids(10))


async def test_after_a_sync_slower_than_the_period_the_provider_gets_a_breath():
    service = JobService()
    service.latency = 25.0
    async with cache_of(service) as cache:
        cache.get_or_create("a", Job())

        await elapse(60)

    assert service.times_of("a") == [0.0, 26.0, 52.0]


@pytest.mark.parametrize("batch_size", [1, 5])
async def test_every_item_of_a_batch_counts_as_syncing_while_its_call_runs(batch_size: int):
    service = JobService()
    service.latency = 5.0
    async with cache_of(service, batch_size=batch_size, concurrency=10) as cache:
        for item_id in ids(5):
            cache.get_or_create(item_id, Job())
        await elapse(1)

        during = [cache.inspect(item_id).is_syncing for item_id in ids(5)]
        await elapse(5)
        after = [cache.inspect(item_id).is_syncing for item_id in ids(5)]

    assert during == [True] * 5
    assert after == [False] * 5


async def test_an_instant_sync_leaves_no_mark_that_holds_the_item_back():
    service = JobService()
    async with cache_of(service) as cache:
        cache.get_or_create("a", Job())

        await elapse(5 * PERIOD + 1)

    assert service.times_of("a") == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]


@pytest.mark.parametrize(
    "fault", [RuntimeError("boom"), Panic("panic"), asyncio.CancelledError(), TimeoutError(), StopAsyncIteration()]
)
async def test_the_loop_survives_whatever_a_sync_raises(fault: BaseException):
    service = JobService()
    service.down = fault
    async with cache_of(service, backoff_cap_seconds=PERIOD) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job(last=1))
        await elapse(5 * PERIOD + 1)
        failed = cache.statistics()
        service.down = None
        await elapse(2 * PERIOD)

        assert [cache.get(item_id) for item_id in ids(3)] == [Job(1, 1)] * 3
        assert failed.failed_calls >= 5
        assert type(fault).__name__ in failed.trouble
        assert cache.statistics().is_healthy


async def test_ten_calls_that_panic_at_once_cost_no_worker():
    service = JobService()
    service.down = Panic("panic")
    async with cache_of(service, batch_size=1, concurrency=10, backoff_cap_seconds=PERIOD) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job())

        await elapse(3 * PERIOD + 1)

        assert [service.count(item_id) for item_id in ids(10)] == [4] * 10
    assert tasks_of_caches() == []


async def test_under_errors_each_item_is_asked_for_once_per_turn_and_nothing_piles_up():
    service = JobService()
    service.down = OSError("unreachable")
    async with cache_of(service, batch_size=1, concurrency=1, sync_on_create=False) as cache:
        for item_id in ids(100):
            cache.get_or_create(item_id, Job())

        await elapse(1.5 * PERIOD)

        assert [service.count(item_id) for item_id in ids(100)] == [1] * 100


async def test_a_call_that_hangs_is_cancelled_at_its_deadline_and_the_others_go_on():
    service = JobService()
    hanging: list[float] = []

    async def sync(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        if batch[0].id == "job0000":
            hanging.append(now())
            await asyncio.Event().wait()
        return await service.sync(batch)

    options = CacheOptions(period_seconds=PERIOD, jitter=0, batch_size=1, concurrency=2, deadline_seconds=30)
    async with AutoRefreshCache(
        "jobs", sync=sync, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job())
        await elapse(31)
        status = cache.inspect("job0000")
        await elapse(10)

    assert "SyncError: the sync call did not end within 30 s" in status.last_error
    assert hanging == pytest.approx([0.1, 40.1])
    assert service.count("job0001") == 5


async def test_a_call_that_ignores_its_deadline_is_trouble_and_is_never_joined_by_a_second():
    begun: list[float] = []

    async def stubborn(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        begun.append(now())
        until = now() + 200
        while now() < until:
            try:
                await elapse(until - now())
            except asyncio.CancelledError:
                continue
        return [Unchanged(item.id) for item in batch]

    options = CacheOptions(period_seconds=PERIOD, jitter=0, deadline_seconds=20, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=stubborn, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        cache.get_or_create("a", Job())
        await elapse(100)
        trouble = cache.statistics().trouble
        await elapse(99)

        assert begun == [0.0]
        assert trouble == "a sync call has run for 100 s and ignores its deadline of 20 s"


async def test_an_item_that_fails_alone_backs_off_alone_and_is_forgiven_by_a_success():
    service = JobService()
    service.bad["job0000"] = OSError("no route")
    async with cache_of(service) as cache:
        for item_id in ids(2):
            cache.get_or_create(item_id, Job())
        await elapse(7 * PERIOD + 1)
        failing = cache.statistics()
        del service.bad["job0000"]
        await elapse(8 * PERIOD)
        status = cache.inspect("job0000")

    assert service.times_of("job0000")[:4] == [0.0, 10.0, 30.0, 70.0]
    assert service.times_of("job0001")[:8] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert failing.errors_by_item == {"job0000": 4}
    assert failing.is_healthy
    assert (status.errors, status.last_error) == (0, "")


@pytest.mark.parametrize("cap", [PERIOD, 30 * PERIOD])
async def test_one_bad_item_that_fails_the_whole_call_ends_up_alone(cap: float):
    service = JobService()
    service.poison = {"job0005"}
    async with cache_of(service, batch_size=16, backoff_cap_seconds=cap) as cache:
        for item_id in ids(32):
            cache.get_or_create(item_id, Job())

        await elapse(60 * PERIOD)
        stats = cache.statistics()

    assert set(stats.errors_by_item) == {"job0005"}
    assert service.calls[0][1] == ids(16)
    assert [names for _, names in service.calls if "job0005" in names][-1] == ["job0005"]
    assert all(service.count(item_id) > 20 for item_id in ids(32) if item_id != "job0005")


@pytest.mark.parametrize("cap", [2 * PERIOD, 16 * PERIOD, 100 * PERIOD])
async def test_a_provider_that_is_down_is_asked_no_more_often_than_one_that_is_up(cap: float):
    service = JobService()
    service.down = ConnectionError("down")
    async with cache_of(service, batch_size=16, jitter=0.1, backoff_cap_seconds=cap) as cache:
        for item_id in ids(64):
            cache.get_or_create(item_id, Job())
        await elapse(100 * PERIOD)

    assert len(service.calls) <= 4 * 100


async def test_after_an_outage_the_items_share_full_batches_again():
    service = JobService()
    service.down = ConnectionError("down")
    async with cache_of(service, batch_size=16, jitter=0.1) as cache:
        for item_id in ids(64):
            cache.get_or_create(item_id, Job())
        await elapse(30 * PERIOD)
        service.down = None
        await elapse(40 * PERIOD)
        begun = len(service.calls)
        await elapse(10 * PERIOD)

    assert len(service.calls) - begun <= 44
    assert set(service.sizes()[begun:]) == {16}


async def test_splitting_failed_batches_can_be_turned_off():
    service = JobService()
    service.down = ConnectionError("down")
    async with cache_of(service, batch_size=16, split_failed_batches=False) as cache:
        for item_id in ids(16):
            cache.get_or_create(item_id, Job())
        await elapse(20 * PERIOD)

    assert set(service.sizes()) == {16}


async def test_an_item_without_an_answer_counts_as_failed():
    async def forgetful(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        return [Unchanged(item.id) for item in batch if item.id != "job0001"] + [Unchanged("unheard of")]

    options = CacheOptions(period_seconds=PERIOD, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=forgetful, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job())
        await elapse(1)

        assert cache.statistics().errors_by_item == {"job0001": 1}
        assert "no answer for this item" in cache.inspect("job0001").last_error


@pytest.mark.parametrize("nonsense", [None, 7, ["x"], [None]])
async def test_an_answer_that_is_nonsense_fails_the_call_and_nothing_else(nonsense: object):
    async def sync(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        return nonsense

    options = CacheOptions(period_seconds=PERIOD, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=sync, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)

        stats = cache.statistics()
        assert (stats.failed_calls, stats.loop_errors) == (1, 0)
        assert cache.get("a") == Job()


async def test_a_value_that_cannot_be_judged_is_its_own_items_failure():
    async def sync(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        return [Updated(item.id, "no job" if item.id == "job0001" else Job(1)) for item in batch]

    options = CacheOptions(period_seconds=PERIOD, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=sync, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job())
        await elapse(1)

        assert [cache.get(item_id) for item_id in ids(3)] == [Job(1), Job(0), Job(1)]
        assert "AttributeError" in cache.inspect("job0001").last_error


async def test_an_owner_whose_callback_raises_harms_nobody(caplog: pytest.LogCaptureFixture):
    class Broken(Changes):
        def __call__(self, item_id: str, job: Job) -> None:
            super().__call__(item_id, job)
            raise RuntimeError("boom")

    changes = Broken()
    async with cache_of(JobService(), on_change=changes) as cache:
        for item_id in ids(2):
            cache.get_or_create(item_id, Job())
        await elapse(PERIOD + 1)

        stats = cache.statistics()
    assert len(changes) == 4
    assert (stats.callback_errors, stats.sync_errors) == (4, 0)
    assert "on_change failed" in caplog.text


async def test_the_loop_survives_faults_of_its_own(caplog: pytest.LogCaptureFixture):
    class FaultyClock(LoopClock):
        is_broken = False

        def monotonic(self) -> float:
            if self.is_broken and asyncio.current_task().get_name().startswith("cache"):
                raise RuntimeError("clock")
            return super().monotonic()

    clock, service = FaultyClock(), JobService()
    options = CacheOptions(period_seconds=PERIOD, jitter=0, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=service.sync, is_terminal=is_finished, clock=clock, random=Random(1), options=options
    ) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)
        clock.is_broken = True
        await elapse(5 * PERIOD)
        clock.is_broken = False
        begun = service.count("a")
        await elapse(5 * PERIOD)

        assert cache.statistics().loop_errors >= 5
        assert service.count("a") - begun >= 4
        assert {record.levelno for record in caplog.records} == {logging.ERROR}


async def test_a_fault_while_an_answer_is_taken_loses_no_item():
    class FaultyRandom(Random):
        is_broken = False

        def random(self) -> float:
            if self.is_broken:
                raise RuntimeError("no dice")
            return super().random()

    service, random = JobService(), FaultyRandom(1)
    async with cache_of(service, random=random, jitter=0.1) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job())
        random.is_broken = True
        await elapse(5)
        random.is_broken = False
        await elapse(5 * PERIOD)

        assert cache.statistics().loop_errors == 1
        assert all(service.count(item_id) >= 5 for item_id in ids(3))


async def test_an_answer_older_than_a_push_is_dropped():
    service, changes = JobService(), Changes()
    service.latency = 3.0
    async with cache_of(service, on_change=changes) as cache:
        cache.get_or_create("a", Job())
        await elapse(2)

        cache.update("a", Job(40))
        await elapse(2)

        assert cache.get("a") == Job(40)
        assert changes == [("a", Job(40))]
        assert cache.statistics().superseded == 1


async def test_a_terminal_answer_counts_more_than_a_push_before_it():
    service = JobService()
    service.latency = 3.0
    async with cache_of(service) as cache:
        cache.get_or_create("a", Job(4, 5))
        await elapse(2)

        cache.update("a", Job(4, 99))
        await elapse(2)

        assert cache.get("a") == Job(5, 5)


async def test_an_answer_never_turns_back_an_item_that_was_pushed_terminal_meanwhile():
    service = JobService()
    service.latency = 3.0
    async with cache_of(service) as cache:
        cache.get_or_create("a", Job(0, 5))
        await elapse(2)

        cache.update("a", Job(5, 5))
        await elapse(10 * PERIOD)

        assert cache.get("a") == Job(5, 5)
        assert service.count("a") == 1


async def test_an_item_deleted_during_its_sync_goes_when_the_sync_ends():
    service, changes = JobService(), Changes()
    service.latency = 5.0
    async with cache_of(service, on_change=changes) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)
        cache.delete_delayed("a")
        await elapse(1)
        during = "a" in cache
        await elapse(10 * PERIOD)

        assert during
        assert "a" not in cache
        assert service.count("a") == 1


async def test_an_item_evicted_during_its_sync_and_created_anew_is_not_synced_twice_at_once():
    service = JobService()
    service.latency = 5.0
    async with cache_of(service, size=1, concurrency=5) as cache:
        cache.get_or_create("a", Job(10))
        await elapse(1)
        cache.get_or_create("b", Job())
        cache.get_or_create("a", Job(70))
        await elapse(3)
        during = service.count("a")
        await elapse(7)

        assert during == 1
        assert service.most_at_once == 1
        assert service.times_of("a") == [0.0, 5.0]
        assert cache.get("a") == Job(71)


async def test_leaving_the_cache_leaves_nothing_running():
    service = JobService()
    service.latency = 1000.0
    async with cache_of(service, batch_size=1, concurrency=5, deadline_seconds=2000) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job())
        await elapse(1)
        running = len(tasks_of_caches())

    assert running == 6
    assert tasks_of_caches() == []
    assert now() == 1.0
    assert cache.statistics().running_calls == 0


async def test_a_sync_that_swallows_its_first_cancellation_still_ends_with_the_cache():
    async def stubborn(batch: Batch[Job]) -> Sequence[SyncResult[Job]]:
        try:
            await elapse(1e5)
        except asyncio.CancelledError:
            await elapse(1e5)
        return []

    options = CacheOptions(deadline_seconds=1e6, coalesce_seconds=0)
    async with AutoRefreshCache(
        "jobs", sync=stubborn, is_terminal=is_finished, clock=LoopClock(), random=Random(1), options=options
    ) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)

    assert tasks_of_caches() == []
    assert now() < 100


async def test_an_error_inside_the_with_block_comes_out_as_it_is():
    async def owner() -> None:
        async with cache_of(JobService()) as cache:
            cache.get_or_create("a", Job())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await owner()

    assert tasks_of_caches() == []


async def test_cancelling_the_owner_ends_the_cache_and_the_cancellation_goes_on():
    async def owner() -> None:
        async with cache_of(JobService()) as cache:
            cache.get_or_create("a", Job())
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(owner())
        await elapse(15)
        task.cancel()

    assert task.cancelled()
    assert tasks_of_caches() == []


async def test_a_cache_left_before_its_first_call_began_and_entered_again_syncs_its_items():
    service = JobService()
    cache = cache_of(service)
    async with cache:
        cache.get_or_create("a", Job())
        await asyncio.sleep(0)
    assert cache.statistics().calls == 1
    assert service.calls == []

    async with cache:
        await elapse(2 * PERIOD)

    assert service.count("a") >= 1


async def test_a_cache_entered_again_goes_on_with_its_items():
    service = JobService()
    service.latency = 5.0
    cache = cache_of(service)
    async with cache:
        cache.get_or_create("a", Job())
        await elapse(1)
    await elapse(100)

    async with cache:
        await elapse(2 * PERIOD)

    assert service.count("a") >= 2
    assert cache.get("a").steps >= 1
