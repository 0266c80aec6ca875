"""A provider that is down: nothing is used up, nothing is made twice, and all goes on within one back-off."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.plugins.webapi.webapi_kit import Bench, open_bench

from airscrew.engine.errors import UnavailableError
from airscrew.engine.executor import AtMostOnce, Findable, NotStarted, StillThere
from airscrew.engine.testing.attempt import StartOutcomeUnknownError
from airscrew.engine.testing.job_service import Fault
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.plugins.webapi import Limits, UnclearError
from airscrew.plugins.webapi.breaker import LONGEST_PAUSE_SECONDS, OPENS_AFTER

pytestmark = pytest.mark.virtual_time

HALF_AN_HOUR = 1800.0
FOREVER = 1_000_000
WAYS_TO_BE_DOWN = [Fault.REFUSED, Fault.LOST_REQUEST, Fault.ERROR, Fault.GARBAGE, Fault.SLOW, Fault.BUSY]


async def go_down(bench: Bench) -> None:
    """Let a running job's reads find out that the service is down."""
    bench.service.inject(Fault.REFUSED, times=FOREVER)
    await elapse(60.0)


@pytest.mark.parametrize("fault", WAYS_TO_BE_DOWN)
async def test_half_an_hour_of_outage_ends_no_attempt_and_doubles_no_job(fault: Fault) -> None:
    async with open_bench(limits=Limits(batch_size=10)) as bench, asyncio.TaskGroup() as group:
        before = await bench.start_many(20, seconds=600.0)
        await elapse(30.0)
        bench.service.inject(fault, times=FOREVER)
        during = [bench.job(600.0, f"d{number}") for number in range(20)]
        runs = [group.create_task(attempt.run(limit_seconds=4000.0)) for attempt in [*before, *during]]
        await elapse(HALF_AN_HOUR)

        bench.service.heal()
        await elapse(LONGEST_PAUSE_SECONDS * 1.1 + 2.0)
        ended = [attempt.phase for attempt in before]
        started = [bench.service.created[attempt.key] for attempt in during]
        await elapse(700.0)

    assert ended == [Phase.SUCCESS] * 20
    assert started == [1] * 20
    assert [run.result().phase for run in runs] == [Phase.SUCCESS] * 40
    assert [bench.service.created[attempt.key] for attempt in before] == [1] * 20


async def test_an_outage_costs_few_requests() -> None:
    async with open_bench(limits=Limits(batch_size=10)) as bench:
        await bench.start_many(200)
        await elapse(30.0)
        bench.service.inject(Fault.REFUSED, times=FOREVER)
        before = bench.service.requests()

        await elapse(HALF_AN_HOUR)

        assert bench.service.requests() - before <= 100


async def test_an_outage_is_the_reason_that_running_and_waiting_tasks_show_and_is_told_once() -> None:
    async with open_bench() as bench:
        running = bench.job()
        await running.run(until=Phase.RUNNING)
        await go_down(bench)

        status = await running.check()
        told = len(running.reports)
        waiting = await bench.job(name="waiting").start()
        await elapse(300.0)
        await running.check()

    assert status.phase is Phase.RUNNING
    assert "fake is not to be reached since" in status.reason
    assert isinstance(waiting, NotStarted)
    assert "fake is not to be reached since" in waiting.reason
    assert waiting.delay is not None
    assert waiting.delay <= LONGEST_PAUSE_SECONDS
    assert len(running.reports) == told


async def test_no_start_reaches_a_provider_that_is_known_to_be_down() -> None:
    async with open_bench() as bench:
        await bench.job().run(until=Phase.RUNNING)
        await go_down(bench)
        await elapse(1.0)
        before = bench.service.requests("POST")

        answers = [await bench.job(name=f"w{number}").start() for number in range(50)]

        assert all(isinstance(answer, NotStarted) for answer in answers)
        assert bench.service.requests("POST") - before <= 1


async def test_a_kill_waits_for_the_provider_and_then_goes_through() -> None:
    async with open_bench() as bench:
        attempt = bench.job()
        await attempt.run(until=Phase.RUNNING)
        await go_down(bench)

        with pytest.raises(UnavailableError) as probe:
            await attempt.kill()
        held = await attempt.kill()
        bench.service.heal()
        await attempt.kill_until_gone(limit_seconds=40.0)

        assert probe.value.delay is not None
        assert isinstance(held, StillThere)
        assert not held.state.stopping
        assert bench.service.live() == 0


