"""
Checks (a) and (g): a start that is made again, or that meets an error, never makes a second job.
"""

from __future__ import annotations

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Findable, Idempotent, NotStarted
from airscrew.engine.testing.conformance.kit import AnyAttempt, Bench, Check
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
    start_resolved,
)
from airscrew.engine.testing.errors import ConformanceError, NotApplicable, expect
from airscrew.engine.testing.job_service.jobs import Fault

STARTING: list[Check] = []

NOTHING_MADE = (Fault.REFUSED, Fault.TOO_MANY, Fault.BUSY)
OUTCOME_UNKNOWN = (
    Fault.ERROR,
    Fault.GARBAGE,
    Fault.SLOW,
    Fault.LOST_REQUEST,
    Fault.LOST_REPLY,
    Fault.LATE,
    Fault.TWICE,
    Fault.HIDDEN,
)
READ_FAULTS = (Fault.REFUSED, Fault.TOO_MANY, Fault.BUSY, Fault.ERROR, Fault.GARBAGE, Fault.SLOW, Fault.LOST_REPLY)


@check("a-start-again-makes-one-job", STARTING)
async def start_again(bench: Bench) -> None:
    """The answer of a start is lost; it is resolved as declared, and one job comes of it."""
    async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
        needs_second_start(environment.executor)
        await start_and_lose(attempt)
        await attempt.start_resolved(unknown=True)
        await run_to_success(bench, attempt)
        await expect_created(bench, attempt, environment.executor)


@check("a-start-again-answers-the-same", STARTING)
async def start_again_answers_the_same(bench: Bench) -> None:
    """An idempotent start that is made again names the same job."""
    async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
        if not isinstance(environment.executor.start_declaration, Idempotent):
            raise NotApplicable("it is not declared Idempotent")
        await attempt.start()
        first = attempt.data.key, await bench.scenarios.live(attempt.key)
        await attempt.start()
        second = attempt.data.key, await bench.scenarios.live(attempt.key)
        expect(first == second, f"{first[1]} job is alive after the first start, {second[1]} after the second")
        await attempt.kill_until_gone()
        await expect_none_live(bench, attempt, environment.executor)


@check("a-another-attempt-makes-another-job", STARTING)
async def another_attempt(bench: Bench) -> None:
    """Attempts of one execution have different keys and do not share a job."""
    job = bench.scenarios.succeeding()
    async with bench.environment(job) as environment:
        needs_effect(environment.executor)
        for number in (0, 1):
            attempt = environment.attempt(job.template, job.inputs, name=bench.name, number=number)
            await run_to_success(bench, attempt)
            await expect_created(bench, attempt, environment.executor)


@check("a-find-lists-running-and-finished-jobs", STARTING)
async def find_lists_all(bench: Bench) -> None:
    """What ``find`` lists is the truth while the job runs, and after it ended."""
    for name, job in (("-endless", bench.scenarios.endless()), ("-ended", bench.scenarios.succeeding())):
        async with bench.environment(job) as environment:
            if not isinstance(environment.executor.start_declaration, Findable):
                raise NotApplicable("it is not declared Findable")
            attempt = bench.make_attempt(environment, job, name)
            expect(len(await attempt.find()) == 0, "find lists a job before anything was started")
            await attempt.start_resolved()
            if name == "-ended":
                await check_until_ended(bench, attempt)
            found = await attempt.find()
            expect(len(found) == 1, f"find lists {len(found)} jobs of one attempt")
            await attempt.kill_until_gone()


@check("g-a-bad-task-is-refused-for-good", STARTING)
async def refuses_bad_task(bench: Bench) -> None:
    """A task that can never run is a ``PermanentError`` of the start, and nothing is made."""
    async with bench.attempt(bench.scenarios.refused()) as (environment, attempt):
        try:
            answer = await attempt.start()
        except PermanentError as error:
            expect(bool(error.code) and bool(str(error)), "the refusal has no code or no message")
            await expect_created(bench, attempt, environment.executor, 0)
            return
        raise ConformanceError(f"a task that can never run was not refused: {answer}")


def _nothing_made(fault: Fault) -> Check:
    async def body(bench: Bench) -> None:
        async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
            bench.scenarios.spoil_start(fault)
            answer = await attempt.start()
            expect(isinstance(answer, NotStarted), f"{fault.value}: certainly nothing was made, but it says {answer}")
            await expect_created(bench, attempt, environment.executor, 0)
            await run_to_success(bench, attempt)
            await expect_created(bench, attempt, environment.executor)

    return Check(f"g-start-that-meets-{_name(fault)}-is-not-started", body)


def _unknown(fault: Fault) -> Check:
    async def body(bench: Bench) -> None:
        async with bench.attempt(bench.scenarios.succeeding()) as (environment, attempt):
            bench.scenarios.spoil_start(fault)
            if await start_resolved(attempt):
                await run_to_success(bench, attempt)
                await expect_created(bench, attempt, environment.executor)
                await expect_none_live(bench, attempt, environment.executor)
            else:
                made = await bench.scenarios.created(attempt.key)
                expect(made <= 1, f"{made} jobs were made by one start")

    return Check(f"g-start-that-meets-{_name(fault)}-makes-one-job", body)


def _reads(fault: Fault) -> Check:
    async def body(bench: Bench) -> None:
        async with bench.attempt(bench.scenarios.endless()) as (environment, attempt):
            await run_to_running(bench, attempt)
            bench.scenarios.spoil_reads(fault)
            for _ in range(3):
                await attempt.pause(environment.executor.check_interval)
                await _check_and_contain(attempt)
            bench.scenarios.heal()
            await attempt.pause(environment.executor.check_interval)
            status = await attempt.check()
            expect(not status.phase.is_terminal, f"{fault.value}: a fault of the provider ended a job that runs")
            if (live := await bench.scenarios.live(attempt.key)) != 1:
                raise ConformanceError(
                    f"{fault.value}: {live} jobs are alive after a fault of the provider, 1 expected"
                )
            await attempt.kill_until_gone()

    return Check(f"g-reads-that-meet-{_name(fault)}-leave-the-job-alone", body)


async def _check_and_contain(attempt: AnyAttempt) -> None:
    try:
        await attempt.check()
    except ConformanceError:
        raise
    except Exception:  # noqa: BLE001 - whatever a check raises, the engine leaves the job alone
        return


def _name(fault: Fault) -> str:
    return fault.value.replace(" ", "-")


STARTING.extend(_nothing_made(fault) for fault in NOTHING_MADE)
STARTING.extend(_unknown(fault) for fault in OUTCOME_UNKNOWN)
STARTING.extend(_reads(fault) for fault in READ_FAULTS)
