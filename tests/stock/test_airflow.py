"""
Airflow's operators and sensors by flytekit's connector: an operator that makes a job of Airbyte's, and two of HTTP's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import Stock
from tests.stock.test_jobs import LIMIT, reason_with, until
from tests.stock.vendors.airbyte import Airbyte

from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

Environment = ExecutorEnvironment[Any]
ENDS = (
    "an operator that raises AirflowException at it has failed, by the user's fault; what else it raises, as Airbyte's "
    "does, is told as the reason, and the job is looked at again"
)

pytestmark = pytest.mark.reaches(
    "airflow",
    how="stock",
    by="flytekitplugins-airflow",
    limits={
        "start": "operators that want nothing of Airflow's context, and whose triggers are made of just their "
        "attributes: Airbyte's, but not Databricks' or BigQuery's",
        "user failure": "where the operator raises AirflowException, as HttpOperator does; see outage",
        "system failure": "what Airbyte's operator raises looks like an outage, for ever",
        "kill": "the connector ends nothing: the job goes on at its provider, and `confirm_delete: false` is needed",
        "outage": ENDS,
        "garbage": ENDS,
        "lost reply": "one job, but the connector does not know it: StartOutcomeUnknown",
    },
)


@pytest.fixture
def airbyte(airflow_home: Stock) -> Airbyte:
    found = airflow_home.vendors["airbyte"]
    assert isinstance(found, Airbyte)
    found.reset()
    return found


@pytest.fixture
def environment(airflow_home: Stock, tmp_path: Path) -> Environment:
    service = {**airflow_home.service, "confirm_delete": False}
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"airflow": service}, "discovery_interval": 60.0},
        state_directory=str(tmp_path / "state"),
        root=(tmp_path / "data").as_uri(),
    )


def attempt_of(environment: Environment, stock: Stock, task: str) -> Attempt[Any]:
    return environment.attempt(stock.templates[task], name=f"task-{uuid4().hex}")


def failure_of(status: TaskStatus[Any]) -> str:
    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER
    return status.error.message


@pytest.mark.shows("start", "poll", "succeed", "restart")
async def test_an_operators_job_is_made_once_and_looked_at_over_a_restart(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte
) -> None:
    async with environment:
        attempt = attempt_of(environment, airflow_home, "sync")
        await attempt.start()
        job = airbyte.job
        await environment.restart()
        await attempt.check()
        await until(lambda: job.polls > 0, "nobody looks at the job")
        airbyte.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert list(airbyte.jobs) == [job.id]
    assert airbyte.complaints == []


@pytest.mark.shows("user failure")
async def test_an_operator_that_raises_airflows_exception_has_failed(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte
) -> None:
    airbyte.pages["/call"] = 404
    async with environment:
        status = await attempt_of(environment, airflow_home, "call").run(limit_seconds=LIMIT)

    assert "404" in failure_of(status)


@pytest.mark.shows("system failure")
async def test_an_operator_that_raises_anything_else_is_not_heard_of(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte
) -> None:
    async with environment:
        attempt = attempt_of(environment, airflow_home, "sync")
        await attempt.start()
        airbyte.fail(airbyte.job, system=False)

        reason = await reason_with(attempt, "not heard of it since")

    assert f"Job run {airbyte.job.id} has" in reason


@pytest.mark.shows("kill")
async def test_a_killed_operators_job_goes_on(environment: Environment, airflow_home: Stock, airbyte: Airbyte) -> None:
    async with environment:
        attempt = attempt_of(environment, airflow_home, "sync")
        await attempt.start()

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert airbyte.job.status == "running"


@pytest.mark.shows("outage", "garbage")
@pytest.mark.parametrize("fault", ["down", "garbage"])
async def test_what_airbytes_operator_cannot_read_is_told_and_ends_nothing(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte, fault: str
) -> None:
    async with environment:
        attempt = attempt_of(environment, airflow_home, "sync")
        await attempt.start()
        setattr(airbyte, fault, True)
        reason = await reason_with(attempt, "not heard of it since")
        airbyte.finish(airbyte.job)
        setattr(airbyte, fault, False)
        status = await attempt.run(limit_seconds=LIMIT)

    assert "connector airflow" in reason
    assert status.phase is Phase.SUCCESS, status.reason
    assert len(airbyte.jobs) == 1


@pytest.mark.shows("lost reply")
async def test_an_operator_whose_answer_is_lost_has_made_a_job_that_nobody_knows(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte
) -> None:
    airbyte.losing = 1
    async with environment:
        with pytest.raises(ConnectorError, match="connector airflow"):
            await attempt_of(environment, airflow_home, "sync").start()

    assert len(airbyte.jobs) == 1


@pytest.mark.shows("poll", "succeed")
async def test_a_sensor_looks_until_it_sees_what_it_waits_for(
    environment: Environment, airflow_home: Stock, airbyte: Airbyte
) -> None:
    async with environment:
        attempt = attempt_of(environment, airflow_home, "page")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        await until(lambda: len(airbyte.pages_asked) > 1, "nobody looks at the page")
        airbyte.pages["/page"] = 200
        status = await attempt.run(limit_seconds=LIMIT)
        shell = await attempt_of(environment, airflow_home, "bash").run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert shell.phase is Phase.SUCCESS, shell.reason
