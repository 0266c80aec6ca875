from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.auto_refresh_cache_kit import PERIOD, Job, JobService, cache_of, ids

from airscrew.engine.cache import Batch, BatchItem, batches_by, single_item_batches
from airscrew.engine.testing.virtual_time import elapse, run_virtual

pytestmark = pytest.mark.virtual_time


async def calls_in_ten_periods(service: JobService, arrivals: list[float], *, settle: int = 3, **options: float) -> int:
    """Create items at moments, let the pace settle, and count the calls of ten periods."""
    async with cache_of(service, **options) as cache:
        before = 0.0
        for item_id, moment in zip(ids(len(arrivals)), sorted(arrivals), strict=True):
            await elapse(moment - before)
            before = moment
            cache.get_or_create(item_id, Job())
        await elapse(settle * PERIOD + 0.5)
        begun = len(service.calls)
        await elapse(10 * PERIOD)
        return len(service.calls) - begun


@pytest.mark.parametrize(("count", "batch_size", "calls"), [(1, 10, 1), (10, 10, 1), (25, 10, 3), (1000, 100, 10)])
async def test_items_created_together_cost_one_call_per_full_batch_and_period(count: int, batch_size: int, calls: int):
    service = JobService()

    counted = await calls_in_ten_periods(service, [0.0] * count, batch_size=batch_size)

    assert counted == 10 * calls
    assert max(service.sizes()) <= batch_size


async def test_items_created_at_scattered_moments_come_to_share_calls():
    service = JobService()

    counted = await calls_in_ten_periods(service, [number * 0.39 for number in range(25)], batch_size=10)

    assert counted <= 10 * 3


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=40), st.integers(1, 12), st.sampled_from([0.0, 0.1]))
def test_whatever_the_moments_of_creation_full_batches_come_of_it(arrivals: list[float], size: int, jitter: float):
    service = JobService()

    counted = run_virtual(calls_in_ten_periods(service, arrivals, settle=4, batch_size=size, jitter=jitter))

    assert counted <= 11 * math.ceil(len(arrivals) / size)


@settings(max_examples=40, deadline=None, database=None)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=40), st.integers(1, 12))
def test_no_item_waits_longer_than_its_period_and_jitter(arrivals: list[float], size: int):
    service = JobService()

    run_virtual(calls_in_ten_periods(service, arrivals, batch_size=size, jitter=0.2))

    for item_id in ids(len(arrivals)):
        times = service.times_of(item_id)
        assert max(late - early for early, late in itertools.pairwise(times)) <= 1.2 * PERIOD + 1e-6


async def test_new_items_share_their_first_call():
    service = JobService()
    async with cache_of(service, batch_size=100, coalesce_seconds=0.1) as cache:
        for item_id in ids(50):
            cache.get_or_create(item_id, Job())
            await elapse(0.001)

        await elapse(1)

        assert service.sizes() == [50]


async def test_jitter_spreads_the_syncs_of_items_that_share_no_call():
    service = JobService()
    async with cache_of(service, batch_size=1, concurrency=100, jitter=0.2) as cache:
        for item_id in ids(20):
            cache.get_or_create(item_id, Job())

        await elapse(1.5 * PERIOD)

    seconds = {service.times_of(item_id)[1] for item_id in ids(20)}
    assert len(seconds) == 20
    assert all(PERIOD <= second <= 1.2 * PERIOD + 1e-6 for second in seconds)


async def test_the_same_seed_gives_the_same_times():
    async def times() -> list[tuple[float, list[str]]]:
        service = JobService()
        async with cache_of(service, jitter=0.5, batch_size=2, random=Random(11)) as cache:
            for item_id in ids(5):
                cache.get_or_create(item_id, Job())
            await elapse(5 * PERIOD - 0.01)
        return [(round(time % (5 * PERIOD), 6), names) for time, names in service.calls]

    first = await times()
    await elapse(0.01)

    assert await times() == first


