from __future__ import annotations

import pytest
from tests.unit.engine.auto_refresh_cache_kit import PERIOD, Changes, Job, JobService, cache_of, ids

from airscrew.engine.cache import CacheOptions
from airscrew.engine.testing.virtual_time import elapse

pytestmark = pytest.mark.virtual_time


async def test_items_are_synced_until_they_are_terminal_and_then_no_more():
    service = JobService()
    async with cache_of(service) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job(last=10))

        await elapse(100 * PERIOD)

        assert [cache.get(item_id) for item_id in ids(10)] == [Job(10, 10)] * 10
        assert [service.count(item_id) for item_id in ids(10)] == [10] * 10
        assert cache.statistics().live == 0


async def test_an_item_is_synced_as_soon_as_it_is_created():
    service = JobService()
    async with cache_of(service, coalesce_seconds=0.1) as cache:
        created = cache.get_or_create("a", Job())

        await elapse(0.2)

        assert created == Job(0)
        assert service.times_of("a") == [0.1]


async def test_with_sync_on_create_off_an_item_waits_for_its_first_period():
    service = JobService()
    async with cache_of(service, sync_on_create=False) as cache:
        cache.get_or_create("a", Job())

        await elapse(2 * PERIOD)

        assert service.times_of("a")[0] == PERIOD


async def test_an_item_that_is_terminal_from_the_first_is_never_synced():
    service = JobService()
    async with cache_of(service) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job(10, 10))

        await elapse(10 * PERIOD)

        assert service.calls == []
        assert cache.get("job0003") == Job(10, 10)


async def test_get_or_create_returns_what_is_known_rather_than_what_is_given():
    async with cache_of(JobService()) as cache:
        cache.get_or_create("a", Job())
        await elapse(1)

        assert cache.get_or_create("a", Job(77)) == Job(1)
        assert len(cache) == 1


async def test_an_unknown_item_is_none():
    async with cache_of(JobService()) as cache:
        assert cache.get("a") is None
        assert "a" not in cache
        assert cache.inspect("a") is None


async def test_the_bound_evicts_what_was_not_looked_at_for_longest_and_counts_it():
    async with cache_of(JobService(), size=2) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job())

        missing = [item_id for item_id in ids(10) if item_id not in cache]

        assert missing == ids(10)[:8]
        stats = cache.statistics()
        assert (stats.size, stats.evictions, stats.live_evictions) == (2, 8, 8)
        assert "raise size, now 2" in stats.trouble


async def test_a_look_keeps_an_item():
    async with cache_of(JobService(), size=2) as cache:
        cache.get_or_create("a", Job())
        cache.get_or_create("b", Job())
        cache.get("a")

        cache.get_or_create("c", Job())

        assert "a" in cache
        assert "b" not in cache


async def test_finished_items_leave_before_live_ones():
    async with cache_of(JobService(), size=3) as cache:
        cache.get_or_create("live", Job())
        cache.get_or_create("done", Job(1, 1))
        cache.get_or_create("young", Job())

        cache.get_or_create("new", Job())

        assert "live" in cache
        assert "done" not in cache
        stats = cache.statistics()
        assert (stats.evictions, stats.live_evictions, stats.trouble) == (1, 0, "")


async def test_an_evicted_item_is_not_synced_until_its_owner_looks_again():
    service = JobService()
    async with cache_of(service, size=1) as cache:
        cache.get_or_create("a", Job())
        cache.get_or_create("b", Job())
        await elapse(3 * PERIOD)
        synced_meanwhile = service.count("a")

        cache.get_or_create("a", Job(5))
        await elapse(1)

        assert synced_meanwhile == 0
        assert cache.get("a") == Job(6)


async def test_a_change_is_told_once_it_can_be_read():
    seen = []
    changes = Changes()
    async with cache_of(JobService(), on_change=changes) as cache:
        cache.get_or_create("a", Job(last=2))
        await elapse(0.1)
        seen.append(cache.get("a"))
        await elapse(5 * PERIOD)

    assert seen == [Job(1, 2)]
    assert changes == [("a", Job(1, 2)), ("a", Job(2, 2))]


async def test_a_pushed_value_is_told_and_puts_the_next_sync_off_by_a_period():
    service, changes = JobService(), Changes()
    async with cache_of(service, on_change=changes) as cache:
        cache.get_or_create("a", Job())
        await elapse(PERIOD - 1)

        assert cache.update("a", Job(50))
        await elapse(PERIOD + 0.5)

        assert service.times_of("a") == [0.0, 2 * PERIOD - 1]
        assert changes == [("a", Job(1)), ("a", Job(50)), ("a", Job(51))]


