"""
The Snowflake tasks of flytekit and Flyte 2: what becomes of inputs and rows in a real database, and of a second job.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import Stock
from tests.stock.environments import python_of
from tests.stock.vendor import Vendor
from tests.stock.vendors.snowflake import Snowflake
from tests.support.literal_maps import literals, plain

from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

pytestmark = pytest.mark.reaches(
    "snowflake",
    how="stock",
    by="flytekitplugins-snowflake",
    checked="unchecked; made by Snowflake's own client, run by fakesnow",
)

READER = """
import json, sys
from flytekitplugins.snowflake import connector

metadata = connector.SnowflakeJobMetadata("u", "an-account", "d", "s", "w", "", True)
cursor = connector.get_connection(metadata).cursor()
rows = []
for query in sys.argv[1:]:
    cursor.get_results_from_sfqid(query)
    rows += cursor.fetchall()
print(json.dumps(rows))
"""
NAMES = ["O'Brien", "x' OR 1=1; DROP TABLE t; --", '\\" \\', "100 %(least)s"]


FLYTEKIT = pytest.param("snowflake_home", id="flytekit")
FLYTE2 = pytest.param(
    "flyte2_snowflake_home", id="flyte2", marks=pytest.mark.reaches("snowflake", by="flyteplugins-snowflake")
)
WAITING = (
    "the connector raises at a statement that waits for its warehouse (QUEUED, RESUMING_WAREHOUSE and the like): told "
    "as the reason, and the job is looked at again"
)
CLOSES = (
    "the connector closes the one connection that it keeps for a user: until its process is begun again, their other "
    "statements are told as failed, which go on at Snowflake, and none can be started"
)


@pytest.fixture(params=[FLYTEKIT, FLYTE2])
def stock(request: pytest.FixtureRequest) -> Stock:
    home = request.getfixturevalue(request.param)
    assert isinstance(home, Stock)
    return home


@pytest.fixture
def vendor(vendors: dict[str, Vendor]) -> Snowflake:
    found = vendors["snowflake"]
    assert isinstance(found, Snowflake)
    found.reset()
    return found


def environment_of(stock: Stock, folder: Path) -> ExecutorEnvironment[Any]:
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"snowflake": stock.service}},
        secrets=stock.secrets,
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )


def attempt_of(environment: ExecutorEnvironment[Any], stock: Stock, name: str = "a") -> Attempt[Any]:
    inputs = literals(name=(name, str), least=(2, int))
    return environment.attempt(stock.templates["snowflake"], inputs, name=f"task-{uuid4().hex}")


@pytest.mark.shows("succeed")
async def test_an_input_of_a_statement_is_a_value_and_its_rows_can_be_read_back(
    stock: Stock, vendor: Snowflake, tmp_path: Path
) -> None:
    vendor.is_prompt = True

    async with environment_of(stock, tmp_path) as environment:
        told = [await query(environment, stock, name) for name in NAMES]

    assert [str(uri).replace("u:an-account", "u/an-account") for uri in told] == [
        f"snowflake://u/an-account/w/d/s/{name}" for name in vendor.jobs
    ]
    assert rows_of(vendor, *vendor.jobs) == [[name, 100] for name in NAMES]
    assert vendor.complaints == []
    assert vendor.secret not in stock.log.read_text()


@pytest.mark.shows("poll", limit=WAITING)
async def test_a_statement_that_waits_for_its_warehouse_looks_like_an_outage(
    stock: Stock, vendor: Snowflake, tmp_path: Path
) -> None:
    async with environment_of(stock, tmp_path) as environment:
        attempt = attempt_of(environment, stock)
        await attempt.start()
        vendor.job.status = "QUEUED"
        while "not heard of it since" not in (waiting := await attempt.check()).reason:
            await attempt.pause(0.1)
        vendor.finish(vendor.job)
        status = await attempt.run(limit_seconds=30.0)

    assert "Unrecognized state: queued" in waiting.reason
    assert status.phase is Phase.SUCCESS, status.reason


@pytest.mark.reaches("snowflake", by="flyteplugins-snowflake")
@pytest.mark.shows("kill", limit=CLOSES)
async def test_a_kill_has_the_other_statements_of_its_user_told_as_failed(
    flyte2_snowflake_home: Stock, vendor: Snowflake, tmp_path: Path
) -> None:
    stock = flyte2_snowflake_home
    async with environment_of(stock, tmp_path) as environment:
        first, second = (attempt_of(environment, stock, name) for name in "ab")
        await first.start()
        await second.start()

        await first.kill_until_gone(limit_seconds=30.0)
        status = await second.run(limit_seconds=30.0)
        with pytest.raises(ConnectorError, match="Connection is closed"):
            await attempt_of(environment, stock, "c").start()

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.reason == "Unknown error"  # the client's words for a connection that it has closed
    assert [job.status for job in vendor.jobs.values()] == ["ABORTED", "RUNNING"]


async def query(environment: ExecutorEnvironment[Any], stock: Stock, name: str) -> object:
    """Run the task; returns where its rows are."""
    status = await attempt_of(environment, stock, name).run(limit_seconds=30.0)
    assert status.phase is Phase.SUCCESS, status.reason
    return plain(status.outputs)["results"]


def rows_of(vendor: Snowflake, *queries: str) -> list[list[object]]:
    """Ask for the rows of statements by Snowflake's own client."""
    done = subprocess.run(
        [str(python_of("snowflake")), "-c", READER, *queries],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **vendor.variables()},
    )
    assert done.returncode == 0, done.stderr
    rows: list[list[object]] = json.loads(done.stdout)
    return rows
