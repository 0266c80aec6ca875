"""
Checks (b), (c), (d), (h) and (i): restarts at every step, kills, finalizing, leftovers, and what others delete.
"""

from __future__ import annotations

import asyncio

from airscrew.engine.executor import Gone, TaskStatus
from airscrew.engine.testing.conformance.kit import Bench, Check
from airscrew.engine.testing.conformance.steps import (
    check,
    check_until_ended,
    expect_created,
    expect_none_live,
    needs_effect,
    needs_second_start,
    run_to_running,
    run_to_success,
    start_and_lose,
)
from airscrew.engine.testing.errors import ConformanceError, NotApplicable, expect
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase

ENDING: list[Check] = []

PATIENCE = 200
"""How often a check goes on with what should have come to its end."""


@check("b-restart-before-every-call", ENDING)
async def restart_before_every_call(bench: Bench) -> None:
    """A new process before each call: the state alone is enough."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        await attempt.start_resolved()
        calls = 0
        while not attempt.phase.is_terminal:
            await environment.restart()
            await attempt.check()
            # A life lasts for a second, so that what refreshes in the background has a chance.
            await asyncio.sleep(1.0)
            await attempt.check()
            calls += 1
            expect(calls < PATIENCE, "it does not come to an end when it is restarted again and again")
        expect(attempt.phase is Phase.SUCCESS, f"after restarts it ended as {attempt.phase.title}")
        await environment.restart()
        await attempt.finalize()
        await expect_created(bench, attempt, environment.executor)
        await expect_none_live(bench, attempt, environment.executor)


@check("b-crash-between-start-and-write", ENDING)
async def crash_after_start(bench: Bench) -> None:
    """The process dies when the job is made and the state is not yet written."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        needs_second_start(environment.executor)
        await start_and_lose(attempt)
        await environment.restart()
        await attempt.start_resolved(unknown=True)
        await run_to_success(bench, attempt)
        await expect_created(bench, attempt, environment.executor)


@check("b-crash-between-success-and-write", ENDING)
async def crash_after_success(bench: Bench) -> None:
    """The success that was told and not written is told again after a restart."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        await attempt.start_resolved()
        if attempt.phase.is_terminal:
            raise NotApplicable("it succeeds in its start; see b-crash-between-start-and-write")
        before = attempt.raw_state, attempt.phase, len(attempt.reports), attempt.last
        await check_until_ended(bench, attempt)
        expect(attempt.phase is Phase.SUCCESS, f"it ended as {attempt.phase.title}")
        attempt.raw_state, attempt.phase, attempt.last = before[0], before[1], before[3]
        del attempt.reports[before[2] :]
        await environment.restart()
        await run_to_success(bench, attempt)


@check("b-restart-between-success-and-finalize", ENDING)
async def restart_before_finalize(bench: Bench) -> None:
    """What finalizes need not be who saw the end."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        await check_until_ended(bench, attempt)
        await environment.restart()
        await attempt.finalize()
        await environment.restart()
        await attempt.finalize()
        await expect_none_live(bench, attempt, environment.executor)


@check("b-restart-between-kills", ENDING)
async def restart_between_kills(bench: Bench) -> None:
    """A kill goes on after a restart."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        await run_to_running(bench, attempt)
        for _ in range(PATIENCE):
            await environment.restart()
            if isinstance(await attempt.kill(), Gone):
                await expect_none_live(bench, attempt, environment.executor)
                return
            await attempt.pause(1.0)
        raise ConformanceError(f"the job is not gone after {PATIENCE} kills with a restart before each")


@check("c-kill-before-the-first-check", ENDING)
async def kill_before_check(bench: Bench) -> None:
    """A job that was only started can be killed."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        await attempt.start_resolved()
        await attempt.kill_until_gone()
        await expect_none_live(bench, attempt, environment.executor)


@check("c-kill-while-running", ENDING)
async def kill_while_running(bench: Bench) -> None:
    """A job at work can be killed, and nothing of it stays."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        await run_to_running(bench, attempt)
        await attempt.kill_until_gone()
        await expect_none_live(bench, attempt, environment.executor)


@check("c-kill-after-a-lost-start", ENDING)
async def kill_after_lost_start(bench: Bench) -> None:
    """A start whose answer was lost is resolved and then killed: nothing stays."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        needs_second_start(environment.executor)
        await start_and_lose(attempt)
        await attempt.start_resolved(unknown=True)
        await attempt.kill_until_gone()
        await expect_created(bench, attempt, environment.executor)
        await expect_none_live(bench, attempt, environment.executor)


