"""
The conformance kit: what every executor must hold, as checks that any test framework can run.

    class MyScenarios(Scenarios): ...

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
    async def test_my_executor_conforms(check):
        result = await check.run(MyExecutor, MyScenarios())
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(result.reason)
        assert result.outcome is Outcome.PASSED, result.reason

or all at once with ``check_executor``. A check that means nothing for an executor is reported as skipped with the
reason that its scenarios give; none passes silently. The letters are those of the list that the kit comes from:

(a) start twice, one job · (b) restart at every step · (c) kill at every step, and twice · (d) finalize twice ·
(e) state: JSON, small, no secrets · (f) phases legal, nothing told twice · (g) faults of the provider ·
(h) nothing left, tokens given back · (i) deletion from outside · (j) steps of the clock · (k) bounded requests.

Run it on a ``VirtualTimeLoop`` where the executor allows; nothing here MUST need a test framework.
"""

from __future__ import annotations

from airscrew.engine.testing.conformance.ending import ENDING
from airscrew.engine.testing.conformance.keeping import KEEPING
from airscrew.engine.testing.conformance.kit import Check, CheckResult, MakeExecutor, Outcome
from airscrew.engine.testing.conformance.scenarios import Job, Scenarios
from airscrew.engine.testing.conformance.starting import STARTING
from airscrew.engine.testing.errors import ConformanceError, NotApplicable

CHECKS: tuple[Check, ...] = tuple(sorted([*STARTING, *ENDING, *KEEPING], key=lambda check: check.id))
"""All checks, one id each."""


async def check_executor(make_executor: MakeExecutor, scenarios: Scenarios) -> list[CheckResult]:
    """
    Make all checks, one after the other.

    Args:
        make_executor: Makes the executor under test; called for every check and every restart.
        scenarios: What its author tells of it; opened and closed for every check.
    """
    return [await check.run(make_executor, scenarios) for check in CHECKS]


__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ConformanceError",
    "Job",
    "NotApplicable",
    "Outcome",
    "Scenarios",
    "check_executor",
]
