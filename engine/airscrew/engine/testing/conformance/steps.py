"""
Steps that several checks have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from airscrew.engine.executor import AtMostOnce, NoEffect, TaskStatus
from airscrew.engine.testing.attempt import StartOutcomeUnknownError
from airscrew.engine.testing.conformance.kit import AnyAttempt, AnyExecutor, Bench, Check
from airscrew.engine.testing.errors import NotApplicable, expect
from airscrew.idl.phase import Phase

CheckBody = Callable[[Bench], Awaitable[None]]


def check(name: str, into: list[Check]) -> Callable[[CheckBody], CheckBody]:
    """Put a function into a list of checks under a name."""

    def decorate(body: CheckBody) -> CheckBody:
        into.append(Check(name, body))
        return body

    return decorate


async def expect_created(bench: Bench, attempt: AnyAttempt, executor: AnyExecutor, count: int = 1) -> None:
    """Insist that so many jobs were made for the attempt; says nothing of an executor without effects."""
    if isinstance(executor.start_declaration, NoEffect):
        return
    made = await bench.scenarios.created(attempt.key)
    expect(made == count, f"{made} jobs were made for one attempt, {count} expected")


async def expect_none_live(bench: Bench, attempt: AnyAttempt, executor: AnyExecutor) -> None:
    """Insist that nothing of the attempt is alive; says nothing of an executor without effects."""
    if isinstance(executor.start_declaration, NoEffect):
        return
    live = await bench.scenarios.live(attempt.key)
    expect(live == 0, f"{live} jobs of the attempt are still alive")


async def run_to_success(bench: Bench, attempt: AnyAttempt) -> None:
    """Run an attempt to its end and insist on success."""
    status = await attempt.run(limit_seconds=bench.scenarios.limit_seconds)
    expect(status.phase is Phase.SUCCESS, f"it ended as {status.phase.title}: {status.error or status.reason}")


async def check_until_ended(bench: Bench, attempt: AnyAttempt) -> None:
    """Start and check until the attempt has ended, without cleaning up."""
    if attempt.last is None:
        await attempt.start_resolved()
    begin = asyncio.get_running_loop().time()
    while not attempt.phase.is_terminal:
        waited = asyncio.get_running_loop().time() - begin
        expect(waited <= bench.scenarios.limit_seconds, f"it has not ended after {waited:g} s")
        await attempt.pause_until_due()
        await attempt.check()


async def run_to_running(bench: Bench, attempt: AnyAttempt) -> TaskStatus[object]:
    """Run an attempt until it is at work."""
    status: TaskStatus[object] = await attempt.run(until=Phase.RUNNING, limit_seconds=bench.scenarios.limit_seconds)
    expect(status.phase is Phase.RUNNING, f"it ended as {status.phase.title} instead of running: {status.reason}")
    return status


async def start_and_lose(attempt: AnyAttempt) -> None:
    """Start, and lose the answer as a crash would."""
    answer = await attempt.start_unrecorded()
    expect(isinstance(answer, TaskStatus), f"the first start answered {answer}")


def needs_second_start(executor: AnyExecutor) -> None:
    """
    Skip for an executor whose lost starts are never made again.

    Raises:
        NotApplicable: It is declared ``AtMostOnce``.
    """
    if isinstance(executor.start_declaration, AtMostOnce):
        raise NotApplicable("it is declared AtMostOnce: a lost start is never made again")


def needs_effect(executor: AnyExecutor) -> None:
    """
    Skip for an executor that creates nothing.

    Raises:
        NotApplicable: It is declared ``NoEffect``.
    """
    if isinstance(executor.start_declaration, NoEffect):
        raise NotApplicable("it is declared NoEffect: there is nothing outside")


async def start_resolved(attempt: AnyAttempt) -> bool:
    """Start as the engine does; False when the start was lost and may not be made again."""
    try:
        await attempt.start_resolved()
    except StartOutcomeUnknownError:
        return False
    return True
