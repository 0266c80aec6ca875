"""
Checks (e), (f), (j) and (k): the state, what is reported, jumps of the clock, and what it costs the provider.
"""

from __future__ import annotations

import asyncio

from airscrew.engine.clock import LoopClock
from airscrew.engine.testing.calls import decode_state, encode_state
from airscrew.engine.testing.conformance.kit import Bench, Check
from airscrew.engine.testing.conformance.steps import check, check_until_ended, run_to_running, run_to_success
from airscrew.engine.testing.errors import NotApplicable, expect
from airscrew.engine.testing.job_service.jobs import Fault
from airscrew.idl.phase import Phase

KEEPING: list[Check] = []

HOUR = 3600.0
JOBS = 20
TOLERANCE = 30.0
"""Two runs may differ by some seconds of jitter; not by the hour that the clock is stepped by."""


@check("e-state-is-json-and-reads-back-the-same", KEEPING)
async def state_reads_back(bench: Bench) -> None:
    """What is stored is a JSON object of the declared class, small, and reads back as it was."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        executor = environment.executor
        expect(executor.state_version >= 1, "state_version is below 1")
        await run_to_success(bench, attempt)
        for report in attempt.reports:
            read_back: object = decode_state(executor, encode_state(executor, report.state))
            expect(read_back == report.state, f"{report.state!r} reads back as {read_back!r}")


@check("e-no-secret-is-stored-or-shown", KEEPING)
async def no_secret(bench: Bench) -> None:
    """No secret's value is in the state, a reason, an error or a file."""
    if not bench.scenarios.secrets:
        raise NotApplicable("it uses no secrets")
    async with bench.attempt(bench.scenarios.succeeding()) as (_, attempt):
        await run_to_success(bench, attempt)
        for uri, content in attempt.data.files.items():
            found = [value for value in bench.scenarios.secrets.values() if value.encode() in content]
            expect(not found, f"a secret's value is in {uri}")


@check("f-phases-are-legal-up-to-success", KEEPING)
async def phases_of_success(bench: Bench) -> None:
    """Each report may follow the one before it, and the last one is told once."""
    async with bench.attempt(bench.scenarios.succeeding()) as (_, attempt):
        await run_to_success(bench, attempt)
        expect(attempt.phases.count(Phase.SUCCESS) == 1, f"success is told more than once: {attempt.phases}")


@check("f-nothing-new-is-told-when-nothing-changed", KEEPING)
async def nothing_new(bench: Bench) -> None:
    """Checks at the same moment say the same, so that no event is made of nothing."""
    async with bench.attempt(bench.scenarios.endless()) as (_, attempt):
        await run_to_running(bench, attempt)
        await attempt.check()
        before = len(attempt.reports), attempt.raw_state
        for _ in range(3):
            await attempt.check()
        if bench.scenarios.has_virtual_time:
            expect(before == (len(attempt.reports), attempt.raw_state), "a check without a change told something new")
        await attempt.kill_until_gone()


@check("f-the-end-is-told-again-the-same", KEEPING)
async def end_is_told_again(bench: Bench) -> None:
    """A check after the end, before it is finalized, says the same again."""
    async with bench.attempt(bench.scenarios.succeeding()) as (_, attempt):
        await check_until_ended(bench, attempt)
        told = len(attempt.reports)
        await attempt.check()
        expect(told == len(attempt.reports), f"the end is told differently again: {attempt.reports[-2:]}")
        await attempt.finalize()


def _wall_clock_step(name: str, step: float) -> None:
    @check(f"j-wall-clock-steps-{name}", KEEPING)
    async def body(bench: Bench) -> None:
        """A step of the wall clock neither ends a job nor prolongs it."""
        plain = await _duration(bench, 0.0, "-plain")
        stepped = await _duration(bench, step, "-stepped")
        if bench.scenarios.has_virtual_time:
            expect(
                abs(plain - stepped) <= TOLERANCE,
                f"it takes {stepped:g} s instead of {plain:g} s after the clock's step",
            )


_wall_clock_step("back", -HOUR)
_wall_clock_step("forward", HOUR)


async def _duration(bench: Bench, step: float, suffix: str) -> float:
    loop = asyncio.get_running_loop()
    job = bench.scenarios.succeeding()
    async with bench.environment(job) as environment:
        attempt = bench.make_attempt(environment, job, suffix)
        assert isinstance(environment.clock, LoopClock)
        begin = loop.time()
        await attempt.start_resolved()
        environment.clock.wall_offset += step
        await run_to_success(bench, attempt)
        return loop.time() - begin


@check("k-requests-per-hour-are-bounded", KEEPING)
async def requests_bounded(bench: Bench) -> None:
    """Jobs that run for an hour cost no more requests than declared."""
    if not bench.scenarios.has_virtual_time:
        raise NotApplicable("an hour would have to be waited for")
    allowed = bench.scenarios.allowed_calls_per_hour(JOBS)
    job = bench.scenarios.endless()
    async with bench.environment(job) as environment, asyncio.TaskGroup() as group:
        attempts = [bench.make_attempt(environment, job, f"-{number}") for number in range(JOBS)]
        for attempt in attempts:
            await run_to_running(bench, attempt)
        before = bench.scenarios.calls()
        watchers = [group.create_task(attempt.run(until=Phase.SUCCESS, limit_seconds=2 * HOUR)) for attempt in attempts]
        await asyncio.sleep(HOUR)
        made = bench.scenarios.calls() - before
        for watcher in watchers:
            watcher.cancel()
        for attempt in attempts:
            await attempt.kill_until_gone()
        expect(made <= allowed, f"{JOBS} jobs cost {made} requests an hour, {allowed} are allowed")


@check("k-checks-do-not-wait", KEEPING)
async def checks_do_not_wait(bench: Bench) -> None:
    """A check answers at once, even when the provider does not."""
    async with bench.attempt(bench.scenarios.endless()) as (_, attempt):
        await run_to_running(bench, attempt)
        bench.scenarios.spoil_reads(Fault.SLOW)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await attempt.check()
        waited = loop.time() - begin
        bench.scenarios.heal()
        await attempt.kill_until_gone()
        expect(waited < 0.5, f"a check waited {waited:g} s for the provider")  # noqa: PLR2004