@check("c-kill-after-success-is-gone", ENDING)
async def kill_after_success(bench: Bench) -> None:
    """Killing what has ended is no error."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        await run_to_success(bench, attempt)
        await attempt.kill_until_gone()
        await expect_none_live(bench, attempt, environment.executor)


@check("c-kill-twice", ENDING)
async def kill_twice(bench: Bench) -> None:
    """Killing what is gone is no error, in another process neither."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        await attempt.start_resolved()
        await attempt.kill_until_gone()
        await attempt.kill_until_gone()
        await environment.restart()
        await attempt.kill_until_gone()
        await expect_none_live(bench, attempt, environment.executor)


@check("c-kill-of-what-vanished", ENDING)
async def kill_of_vanished(bench: Bench) -> None:
    """Killing what somebody else has deleted is no error."""
    async with bench.attempt(bench.scenarios.endless()) as (_, attempt):
        await run_to_running(bench, attempt)
        await bench.scenarios.delete_externally(attempt.key)
        await attempt.kill_until_gone()


@check("d-finalize-twice", ENDING)
async def finalize_twice(bench: Bench) -> None:
    """Finalizing again changes nothing and is no error."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        await run_to_success(bench, attempt)
        await attempt.finalize()
        await expect_none_live(bench, attempt, environment.executor)


@check("d-finalize-after-kill", ENDING)
async def finalize_after_kill(bench: Bench) -> None:
    """Finalizing what was killed is no error."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        await attempt.start_resolved()
        await attempt.kill_until_gone()
        await attempt.finalize()
        await expect_none_live(bench, attempt, environment.executor)


@check("h-nothing-is-left-after-success", ENDING)
async def nothing_left_after_success(bench: Bench) -> None:
    """A finished attempt leaves nothing running."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        needs_effect(environment.executor)
        await run_to_success(bench, attempt)
        await expect_none_live(bench, attempt, environment.executor)


@check("h-nothing-is-left-after-failure", ENDING)
async def nothing_left_after_failure(bench: Bench) -> None:
    """A failed attempt says why, and leaves nothing running."""
    async with bench.attempt(bench.scenarios.failing()) as (environment, attempt):
        status = await attempt.run(limit_seconds=bench.scenarios.limit_seconds)
        expect(status.phase.is_failure, f"a task that fails ended as {status.phase.title}")
        expect(status.error is not None and bool(status.error.code), "the failure has no code")
        await expect_none_live(bench, attempt, environment.executor)


@check("h-what-it-takes-of-a-quota-is-the-same-each-time", ENDING)
async def the_same_of_a_quota(bench: Bench) -> None:
    """What an attempt takes of a quota is asked again after a restart, and is what it was."""
    async with bench.attempt(bench.scenarios.succeeding()) as (_, attempt):
        first = await attempt.requirements()
        if first is None:
            raise NotApplicable("it takes nothing of a quota")
        expect(bool(first.pool) and first.units >= 1, f"what it takes cannot be had: {first}")
        again = await attempt.requirements()
        expect(first == again, f"it takes {first} and then {again}")


@check("i-external-deletion-is-a-system-failure", ENDING)
async def external_deletion(bench: Bench) -> None:
    """A job that somebody deletes fails retryably, for the system's account."""
    async with bench.attempt(bench.scenarios.endless()) as (_, attempt):
        await run_to_running(bench, attempt)
        await bench.scenarios.delete_externally(attempt.key)
        status: TaskStatus[object] = await attempt.run(limit_seconds=bench.scenarios.limit_seconds)
        expect(status.phase is Phase.RETRYABLE_FAILURE, f"a deleted job is reported as {status.phase.title}")
        assert status.error is not None
        expect(status.error.kind is ErrorKind.SYSTEM, f"a deletion from outside is billed to {status.error.kind.value}")
        expect(status.error.code == "ResourceDeletedExternally", f"its code is {status.error.code}")
