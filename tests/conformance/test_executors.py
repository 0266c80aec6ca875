"""
The conformance kit over every executor that comes with airscrew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.executor_scenarios import (
    EchoScenarios,
    HttpJobScenarios,
    InstantEchoScenarios,
    NoopScenarios,
    QuboleScenarios,
    SleepScenarios,
    SyncScenarios,
    WaitableScenarios,
    WebApiScenarios,
)
from tests.conformance.slurm_scenarios import SlurmScenarios

from airscrew.engine.executor import AtMostOnce, Findable
from airscrew.engine.testing.conformance import CHECKS, Check, Outcome
from airscrew.plugins.webapi import Limits

pytestmark = pytest.mark.virtual_time

EXECUTORS: dict[str, Callable[[], Any]] = {
    "echo": EchoScenarios,
    "echo-instant": InstantEchoScenarios,
    "core-sleep": SleepScenarios,
    "noop": NoopScenarios,
    "http_job-idempotent": HttpJobScenarios,
    "http_job-findable": partial(HttpJobScenarios, start={"how": "findable"}, idempotent=False),
    "webapi-batches": WebApiScenarios,
    "webapi-single": partial(WebApiScenarios, limits=Limits(period_seconds=5.0)),
    "webapi-findable": partial(WebApiScenarios, start=Findable(settle=45.0)),
    "webapi-at_most_once": partial(WebApiScenarios, start=AtMostOnce()),
    "sync": SyncScenarios,
    "qubole": QuboleScenarios,
    "waitable": WaitableScenarios,
    "slurm": SlurmScenarios,
    "slurm-without-accounting": partial(SlurmScenarios, accounting=False),
    "http_job-at_most_once": partial(HttpJobScenarios, start={"how": "at_most_once"}, idempotent=False),
}


@pytest.mark.parametrize("make_scenarios", EXECUTORS.values(), ids=EXECUTORS.keys())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_an_executor_conforms(check: Check, make_scenarios: Callable[[], Any]) -> None:
    scenarios = make_scenarios()

    result = await check.run(scenarios.make_executor, scenarios)

    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.reason)
    assert result.outcome is Outcome.PASSED, result.reason
