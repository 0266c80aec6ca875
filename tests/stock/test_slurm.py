"""
flytekit's Slurm connectors as they are published, over a real OpenSSH before a real Slurm.

They ask ``scontrol`` for JSON in the words of Slurm 23.11 and later, which Debian's 22.05 does not have: one that
writes them from the real one's answers is first on the cluster's PATH (``cluster/``).
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import serving
from tests.stock.environments import python_of, templates_of
from tests.stock.slurm_cluster import Cluster, running_cluster
from tests.stock.waiting import LIMIT, RAISES, reason_with

from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

pytestmark = pytest.mark.reaches(
    "slurm",
    how="stock",
    by="flytekitplugins-slurm",
    checked="a real Slurm 22.05 over OpenSSH; scontrol's JSON as of 23.11 is written by a stand-in",
    limits={
        "garbage": RAISES,
        "outage": "a host that cannot be reached ends the connector's process (it calls sys.exit): it is begun again",
        "lost reply": "one job, but the connector does not know it: StartOutcomeUnknown",
        "system failure": "the connector raises at NODE_FAIL, PREEMPTED and OUT_OF_MEMORY (unrecognized state): it "
        "looks like an outage until somebody kills the execution",
    },
)
Environment = ExecutorEnvironment[Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def service(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    with serving("flytekit", "flytekit", cluster.home, {}) as found:
        yield found


def environment_of(service: dict[str, object], folder: Path) -> Environment:
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"slurm": service}, "discovery_interval": 60.0},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )


@pytest.fixture
def environment(service: dict[str, object], tmp_path: Path) -> Environment:
    return environment_of(service, tmp_path)


def batch(environment: Environment, folder: Path, text: str, **options: str) -> Attempt[Any]:
    """The task of the SDK, with another script and options."""
    script = folder / "job.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    return begin(
        environment, "slurm", batch_script_path=str(script), batch_script_args=["hello"], sbatch_config=options
    )


def begin(environment: Environment, name: str, **custom: object) -> Attempt[Any]:
    """An attempt of a task of the SDK, by this process's user, with other members of its own."""
    task = load_templates()[name]
    message = type(task.message)()
    message.CopyFrom(task.message)
    message.custom.update({"ssh_config": {"host": "cluster", "username": getpass.getuser()}, **custom})
    changed = TaskTemplate(wire=task.wire, raw=message.SerializeToString(deterministic=True))
    return environment.attempt(changed, name=f"task-{uuid4().hex}")


@cache
def load_templates() -> dict[str, TaskTemplate]:
    return templates_of("flytekit")


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_job_is_made_once_and_looked_at_until_it_succeeds(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    before = cluster.newest()
    async with environment:
        attempt = batch(environment, tmp_path, f"sleep 1; echo $1 > {tmp_path}/told")
        started = await attempt.start()
        status = await attempt.run(limit_seconds=LIMIT)

    assert isinstance(started, TaskStatus)
    assert not started.phase.is_terminal
    assert status.phase is Phase.SUCCESS, status.reason
    assert (tmp_path / "told").read_text() == "hello\n"
    assert cluster.newest() == before + 1


@pytest.mark.shows("user failure")
async def test_a_job_that_fails_shows_what_it_printed(environment: Environment, tmp_path: Path) -> None:
    async with environment:
        attempt = batch(environment, tmp_path, "sleep 1; echo no such column; exit 3")
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER
    assert "no such column" in status.error.message


@pytest.mark.shows("system failure")
async def test_a_job_that_loses_its_node_looks_like_an_outage(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    async with environment:
        attempt = batch(environment, tmp_path, "sleep 600", **{"no-requeue": ""})
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        with cluster.without_node():
            reason = await reason_with(attempt, "not heard of it since")

    assert "connector slurm" in reason


@pytest.mark.shows("kill")
async def test_a_killed_job_is_cancelled(environment: Environment, cluster: Cluster, tmp_path: Path) -> None:
    async with environment:
        attempt = batch(environment, tmp_path, "sleep 600")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        job = cluster.newest()

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert cluster.slurm.run("sacct", "-X", "-n", "-P", f"--jobs={job}", "--format=State").startswith("CANCELLED")


@pytest.mark.shows("restart")
async def test_a_new_engine_goes_on_with_the_job(environment: Environment, cluster: Cluster, tmp_path: Path) -> None:
    before = cluster.newest()
    async with environment:
        attempt = batch(environment, tmp_path, "sleep 3")
        await attempt.start()
        await environment.restart()
        await attempt.check()
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert cluster.newest() == before + 1


@pytest.mark.shows("garbage")
async def test_garbage_is_told_and_believed_by_nobody(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    async with environment:
        attempt = batch(environment, tmp_path, "sleep 2")
        await attempt.start()
        with cluster.talking_nonsense():
            reason = await reason_with(attempt, "not heard of it since")
        status = await attempt.run(limit_seconds=LIMIT)

    assert "connector slurm" in reason
    assert status.phase is Phase.SUCCESS, status.reason


@pytest.mark.shows("lost reply")
async def test_a_job_whose_number_is_lost_is_made_again_by_nobody(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    before = cluster.newest()
    (cluster.bin / "losing").touch()
    async with environment:
        with pytest.raises(ConnectorError, match="connector slurm"):
            await batch(environment, tmp_path, "true").start()

    assert not (cluster.bin / "losing").exists()
    assert cluster.newest() == before + 1


@pytest.mark.shows("outage")
async def test_a_host_that_is_away_is_told_and_costs_no_job(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = {"in_process": {"python": str(python_of("flytekit"))}, "interval": 0.2, "create_timeout": 40.0}
    load_templates()  # they are made in our own home
    monkeypatch.setenv("HOME", str(cluster.home))
    async with environment_of(orders, tmp_path) as environment:
        attempt = batch(environment, tmp_path, f"while [ ! -e {tmp_path}/end ]; do sleep 0.2; done")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        with cluster.without_host():
            reason = await reason_with(attempt, "not heard of it since")
        (tmp_path / "end").touch()
        status = await attempt.run(limit_seconds=LIMIT)

    assert "connector slurm" in reason
    assert status.phase is Phase.SUCCESS, status.reason


@pytest.mark.reaches(
    "slurm_fn",
    limits={
        "poll": "every look at a job raises: its module names `logger` and `SFTPNoSuchFile` and has not imported the "
        "first (1.16.31); our own executor runs these tasks",
    },
)
@pytest.mark.shows("start", "poll")
async def test_a_function_is_started_and_never_heard_of_again(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    before = cluster.newest()
    async with environment:
        attempt = begin(environment, "slurm_fn")
        await attempt.start()
        reason = await reason_with(attempt, "not heard of it since")

    assert "name 'logger' is not defined" in reason
    assert cluster.newest() == before + 1