async def test_a_push_of_an_equal_value_wakes_nobody():
    changes = Changes()
    async with cache_of(JobService(), on_change=changes, sync_on_create=False) as cache:
        cache.get_or_create("a", Job(3))

        assert cache.update("a", Job(3))

        assert changes == []


async def test_a_push_of_an_unknown_item_is_not_taken():
    async with cache_of(JobService()) as cache:
        assert not cache.update("a", Job())
        assert "a" not in cache


async def test_a_push_never_turns_a_terminal_item_back():
    async with cache_of(JobService()) as cache:
        cache.get_or_create("a", Job(5, 5))

        assert not cache.update("a", Job(4, 5))
        assert cache.update("a", Job(6, 5))

        assert cache.get("a") == Job(6, 5)
        assert cache.statistics().refused_pushes == 1


async def test_a_push_of_a_terminal_value_ends_the_polling():
    service = JobService()
    async with cache_of(service) as cache:
        cache.get_or_create("a", Job(last=9))
        await elapse(1)

        cache.update("a", Job(9, 9))
        await elapse(10 * PERIOD)

        assert service.count("a") == 1


async def test_a_deleted_item_can_be_read_until_the_loops_next_turn():
    service = JobService()
    async with cache_of(service) as cache:
        for item_id in ids(10):
            cache.get_or_create(item_id, Job())
        await elapse(1)

        found = [cache.delete_delayed(item_id) for item_id in ids(10)]
        still_there = len(cache)
        await elapse(10 * PERIOD)

        assert found == [True] * 10
        assert (still_there, len(cache)) == (10, 0)
        assert len(service.calls) == 1


async def test_deleting_an_unknown_item_finds_nothing():
    async with cache_of(JobService()) as cache:
        assert not cache.delete_delayed("a")


async def test_an_item_updated_and_then_deleted_is_gone():
    async with cache_of(JobService()) as cache:
        cache.get_or_create("a", Job())
        cache.update("a", Job(5))
        cache.delete_delayed("a")

        await elapse(1)

        assert cache.get("a") is None


async def test_statistics_tell_size_hits_calls_and_changes():
    async with cache_of(JobService()) as cache:
        cache.get_or_create("a", Job(last=1))
        cache.get_or_create("b", Job())
        cache.get("b")
        cache.get("c")
        await elapse(PERIOD + 1)

        stats = cache.statistics()

    assert (stats.size, stats.live, stats.hits, stats.misses) == (2, 1, 1, 3)
    assert (stats.batches, stats.calls, stats.items_synced, stats.changes) == (2, 2, 3, 3)
    assert stats.is_healthy


async def test_the_age_of_the_oldest_live_value_is_told():
    service = JobService()
    async with cache_of(service, sync_on_create=False) as cache:
        cache.get_or_create("done", Job(1, 1))
        cache.get_or_create("old", Job())
        await elapse(4)
        cache.get_or_create("young", Job())
        await elapse(3)

        assert cache.statistics().max_age_seconds == 7.0
        cache.update("old", Job(1))
        assert cache.statistics().max_age_seconds == 3.0


async def test_inspecting_an_item_tells_its_age_and_errors_and_keeps_it_no_longer():
    service = JobService()
    service.bad["a"] = OSError("no route")
    async with cache_of(service, size=2) as cache:
        cache.get_or_create("a", Job())
        cache.get_or_create("b", Job())
        await elapse(2)

        status = cache.inspect("a")
        cache.get_or_create("c", Job())

        assert status is not None
        assert (status.age_seconds, status.errors, status.last_error) == (2.0, 1, "OSError: no route")
        assert not status.is_terminal
        assert "a" not in cache


async def test_nothing_is_synced_before_the_cache_is_entered():
    service = JobService()
    cache = cache_of(service)
    cache.get_or_create("a", Job())
    await elapse(5)

    async with cache:
        await elapse(1)

    assert service.times_of("a") == [5.0]
    assert cache.statistics().trouble == "the cache is not running"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("period_seconds", 0.0),
        ("batch_size", 0),
        ("size", 0),
        ("concurrency", 0),
        ("deadline_seconds", -1),
        ("jitter", 2),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(name: str, value: float):
    with pytest.raises(ValueError, match=name):
        CacheOptions(**{name: value})
