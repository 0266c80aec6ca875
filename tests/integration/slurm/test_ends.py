"""
How jobs end on a real Slurm, and whose failure each end is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.slurm.slurm_kit import Opened, begin, environment_of, local_config, reaches, script
from tests.support.slurm import Slurm

from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase

pytestmark = reaches


@pytest.mark.shows("user failure")
async def test_an_exit_code_is_the_user_s_failure_and_is_named(opened: Opened) -> None:
    async with opened() as environment:
        status = await begin(environment, script("exit 3")).run(limit_seconds=60)

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("JobFailed", ErrorKind.USER)
    assert "with exit code 3" in status.error.message


async def test_a_signal_is_named(opened: Opened) -> None:
    async with opened() as environment:
        status = await begin(environment, script("kill -9 $$")).run(limit_seconds=60)

    assert status.error is not None
    assert "by signal 9" in status.error.message


@pytest.mark.shows("system failure")
async def test_a_job_that_loses_its_node_is_the_system_s_failure(slurm: Slurm, tmp_path: Path) -> None:
    async with environment_of(local_config(slurm), tmp_path) as environment:
        attempt = begin(environment, script("sleep 600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=60)
        try:
            slurm.run("scontrol", "update", f"NodeName={slurm.node_name}", "State=DOWN", "Reason=test")
            status = await attempt.run(limit_seconds=60)
        finally:
            slurm.revive_node()

    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("NodeFailed", ErrorKind.SYSTEM)


@asynccontextmanager
async def running(slurm: Slurm, folder: Path, text: str, **options: object) -> AsyncIterator[Any]:
    """A job that runs."""
    async with environment_of(local_config(slurm), folder) as environment:
        attempt = begin(environment, script(text, sbatch_config=options))
        await attempt.run(until=Phase.RUNNING, limit_seconds=60)
        yield attempt


def told(status: TaskStatus[Any]) -> tuple[Phase, str, ErrorKind]:
    assert status.error is not None
    return status.phase, status.error.code, status.error.kind


async def test_a_job_over_its_time_is_the_users_failure(slurm: Slurm, tmp_path: Path) -> None:
    async with running(slurm, tmp_path, "sleep 600", time=5) as attempt:
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1))
        slurm.run("scontrol", "update", f"JobId={attempt.state.id}", f"EndTime={now}")

        status = await attempt.run(limit_seconds=60)  # Slurm looks at the limits every 30 s

    assert told(status) == (Phase.RETRYABLE_FAILURE, "TimeLimit", ErrorKind.USER)
    assert "ran into its time limit" in status.reason


async def test_a_job_over_its_memory_is_the_users_failure(slurm: Slurm, opened: Opened) -> None:
    if not slurm.limits_memory:
        pytest.skip("NO MEMORY LIMITS: there is no control group of version 1 to set one")
    too_much = "x=$(head -c 200M /dev/zero | tr '\\0' x); sleep 20"
    async with opened() as environment:
        attempt = begin(environment, script(too_much, sbatch_config={"mem": 32}))

        status = await attempt.run(limit_seconds=60)

    assert told(status) == (Phase.RETRYABLE_FAILURE, "OOMKilled", ErrorKind.USER)


async def test_a_job_that_another_pushes_out_is_the_systems_failure(slurm: Slurm, tmp_path: Path) -> None:
    async with running(slurm, tmp_path, "sleep 600", partition="modest", exclusive=True) as attempt:
        slurm.submit("true", "--partition=urgent", "--exclusive")

        status = await attempt.run(limit_seconds=60)

    assert told(status) == (Phase.RETRYABLE_FAILURE, "Preempted", ErrorKind.SYSTEM)


async def test_a_job_that_somebody_else_cancels_is_the_systems_failure(slurm: Slurm, tmp_path: Path) -> None:
    async with running(slurm, tmp_path, "sleep 600") as attempt:
        slurm.run("scancel", attempt.state.id)

        status = await attempt.run(limit_seconds=60)

    assert told(status) == (Phase.RETRYABLE_FAILURE, "ResourceDeletedExternally", ErrorKind.SYSTEM)
    assert "was cancelled, and not by this engine" in status.reason
