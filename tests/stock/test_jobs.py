"""
flytekit's connectors as they are published, run by ``connector`` against the vendors' services.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import Stock
from tests.stock.systems import SYSTEMS, System
from tests.stock.vendor import Vendor
from tests.stock.waiting import LIMIT, reason_with, until
from tests.support.literal_maps import literals, plain

from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

Environment = ExecutorEnvironment[Any]


@pytest.fixture(params=[each.parameter() for each in SYSTEMS])
def system(request: pytest.FixtureRequest) -> System:
    found = request.param
    assert isinstance(found, System)
    return found


@pytest.fixture
def stock(request: pytest.FixtureRequest, system: System) -> Stock:
    home = request.getfixturevalue(system.home)
    assert isinstance(home, Stock)
    return home


@pytest.fixture
def vendor(stock: Stock, system: System) -> Vendor:
    return stock.vendors[system.vendor]


@pytest.fixture
def environment(stock: Stock, system: System, tmp_path: Path) -> Environment:
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {system.name: stock.service}, "discovery_interval": 60.0},
        secrets=stock.secrets,
        state_directory=str(tmp_path / "state"),
        root=(tmp_path / "data").as_uri(),
    )


def attempt_of(environment: Environment, stock: Stock, system: System) -> Attempt[Any]:
    inputs = literals(**{name: (value, type(value)) for name, value in system.inputs.items()})
    return environment.attempt(stock.templates[system.task], inputs, name=f"task-{uuid4().hex}")


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_job_is_made_once_looked_at_and_succeeds_with_its_outputs(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        started = await attempt.start()
        job = vendor.job
        await until(lambda: job.polls > 2, "nobody looks at the job")
        vendor.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert isinstance(started, TaskStatus)
    assert not started.phase.is_terminal
    assert status.phase is Phase.SUCCESS, status.reason
    assert system.outputs.items() <= (plain(status.outputs) if system.outputs else {}).items()
    assert list(vendor.jobs) == [job.id]
    assert vendor.complaints == []


@pytest.mark.shows("user failure")
async def test_a_job_that_fails_by_its_author_says_why(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        vendor.fail(vendor.job, system=False)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER
    assert system.user_words in status.error.message


@pytest.mark.shows("system failure")
async def test_a_job_that_fails_by_the_vendor_is_told_as_far_as_the_connector_tells_it(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        vendor.fail(vendor.job, system=True)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is (Phase.RETRYABLE_FAILURE if system.system_is_retried else Phase.PERMANENT_FAILURE)
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER, "the table says that it cannot be had"
    assert system.system_words in status.error.message


@pytest.mark.shows("kill")
async def test_a_killed_job_is_cancelled_at_the_vendor(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        job = vendor.job

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert vendor.is_cancelled(job)
    assert list(vendor.jobs) == [job.id]
    assert vendor.complaints == []


@pytest.mark.shows("restart")
async def test_a_new_engine_goes_on_with_the_job_whenever_it_comes(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        job = vendor.job

        await environment.restart()
        await attempt.check()
        await until(lambda: job.polls > 0, "nobody looks at the job")
        await environment.restart()
        vendor.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert list(vendor.jobs) == [job.id]


@pytest.mark.shows("outage")
async def test_an_outage_is_told_and_ends_nothing(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        job, vendor.down = vendor.job, True

        reason = await reason_with(attempt, "not heard of it since")
        vendor.finish(job)
        vendor.down = False
        status = await attempt.run(limit_seconds=LIMIT)

    assert f"connector {system.name}" in reason
    assert status.phase is Phase.SUCCESS, status.reason
    assert list(vendor.jobs) == [job.id]


@pytest.mark.shows("garbage")
async def test_garbage_is_told_with_the_connectors_name_and_believed_by_nobody(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    async with environment:
        attempt = attempt_of(environment, stock, system)
        await attempt.start()
        job, vendor.garbage = vendor.job, True

        reason = await reason_with(attempt, "not heard of it since")
        vendor.finish(job)
        vendor.garbage = False
        status = await attempt.run(limit_seconds=LIMIT)

    assert f"connector {system.name}" in reason
    assert status.phase is Phase.SUCCESS, status.reason


@pytest.mark.shows("lost reply")
async def test_a_create_whose_answer_is_lost_is_sent_again_by_nobody_of_ours(
    environment: Environment, stock: Stock, system: System, vendor: Vendor
) -> None:
    vendor.losing = 1
    async with environment:
        attempt = attempt_of(environment, stock, system)
        if system.knows_a_lost_reply:
            await attempt.start()
            assert attempt.last is not None
        else:
            with pytest.raises(ConnectorError, match=f"connector {system.name}"):
                await attempt.start()

    assert len(vendor.jobs) == system.jobs_of_a_lost_reply