async def test_no_more_calls_run_at_once_than_allowed():
    service = JobService()
    service.latency = 1.0
    async with cache_of(service, batch_size=1, concurrency=3) as cache:
        for item_id in ids(9):
            cache.get_or_create(item_id, Job())
        await elapse(0.5)
        running = cache.statistics().running_calls

        await elapse(3)

    assert running == 3
    assert [time for time, _ in service.calls[:9]] == [0.0] * 3 + [1.0] * 3 + [2.0] * 3


async def test_calls_keep_to_the_rate_and_what_waits_for_it_fills_the_batches():
    service = JobService()
    async with cache_of(service, batch_size=10, calls_per_second=0.5, call_burst=1) as cache:
        for item_id in ids(40):
            cache.get_or_create(item_id, Job())
            await elapse(0.1)
        await elapse(10)

    times = [time for time, _ in service.calls]
    assert all(late - early >= 2.0 - 1e-6 for early, late in itertools.pairwise(times))
    assert service.sizes()[1:4] == [10, 10, 10]


async def test_an_overload_shows_as_lag_and_trouble():
    service = JobService()
    async with cache_of(service, batch_size=1, calls_per_second=0.1, call_burst=1) as cache:
        for item_id in ids(20):
            cache.get_or_create(item_id, Job())
        await elapse(50)

        stats = cache.statistics()

    assert stats.lag_seconds == pytest.approx(50, abs=1)
    assert "raise concurrency, batch_size or calls_per_second" in stats.trouble


async def test_batches_made_by_the_owner_are_called_one_by_one():
    service = JobService()
    async with cache_of(service, create_batches=single_item_batches) as cache:
        for item_id in ids(5):
            cache.get_or_create(item_id, Job())

        await elapse(PERIOD + 1)

        assert service.sizes() == [1] * 10


def namespace(item: BatchItem[Job]) -> str:
    return item.id.split("/")[0]


async def test_items_of_a_namespace_share_a_call_however_many_and_whenever_created():
    service = JobService()
    async with cache_of(service, create_batches=batches_by(namespace), batch_size=1) as cache:
        for number in range(300):
            cache.get_or_create(f"{'abc'[number % 3]}/{number}", Job())
            await elapse(0.01)
        await elapse(2 * PERIOD)
        begun = len(service.calls)

        await elapse(10 * PERIOD)

    assert len(service.calls) - begun == 30
    assert set(service.sizes()[begun:]) == {100}


async def test_a_namespace_that_is_not_due_is_left_alone_when_another_is():
    service = JobService()
    async with cache_of(service, create_batches=batches_by(namespace)) as cache:
        cache.get_or_create("a/1", Job())
        await elapse(5)
        cache.get_or_create("b/1", Job())

        await elapse(21)

    assert service.times_of("a/1") == [0.0, 10.0, 20.0]
    assert service.times_of("b/1") == [5.0, 15.0, 25.0]


async def test_an_item_placed_twice_is_called_once_and_one_left_out_fails():
    def careless(items: Batch[Job]) -> list[Batch[Job]]:
        kept = [item for item in items if item.id != "job0000"]
        return [kept, kept]

    service = JobService()
    async with cache_of(service, create_batches=careless) as cache:
        for item_id in ids(3):
            cache.get_or_create(item_id, Job())
        await elapse(1)

        assert service.calls == [(0.0, ["job0001", "job0002"])]
        assert cache.statistics().errors_by_item == {"job0000": 1}


async def test_making_batches_that_fails_backs_the_items_off_and_goes_on():
    broken = [True]

    def create_batches(items: Batch[Job]) -> list[Batch[Job]]:
        if broken[0]:
            raise RuntimeError("boom")
        return [items]

    service = JobService()
    async with cache_of(service, create_batches=create_batches) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)
        failed = cache.statistics()
        broken[0] = False
        await elapse(PERIOD)

    assert (failed.sync_errors, failed.last_error) == (1, "RuntimeError: boom")
    assert service.times_of("a") == [PERIOD]
