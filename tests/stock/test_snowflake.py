"""
flytekit's Snowflake task and what becomes of its inputs and its rows, in a real database.
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
from tests.stock.vendors.snowflake import Snowflake
from tests.support.literal_maps import literals, plain

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor

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


@pytest.mark.shows("succeed")
async def test_an_input_of_a_statement_is_a_value_and_its_rows_are_read_back(
    snowflake_home: Stock, tmp_path: Path
) -> None:
    vendor = snowflake_home.vendors["snowflake"]
    assert isinstance(vendor, Snowflake)
    vendor.reset()
    vendor.is_prompt = True
    environment: ExecutorEnvironment[Any] = ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"snowflake": snowflake_home.service}},
        state_directory=str(tmp_path / "state"),
        root=(tmp_path / "data").as_uri(),
    )

    async with environment:
        told = [await query(environment, snowflake_home, name) for name in NAMES]

    assert told == [f"snowflake://u:an-account/w/d/s/{name}" for name in vendor.jobs]
    assert rows_of(vendor, *vendor.jobs) == [[name, 100] for name in NAMES]
    assert vendor.complaints == []
    assert vendor.secret not in snowflake_home.log.read_text()


async def query(environment: ExecutorEnvironment[Any], stock: Stock, name: str) -> object:
    """Run the task; returns where its rows are."""
    inputs = literals(name=(name, str), least=(2, int))
    attempt = environment.attempt(stock.templates["snowflake"], inputs, name=f"task-{uuid4().hex}")
    status = await attempt.run(limit_seconds=30.0)
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
