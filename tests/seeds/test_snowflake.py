"""
Seed 004's workflow with a SnowflakeTask: the query by flytekit's connector, its rows by flytekit's own reader.

The plugin is in an environment of its own, and Snowflake a service on loopback with a database behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import on_engine
import pytest
from tests.stock.environments import python_of, templates_by
from tests.stock.vendors.snowflake import Snowflake
from tests.support.literal_maps import literals
from tests.support.pki import Authority

HERE = Path(__file__).parent
BLOCK = HERE / "blocks" / "seed4_snowflake.py"
ROWS = "('2025-12-30'::timestamp, 'a'), ('2025-12-31'::timestamp, 'b'), ('2026-01-02'::timestamp, 'c')"


@pytest.fixture
def snowflake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Snowflake]:
    with Snowflake(Authority(tmp_path / "authority")) as vendor:
        vendor.is_prompt = True
        made = vendor.run(f"create table x as select * from (values {ROWS}) as rows(time, name)")
        assert made["success"], made
        for name, value in vendor.variables().items():
            monkeypatch.setenv(name, value)
        yield vendor


def test_seed4_the_query_and_what_follows_it_run_on_the_engine(snowflake: Snowflake, tmp_path: Path) -> None:
    from flyteidl.core import literals_pb2

    python = python_of("snowflake")
    templates = templates_by("snowflake", HERE / "author_snowflake.py", BLOCK)
    service = {"in_process": {"python": str(python)}, "interval": 0.2, "timeout": 5.0}
    executors = {"connector": {"services": {"snowflake": service}}, "process": {"path": [str(python.parent)]}}
    time = literals(time=(datetime(2026, 1, 1, tzinfo=UTC), datetime)).SerializeToString()
    environment = {**snowflake.variables(), "PYTHONPATH": str(BLOCK.parent)}

    async def workflow() -> tuple[Any, Any]:
        async with on_engine.engine_in(tmp_path / "home", executors) as api:
            queried = await on_engine.run(api, templates["query_task"].raw, time)
            rows = on_engine.literals(queried).literals["results"]
            given = literals_pb2.LiteralMap(literals={"df": rows}).SerializeToString()
            return rows, await on_engine.run(api, templates["process"].raw, given, environment=environment)

    rows, processed = asyncio.run(workflow())

    assert snowflake.job.asked == "Select * from x where x.time < '2026-01-01 00:00:00+00:00'"
    assert rows.scalar.structured_dataset.uri == f"snowflake://u:a/w/d/s/{snowflake.job.id}"
    assert on_engine.literals(processed).literals["o0"].scalar.primitive.integer == 2
    assert snowflake.complaints == []
