"""What a plugin is told comes first; polling is the safety net behind it."""

from __future__ import annotations

import pytest
from tests.unit.plugins.webapi.webapi_kit import open_bench

from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.plugins.webapi import Limits

pytestmark = pytest.mark.virtual_time

LIMITS = Limits(period_seconds=10.0, pushed_period_seconds=300.0, batch_size=50)


async def test_a_pushed_view_wakes_the_owner_and_is_what_the_check_tells() -> None:
    async with open_bench(limits=LIMITS) as bench:
        attempt = bench.job()
        await attempt.run(until=Phase.RUNNING)
        await attempt.check()

        taken = bench.plugin.opening.reports.changed(attempt.state.id, {"id": attempt.state.id, "status": "succeeded"})
        await elapse(0.1)

        assert taken
        assert attempt.was_woken.is_set()
        assert (await attempt.check()).phase is Phase.SUCCESS


async def test_a_job_that_was_pointed_at_is_read_at_once() -> None:
    async with open_bench(limits=Limits(period_seconds=1000.0, batch_size=50)) as bench:
        attempts = await bench.start_many(5, seconds=20.0)
        await elapse(30.0)
        before = bench.service.requests("GET")

        taken = [bench.plugin.opening.reports.look_at(attempt.state.id) for attempt in attempts]
        await elapse(0.1)

        assert taken == [True] * 5
        assert bench.service.requests("GET") - before == 1
        assert [(await attempt.check()).phase for attempt in attempts] == [Phase.SUCCESS] * 5


async def test_reports_of_jobs_that_nobody_waits_for_are_refused() -> None:
    async with open_bench() as bench:
        reports = bench.plugin.opening.reports

        assert not reports.changed("stranger", {"id": "stranger", "status": "succeeded"})
        assert not reports.look_at("stranger")


async def test_while_a_plugin_listens_jobs_are_read_at_the_slow_pace_and_faster_again_when_it_does_not() -> None:
    async with open_bench(limits=LIMITS) as bench:
        await bench.start_many(100)
        bench.plugin.opening.reports.is_listening = True
        await elapse(320.0)
        begin = bench.service.requests("GET")
        await elapse(600.0)
        listening = bench.service.requests("GET") - begin
        bench.plugin.opening.reports.is_listening = False
        await elapse(600.0)
        polling = bench.service.requests("GET") - begin - listening

    assert 2 <= listening <= 6
    assert polling == pytest.approx(120, abs=6)


async def test_a_pushed_end_is_final() -> None:
    async with open_bench(limits=LIMITS) as bench:
        attempt = bench.job()
        await attempt.run(until=Phase.RUNNING)
        reports = bench.plugin.opening.reports
        reports.changed(attempt.state.id, {"id": attempt.state.id, "status": "succeeded"})

        assert not reports.changed(attempt.state.id, {"id": attempt.state.id, "status": "running"})
