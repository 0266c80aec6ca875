"""Tasks written with the Flyte 2 SDK, run by the engine as single actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import harness
import on_engine
import pytest


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Any]:
    async with on_engine.engine_in(tmp_path / "home") as opened:
        yield opened


def flows() -> Any:
    return harness.load("flows2.basic")


async def result(api: Any, task: Any, **values: Any) -> Any:
    from flyteidl2.task import common_pb2

    ran = await on_engine.run_task2(api, task, **values)
    assert ran.phase == "Success", ran.why
    return harness.from_outputs2(task, common_pb2.Outputs.FromString(ran.outputs))


async def test_a_sync_task_with_a_default(api: Any) -> None:
    assert await result(api, flows().add_one) == flows().add_one()


async def test_an_async_task_with_two_outputs(api: Any) -> None:
    expected = await flows().greet("a", ["b", "c"])

    assert await result(api, flows().greet, name="a", words=["b", "c"]) == expected


async def test_a_task_with_a_dataclass_and_an_enum(api: Any) -> None:
    point = flows().Point(1, 2)

    assert await result(api, flows().mirror, point=point, side=flows().Side.LEFT) == flows().Point(-1, 2)


async def test_an_exception_is_retried_and_named_by_its_class(api: Any) -> None:
    ran = await on_engine.run_task2(api, flows().raises, message="again")

    assert ran.view.phase.is_failure
    assert ran.view.error.code.endswith("ValueError")
    assert (ran.view.error.kind, ran.view.attempt) == ("USER", 2)


async def test_sys_exit_is_a_failure_that_names_the_exit_code(api: Any) -> None:
    ran = await on_engine.run_task2(api, flows().exits, code=7)

    assert ran.view.phase.is_failure
    assert "7" in ran.view.error.message


async def test_a_report_is_found(api: Any) -> None:
    ran = await on_engine.run_task2(api, flows().reports, title="Sales")

    assert ran.phase == "Success", ran.why
    assert "<h1>Sales</h1>" in ran.deck


async def test_a_file_is_written_where_outputs_go(api: Any) -> None:
    file = await result(api, flows().write_file, text="abc")

    assert await asyncio.to_thread(Path(file.path.removeprefix("file://")).read_text) == "abc"
