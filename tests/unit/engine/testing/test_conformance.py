"""
The kit finds what it says it finds: each defect fails the check that is about it, and a sound executor fails none.
"""

from __future__ import annotations

import pytest
from tests.support.jobs_executor import JobsScenarios

from airscrew.engine.executor import AtMostOnce, Findable, Idempotent
from airscrew.engine.testing.conformance import CHECKS, Check, Outcome, check_executor
from airscrew.engine.testing.conformance.kit import CheckResult

pytestmark = pytest.mark.virtual_time


async def make_check(check_id: str, scenarios: JobsScenarios) -> CheckResult:
    (check,) = [check for check in CHECKS if check.id == check_id]
    return await check.run(scenarios.make_executor, scenarios)


async def test_a_sound_executor_passes_all_that_applies_to_it() -> None:
    scenarios = JobsScenarios()

    results = await check_executor(scenarios.make_executor, scenarios)

    assert [result for result in results if result.outcome is Outcome.FAILED] == []
    assert {result.id for result in results if result.outcome is Outcome.SKIPPED} == {
        "a-find-lists-running-and-finished-jobs",
        "h-what-it-takes-of-a-quota-is-the-same-each-time",
    }


def test_every_letter_of_the_list_has_checks() -> None:
    assert {check.id[0] for check in CHECKS} == set("abcdefghijk")


def test_ids_are_unique() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)


DEFECTS = {
    "no-key": [
        "a-start-again-makes-one-job",
        "b-crash-between-start-and-write",
        "g-start-that-meets-lost-reply-makes-one-job",
    ],
    "takes-all": ["g-a-bad-task-is-refused-for-good"],
    "refusal-is-an-error": ["g-start-that-meets-refused-is-not-started"],
    "busy-is-an-error": ["g-start-that-meets-too-many-is-not-started", "g-start-that-meets-busy-is-not-started"],
    "errors-are-final": ["g-start-that-meets-error-makes-one-job"],
    "read-errors-end-jobs": [
        "g-reads-that-meet-error-leave-the-job-alone",
        "g-reads-that-meet-garbage-leave-the-job-alone",
    ],
    "forgets": ["b-restart-before-every-call", "b-crash-between-success-and-write"],
    "never-kills": [
        "c-kill-before-the-first-check",
        "c-kill-while-running",
        "c-kill-after-a-lost-start",
        "c-kill-twice",
    ],
    "never-gone": ["b-restart-between-kills", "c-kill-after-success-is-gone"],
    "kill-needs-a-job": ["c-kill-of-what-vanished"],
    "finalizes-once": ["d-finalize-twice", "b-restart-between-success-and-finalize"],
    "secret-in-state": ["e-no-secret-is-stored-or-shown"],
    "backwards": ["f-phases-are-legal-up-to-success"],
    "counts": ["f-nothing-new-is-told-when-nothing-changed"],
    "no-code": ["h-nothing-is-left-after-failure"],
    "needs-grow": ["h-what-it-takes-of-a-quota-is-the-same-each-time"],
    "bills-the-user": ["i-external-deletion-is-a-system-failure"],
    "trusts-the-wall": ["j-wall-clock-steps-forward"],
    "greedy": ["k-requests-per-hour-are-bounded"],
    "asks-in-checks": ["k-checks-do-not-wait"],
}


@pytest.mark.parametrize(("defect", "check_id"), [(defect, one) for defect, ids in DEFECTS.items() for one in ids])
async def test_a_defect_fails_the_check_that_is_about_it(defect: str, check_id: str) -> None:
    result = await make_check(check_id, JobsScenarios(defect))

    assert result.outcome is Outcome.FAILED
    assert result.reason


async def test_a_find_that_leaves_finished_jobs_out_is_found_out() -> None:
    sound = JobsScenarios(declared=Findable(settle=40))
    broken = JobsScenarios("finds-live-only", declared=Findable(settle=40))

    assert (await make_check("a-find-lists-running-and-finished-jobs", sound)).outcome is Outcome.PASSED
    assert (await make_check("a-find-lists-running-and-finished-jobs", broken)).outcome is Outcome.FAILED


async def test_a_declaration_that_promises_too_much_is_found_out() -> None:
    scenarios = JobsScenarios(declared=Idempotent())
    scenarios.service.idempotent = False

    assert (await make_check("a-start-again-makes-one-job", scenarios)).outcome is Outcome.FAILED


async def test_an_executor_that_is_asked_at_most_once_need_not_survive_a_lost_start() -> None:
    scenarios = JobsScenarios("no-key", declared=AtMostOnce())

    assert (await make_check("g-start-that-meets-lost-reply-makes-one-job", scenarios)).outcome is Outcome.PASSED
    skipped = await make_check("b-crash-between-start-and-write", scenarios)
    assert (skipped.outcome, skipped.reason) == (
        Outcome.SKIPPED,
        "it is declared AtMostOnce: a lost start is never made again",
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_a_check_that_does_not_apply_says_why(check: Check) -> None:
    scenarios = JobsScenarios()

    result = await check.run(scenarios.make_executor, scenarios)

    assert (result.outcome is Outcome.SKIPPED) == bool(result.reason)
