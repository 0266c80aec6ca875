"""
Flyte 2's Slurm connector as it is published, over a real OpenSSH before a real Slurm: batch scripts.

Its other task type needs Pyxis or Apptainer on the cluster, which Debian does not have.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.stock.conftest import serving
from tests.stock.environments import templates_of
from tests.stock.slurm_cluster import Cluster, running_cluster
from tests.stock.waiting import LIMIT, RAISES, reason_with
from tests.support.literal_maps import literals
from tests.support.object_stores import ObjectStore

from airscrew.engine.data.storage import Storage
from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

pytestmark = pytest.mark.reaches(
    "slurm_script",
    how="stock",
    by="flyteplugins-slurm",
    checked="a real Slurm 22.05 over OpenSSH",
    limits={
        "garbage": RAISES,
        "lost reply": "one job, but the connector does not know it: StartOutcomeUnknown",
    },
)
Environment = ExecutorEnvironment[Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def store(object_stores: Callable[[str], ObjectStore]) -> ObjectStore:
    """Where the data are: the connector moves what a script wrote to an object store, and to no folder."""
    return object_stores("s3")


@pytest.fixture(scope="module")
def service(cluster: Cluster, store: ObjectStore) -> Iterator[dict[str, object]]:
    variables = {
        **store.environ,
        "FLYTE_SLURM_HOST": "127.0.0.1",
        "FLYTE_SLURM_PORT": str(cluster.sshd.port),
        "FLYTE_SLURM_USERNAME": getpass.getuser(),
        "FLYTE_SLURM_WORKING_DIR": str(cluster.home / "jobs"),
    }
    with serving("flyte2", "flyte", cluster.home, variables) as found:
        yield {**found, "connection": {"secrets": {"ssh_private_key": "slurm/key", "known_hosts_data": "slurm/hosts"}}}


@pytest.fixture
def environment(
    service: dict[str, object], cluster: Cluster, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Environment:
    for name, value in store.environ.items():
        monkeypatch.setenv(name, value)
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"slurm": service}, "discovery_interval": 60.0},
        secrets={"slurm/key": cluster.sshd.private_key, "slurm/hosts": cluster.sshd.known_hosts.read_text()},
        state_directory=str(tmp_path / "state"),
        root=f"{store.base}/{uuid4().hex}",
    )


def begin(environment: Environment, script: str = "", **options: object) -> Attempt[Any]:
    """Begin an attempt of the task of the SDK, with another script and options."""
    task = templates_of("flyte2")["slurm_script"]
    message = type(task.message)()
    message.CopyFrom(task.message)
    if script:
        message.custom.update({"script": f"#!/bin/bash\n{script}\n", "sbatch_options": options})
    changed = TaskTemplate(wire=task.wire, raw=message.SerializeToString(deterministic=True))
    return environment.attempt(changed, literals(word=("hello", str)), name=f"task-{uuid4().hex}")


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_script_is_run_once_and_what_it_wrote_is_an_output(environment: Environment, cluster: Cluster) -> None:
    before = cluster.newest()
    async with environment:
        attempt = begin(environment)
        started = await attempt.start()
        status = await attempt.run(limit_seconds=LIMIT)

    assert isinstance(started, TaskStatus)
    assert not started.phase.is_terminal
    assert status.phase is Phase.SUCCESS, status.reason
    assert status.outputs is not None
    async with Storage() as storage:
        assert await storage.read(status.outputs.literals["report"].scalar.blob.uri) == b"hello\n"
    assert cluster.newest() == before + 1


@pytest.mark.shows("user failure")
async def test_a_script_that_fails_shows_what_it_printed(environment: Environment) -> None:
    async with environment:
        status = await begin(environment, "echo no such column >&2; exit 3").run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.USER
    assert "no such column" in status.error.message


@pytest.mark.shows("system failure")
async def test_a_script_that_loses_its_node_fails_with_that_word(environment: Environment, cluster: Cluster) -> None:
    async with environment:
        attempt = begin(environment, "sleep 600", **{"no-requeue": True})
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        with cluster.without_node():
            status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert "NODE_FAIL" in status.error.message


@pytest.mark.shows("kill")
async def test_a_killed_script_is_cancelled(environment: Environment, cluster: Cluster) -> None:
    async with environment:
        attempt = begin(environment, "sleep 600")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        job = cluster.newest()

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert cluster.slurm.run("sacct", "-X", "-n", "-P", f"--jobs={job}", "--format=State").startswith("CANCELLED")


@pytest.mark.shows("restart")
async def test_a_new_engine_goes_on_with_the_script(environment: Environment, cluster: Cluster) -> None:
    before = cluster.newest()
    async with environment:
        attempt = begin(environment, 'sleep 3; echo done > "$FLYTE_OUTPUT_REPORT"')
        await attempt.start()
        await environment.restart()
        await attempt.check()
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert cluster.newest() == before + 1


@pytest.mark.shows("garbage")
async def test_garbage_is_told_and_believed_by_nobody(environment: Environment, cluster: Cluster) -> None:
    async with environment:
        attempt = begin(environment, 'sleep 2; echo done > "$FLYTE_OUTPUT_REPORT"')
        await attempt.start()
        with cluster.talking_nonsense():
            reason = await reason_with(attempt, "not heard of it since")
        status = await attempt.run(limit_seconds=LIMIT)

    assert "Unrecognized Slurm job state" in reason
    assert status.phase is Phase.SUCCESS, status.reason


@pytest.mark.shows("lost reply")
async def test_a_script_whose_number_is_lost_is_run_again_by_nobody(environment: Environment, cluster: Cluster) -> None:
    before = cluster.newest()
    (cluster.bin / "losing").touch()
    async with environment:
        with pytest.raises(ConnectorError, match="connector slurm"):
            await begin(environment, "true").start()

    assert not (cluster.bin / "losing").exists()
    assert cluster.newest() == before + 1


@pytest.mark.shows("outage")
async def test_a_host_that_is_away_is_told_and_costs_no_job(
    environment: Environment, cluster: Cluster, tmp_path: Path
) -> None:
    before = cluster.newest()
    async with environment:
        wait = f"while [ ! -e {tmp_path}/end ]; do sleep 0.2; done"
        attempt = begin(environment, f'{wait}; echo done > "$FLYTE_OUTPUT_REPORT"')
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        with cluster.without_host():
            reason = await reason_with(attempt, "not heard of it since")
        (tmp_path / "end").touch()
        status = await attempt.run(limit_seconds=LIMIT)

    assert "connector slurm" in reason
    assert status.phase is Phase.SUCCESS, status.reason
    assert cluster.newest() == before + 1
