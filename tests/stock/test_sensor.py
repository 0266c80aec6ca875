"""
flytekit's file sensor, in a process that the executor begins by the interpreter of another environment.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.stock.environments import python_of, templates_of
from tests.stock.test_jobs import reason_with
from tests.support.literal_maps import literals

from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.plugins.connector import ConnectorExecutor

LIMIT = 60.0
SMALL = "snowflake"  # flytekit's own connectors are in every environment of flytekit's; this one is imported fastest
pytestmark = pytest.mark.reaches(
    "sensor",
    how="stock",
    by="flytekit",
    limits={
        "kill": "nothing runs anywhere: looking ends when the engine stops looking (`confirm_delete: false`)",
    },
)
Environment = ExecutorEnvironment[Any]


def environment_of(folder: Path, python: str = "", **service: object) -> Environment:
    orders = {"python": python or str(python_of(SMALL))}
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"sensors": {"in_process": orders, "interval": 0.2, **service}}},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )


@pytest.mark.shows("start", "poll", "succeed", "restart", "outage")
@pytest.mark.shows("garbage", absent="it looks at files: there is nobody to answer")
@pytest.mark.shows("lost reply", absent="it makes nothing: to start it twice is to look twice")
async def test_a_sensor_waits_for_its_file_over_a_restart_and_a_crash_of_its_process(tmp_path: Path) -> None:
    async with environment_of(tmp_path) as environment:
        attempt = environment.attempt(
            templates_of("flytekit")["sensor"], literals(path=(str(tmp_path / "it"), str)), name="wait"
        )
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        await environment.restart()
        assert (await attempt.check()).phase is Phase.RUNNING
        executor = environment.executor
        assert isinstance(executor, ConnectorExecutor)
        process = executor.processes["sensors"]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        (tmp_path / "it").touch()

        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert process.started == 2


@pytest.mark.shows("kill")
async def test_a_sensor_that_is_killed_looks_no_more(tmp_path: Path) -> None:
    async with environment_of(tmp_path, confirm_delete=False) as environment:
        attempt = environment.attempt(
            templates_of("flytekit")["sensor"], literals(path=(str(tmp_path / "it"), str)), name="wait"
        )
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)

        await attempt.kill_until_gone(limit_seconds=5.0)


@pytest.mark.shows(
    "user failure", "system failure", limit="it says yes or not yet, and never no: what it raises looks like an outage"
)
async def test_a_sensor_that_cannot_look_is_told_and_looked_at_again(tmp_path: Path) -> None:
    async with environment_of(tmp_path) as environment:
        attempt = environment.attempt(
            templates_of("flytekit")["sensor"], literals(path=("none://it", str)), name="wait"
        )
        await attempt.start()

        reason = await reason_with(attempt, "not heard of it since")

    assert "connector sensors" in reason
    assert "none" in reason


async def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "python")
    async with environment_of(tmp_path, nowhere, task_types=["sensor"], create_timeout=0.5) as environment:
        told = await environment.attempt(
            templates_of("flytekit")["sensor"], literals(path=("it", str)), name="wait"
        ).start()

    assert isinstance(told, NotStarted)
    assert f"{nowhere} cannot be started: No such file or directory" in told.reason
