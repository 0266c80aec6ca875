"""
The conformance kit over the executors of cloud providers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.cloud_scenarios import (
    AthenaScenarios,
    BatchScenarios,
    BigQueryScenarios,
    DatabricksScenarios,
    TrinoScenarios,
)

from airscrew.engine.testing.conformance import CHECKS, Check, Outcome

pytestmark = pytest.mark.virtual_time

EXECUTORS: dict[str, Callable[[], Any]] = {
    "athena": AthenaScenarios,
    "aws-batch": BatchScenarios,
    "bigquery-batches": BigQueryScenarios,
    "bigquery-single": partial(BigQueryScenarios, batch=1),
    "databricks-batches": DatabricksScenarios,
    "databricks-single": partial(DatabricksScenarios, batch=1),
    "trino": TrinoScenarios,
}


@pytest.mark.parametrize("make_scenarios", EXECUTORS.values(), ids=EXECUTORS.keys())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_an_executor_conforms(check: Check, make_scenarios: Callable[[], Any]) -> None:
    scenarios = make_scenarios()

    result = await check.run(scenarios.make_executor, scenarios)

    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.reason)
    assert result.outcome is Outcome.PASSED, result.reason