async def test_a_request_on_the_wire_of_an_at_most_once_kind_says_so_and_the_others_wait() -> None:
    async with open_bench(start=AtMostOnce()) as bench:
        on_the_wire = bench.job(name="wire")
        bench.service.inject(Fault.LOST_REPLY)
        with pytest.raises(UnclearError, match="on the wire"):
            await on_the_wire.start()
        with pytest.raises(StartOutcomeUnknownError):
            await on_the_wire.start_resolved(unknown=True)
        await bench.job(name="known").run(until=Phase.RUNNING)
        await go_down(bench)

        async with asyncio.TaskGroup() as group:
            waiting = bench.job(5.0, name="waiting")
            run = group.create_task(waiting.run())
            await elapse(HALF_AN_HOUR)
            bench.service.heal()

        assert run.result().phase is Phase.SUCCESS
        assert bench.service.created[waiting.key] == 1
        assert bench.service.created[on_the_wire.key] == 1


@pytest.mark.parametrize("start", [None, Findable(settle=30.0)])
async def test_a_start_that_was_lost_in_an_outage_is_resolved_after_it(start: Findable | None) -> None:
    async with open_bench(start=start, idempotent=start is None) as bench:
        attempt = bench.job(20.0)
        bench.service.inject(Fault.LOST_REPLY)
        with pytest.raises(ConnectionResetError):
            await attempt.start()
        bench.service.inject(Fault.LOST_REQUEST, times=FOREVER)

        async with asyncio.TaskGroup() as group:
            told = group.create_task(_resolve(bench, attempt.key))
            await elapse(HALF_AN_HOUR)
            bench.service.heal()
            status = await attempt.run() if await told else None

        assert status is not None
        assert status.phase is Phase.SUCCESS
        assert bench.service.created[attempt.key] == 1


async def _resolve(bench: Bench, key: str) -> bool:
    """Resolve an unknown start as the engine does, whose patience with an outage has no end."""
    attempt = bench.environment.attempts[key]
    is_findable = isinstance(bench.plugin.start_declaration, Findable)
    while True:
        try:
            if is_findable:
                found = await attempt.find()
                if found:
                    await attempt.start_resolved(unknown=True)
                    return True
            elif not isinstance(await attempt.start(), NotStarted):
                return True
        except (UnavailableError, OSError) as error:
            attempt.errors.append(error)
        await elapse(5.0)


async def test_what_nobody_can_know_in_an_outage_is_not_held_against_the_execution() -> None:
    async with open_bench() as bench:
        bench.service.inject(Fault.LOST_REQUEST, times=FOREVER)
        attempt = bench.job()
        errors: list[type[Exception]] = []

        for _ in range(OPENS_AFTER):
            with pytest.raises((ConnectionResetError, UnavailableError)) as lost:
                await attempt.start()
            errors.append(lost.type)

    assert errors == [ConnectionResetError] * (OPENS_AFTER - 1) + [UnavailableError]


async def test_a_provider_that_asks_for_patience_is_left_alone_for_so_long() -> None:
    async with open_bench() as bench:
        bench.service.inject(Fault.TOO_MANY, methods={"POST"})
        first = await bench.job(name="a").start()
        await elapse(3.0)
        second = await bench.job(name="b").start()
        await elapse(5.0)
        third = await bench.job(name="c").start()

        assert isinstance(first, NotStarted)
        assert isinstance(second, NotStarted)
        assert (first.delay, second.delay) == (7.0, 4.0)
        assert not isinstance(third, NotStarted)
        assert bench.service.requests("POST") == 2


async def test_reads_wait_as_long_as_the_provider_says() -> None:
    async with open_bench(limits=Limits(period_seconds=1.0)) as bench:
        await bench.start_many(3)
        bench.service.inject(Fault.TOO_MANY, methods={"GET"})
        await elapse(2.0)
        refused_at = next(event.at for event in bench.service.log if event.fault)
        await elapse(30.0)

        after = [event.at for event in bench.service.log if event.method == "GET" and event.at > refused_at]
        assert min(after) - refused_at >= 7.0
        assert bench.statistics.max_age_seconds < 3.0


async def test_a_job_that_alone_makes_the_provider_fail_does_not_stop_the_others() -> None:
    async with open_bench(limits=Limits(period_seconds=5.0)) as bench:
        attempts = await bench.start_many(10, seconds=300.0)
        poison = attempts[0].state.id
        ask = bench.plugin.ask

        async def ask_but_for_one(method: str, path: str, body: object = None, **more: object) -> object:
            if path.endswith(f"/{poison}"):
                raise UnclearError(f"{path} answered 500")
            return await ask(method, path, body, **more)  # type: ignore[arg-type]

        bench.plugin.ask = ask_but_for_one  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(attempt.run()) for attempt in attempts[1:]]
            await elapse(320.0)
            shown = await attempts[0].check()

        assert [run.result().phase for run in runs] == [Phase.SUCCESS] * 9
        assert "500" in shown.reason
