"""What reads and writes cost, and who waits for how long."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from tests.unit.plugins.webapi.webapi_kit import open_bench

from airscrew.engine.executor import ResourceRequirements
from airscrew.engine.testing.virtual_time import elapse
from airscrew.plugins.webapi import Limits

pytestmark = pytest.mark.virtual_time


async def test_ten_thousand_jobs_cost_a_hundred_calls_a_period() -> None:
    async with open_bench(limits=Limits(period_seconds=10.0, batch_size=100)) as bench:
        await bench.start_many(10_000)
        await elapse(30.0)
        before = bench.service.requests("GET")

        await elapse(100.0)

        assert 990 <= bench.service.requests("GET") - before <= 1010
        assert bench.statistics.max_age_seconds <= 10.5


async def test_a_thousand_jobs_without_batch_reads_are_read_in_turn_at_the_rate() -> None:
    jobs, rate = 1000, 10.0
    limits = Limits(period_seconds=10.0, reads_per_second=rate)
    async with open_bench(limits=limits) as bench:
        await bench.start_many(jobs)
        await elapse(200.0)
        ages = []
        begin = len(bench.service.log)
        for _ in range(10):
            await elapse(50.0)
            ages.append(bench.statistics.max_age_seconds)
        reads = [event for event in bench.service.log[begin:] if event.method == "GET"]
        queued = len(bench.environment.attempts)

        assert len(reads) == pytest.approx(500 * rate, rel=0.02)
        assert max(ages) <= 1.2 * jobs / rate
        assert ages[-1] <= ages[0] * 1.1
        assert set(Counter(event.path for event in reads).values()) <= {4, 5, 6}
        assert queued == jobs
        assert bench.statistics.running_calls <= limits.concurrency


async def test_no_job_waits_longer_for_its_reads_than_the_others() -> None:
    jobs, rate = 100, 10.0
    async with open_bench(limits=Limits(period_seconds=1.0, reads_per_second=rate)) as bench:
        await bench.start_many(jobs)
        await elapse(300.0)
        times: dict[str, list[float]] = {}
        for event in bench.service.log:
            if event.method == "GET":
                times.setdefault(event.path, []).append(event.at)

        gaps = [later - earlier for seen in times.values() for earlier, later in pairwise(seen)]
        assert len(times) == jobs
        assert max(gaps) <= 1.2 * jobs / rate


async def test_starts_come_at_the_write_rate_and_in_order() -> None:
    async with open_bench(limits=Limits(writes_per_second=10.0, burst=5)) as bench, asyncio.TaskGroup() as group:
        attempts = [bench.job(name=f"t{number}") for number in range(200)]
        tasks = [group.create_task(attempt.start_resolved()) for attempt in attempts]
        await elapse(30.0)

        made = [event for event in bench.service.log if event.method == "POST"]
        assert all(task.done() for task in tasks)
        assert [event.key for event in made] == [attempt.key for attempt in attempts]
        assert made[-1].at - made[0].at == pytest.approx(19.5, abs=0.5)


async def test_kills_honour_the_write_rate_too() -> None:
    async with open_bench(limits=Limits(writes_per_second=2.0, burst=1)) as bench, asyncio.TaskGroup() as group:
        attempts = await bench.start_many(10)
        await elapse(1.0)
        for attempt in attempts:
            group.create_task(attempt.kill_until_gone())
        await elapse(30.0)

        stops = [event.at for event in bench.service.log if event.method == "DELETE"]
        assert bench.service.live() == 0
        assert all(later - earlier >= 0.49 for earlier, later in pairwise(stops))


async def test_a_kill_has_its_turn_among_background_reads_that_use_up_the_rate() -> None:
    async with open_bench(limits=Limits(period_seconds=1.0, reads_per_second=0.5, burst=1)) as bench:
        await bench.start_many(20)
        doomed = bench.job(seconds=60.0, name="doomed")
        await doomed.start()
        bench.plugin.can_stop = False
        await elapse(100.0)

        await doomed.kill_until_gone(limit_seconds=20.0)

        reads = [event.at for event in bench.service.log if event.method == "GET"]
        assert all(later - earlier >= 1.99 for earlier, later in pairwise(reads[1:]))


async def test_what_a_plugin_takes_of_a_quota_is_what_the_executor_says() -> None:
    async with open_bench() as bench:
        assert await bench.job().requirements() == ResourceRequirements(pool="jobs", units=2)


async def test_a_change_is_known_within_one_period() -> None:
    async with open_bench(limits=Limits(period_seconds=10.0, batch_size=100)) as bench:
        attempts = await bench.start_many(300, seconds=47.3)
        await elapse(48.3 + 10.1)

        assert all(attempt.was_woken.is_set() for attempt in attempts)


async def test_what_has_ended_is_read_no_more_and_is_dropped_at_the_end() -> None:
    async with open_bench(limits=Limits(batch_size=10)) as bench:
        for attempt in await bench.start_many(20, seconds=5.0):
            await attempt.run()
        await elapse(1.0)
        before = bench.service.requests()

        await elapse(600.0)

        assert bench.service.requests() == before
        assert bench.statistics.size == 0
