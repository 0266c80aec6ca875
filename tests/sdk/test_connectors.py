"""
``connector`` against the SDKs' own servers, and against the same connectors in a process that the executor starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from connector_kit import (
    attempt_of,
    environment_of,
    flyte2_server,
    flytekit_server,
    free_port,
    in_process,
    jobs,
    made,
    remote,
    served,
    task,
    task2,
    text_at,
)
from tests.support.literal_maps import plain

from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import NotStarted
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.connector.errors import FailedError

LIMIT = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILE_JOBS", str(made))
        yield made


@pytest.fixture(scope="module")
def flytekit_port(folder: Path) -> Iterator[int]:
    port = free_port()
    with served(flytekit_server(port, "file_jobs"), port, folder):
        yield port


@pytest.fixture(scope="module")
def flyte2_port(folder: Path) -> Iterator[int]:
    port = free_port()
    with served(flyte2_server(port, "file_jobs2"), port, folder):
        yield port


Ways = dict[str, tuple[dict[str, object], Callable[[], Any]]]


@pytest.fixture(params=["flytekit grpc", "flytekit in process", "flyte 2 grpc", "flyte 2 in process"])
def way(request: pytest.FixtureRequest) -> tuple[dict[str, object], Any]:
    """A service and a task for it."""
    name = str(request.param)
    if name.endswith("grpc"):
        port = request.getfixturevalue("flytekit_port" if "flytekit" in name else "flyte2_port")
        return remote(port, protocol="flyte1" if "flytekit" in name else "flyte2"), (task if "kit" in name else task2)()
    if "flytekit" in name:
        return in_process("file_jobs"), task()
    return in_process("file_jobs2", sdk="flyte"), task2()


async def test_a_job_of_a_connector_succeeds_with_its_outputs_and_log(
    way: tuple[dict[str, object], Any], folder: Path, tmp_path: Path
) -> None:
    service, template = way
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, template, "well")

        status = await attempt.run(limit_seconds=LIMIT)

    assert plain(status.outputs) == {"answer": "aaa"}
    assert Phase.RUNNING in attempt.phases
    assert [job["key"] for job in jobs(folder, attempt.key)] == [attempt.key]
    logs = [text_at(link.uri) for link in status.info.logs if link.name == "connector log"]
    flytekits_own = "protocol" in service and service["protocol"] == "flyte1"  # its GetTaskLogs returns nothing
    assert logs == ([] if flytekits_own else ["one line\nanother\n"])
    (measured,) = [text_at(link.uri) for link in status.info.logs if link.name == "connector metrics"]
    assert [json.loads(line) for line in measured.splitlines()] == [{"metric": "cpu", "data": {"values": [0.5, 1.5]}}]


async def test_a_job_that_fails_says_why(way: tuple[dict[str, object], Any], tmp_path: Path) -> None:
    service, template = way
    async with environment_of(tmp_path, service) as environment:
        status = await attempt_of(environment, template, "fail").run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.message == "the user's fault"
    assert status.error.kind is ErrorKind.USER


async def test_a_killed_job_is_gone_when_the_connector_says_so(
    way: tuple[dict[str, object], Any], folder: Path, tmp_path: Path
) -> None:
    service, template = way
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, template, "endless")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert [job["deleted"] for job in jobs(folder, attempt.key)] == [True]


async def test_a_new_engine_goes_on_with_the_job(
    way: tuple[dict[str, object], Any], folder: Path, tmp_path: Path
) -> None:
    service, template = way
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, template, "well")
        await attempt.start()

        await environment.restart()
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS
    assert len(jobs(folder, attempt.key)) == 1


async def test_a_sync_connector_answers_with_the_result(flytekit_port: int, tmp_path: Path) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        status = await attempt_of(environment, task("upper"), "word").run(limit_seconds=LIMIT)

    assert plain(status.outputs) == {"answer": "WORD"}


async def test_the_task_types_are_what_the_connectors_serve(flytekit_port: int, tmp_path: Path) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        assert {"file_job", "upper", "webhook"} <= set(environment.executor.task_types)


async def test_a_version_that_nobody_serves_is_refused_with_those_that_are(flytekit_port: int, tmp_path: Path) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        status = await attempt_of(environment, task(version=2), "well").run(limit_seconds=LIMIT)
        with pytest.raises(PermanentError, match=r"no connector serves file_job/7 .* file_job/2 \(files\)"):
            await attempt_of(environment, task(version=7), "well").start()

    assert status.phase is Phase.SUCCESS


async def test_a_retryable_failure_of_a_job_is_one(flytekit_port: int, tmp_path: Path) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        status = await attempt_of(environment, task(), "retry").run(limit_seconds=LIMIT)

    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.reason == "capacity was taken away"


@pytest.mark.parametrize(
    ("text", "reason"), [("no phase", "the job is in phase 0"), ("huge", "larger than max")], ids=["no phase", "20 MB"]
)
async def test_answers_that_cannot_be_right_fail_the_execution_and_name_the_connector(
    flytekit_port: int, tmp_path: Path, text: str, reason: str
) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        status = await attempt_of(environment, task(), text).run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.cleanup
    assert status.error is not None
    assert status.error.kind is ErrorKind.SYSTEM
    assert "connector files" in status.error.message
    assert reason in status.error.message


async def test_a_create_that_raises_leaves_open_whether_there_is_a_job(flytekit_port: int, tmp_path: Path) -> None:
    async with environment_of(tmp_path, remote(flytekit_port)) as environment:
        with pytest.raises(FailedError, match=r"connector files, CreateTask: INTERNAL: .*the job cannot be made"):
            await attempt_of(environment, task(), "refuse").start()


async def test_a_create_that_raises_is_a_failure_where_the_configuration_says_so(
    flytekit_port: int, tmp_path: Path
) -> None:
    async with environment_of(tmp_path, remote(flytekit_port, create_errors="failed")) as environment:
        with pytest.raises(RetryableError, match="the job cannot be made"):
            await attempt_of(environment, task(), "refuse").start()


async def test_a_server_that_is_down_costs_nothing_and_is_found_when_it_is_up(tmp_path: Path, folder: Path) -> None:
    port = free_port()
    service = remote(port, task_types=["file_job"], create_timeout=1.0)
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, task(), "well")

        down = await attempt.start()
        with served(flytekit_server(port, "file_jobs"), port, folder):
            status = await attempt.run(limit_seconds=LIMIT)
            await _until(lambda: "webhook" in environment.executor.task_types)

    assert isinstance(down, NotStarted)
    assert f"connector files cannot be reached at 127.0.0.1:{port}" in down.reason
    assert status.phase is Phase.SUCCESS


async def test_an_outage_is_shown_and_the_job_is_left_alone(tmp_path: Path, folder: Path) -> None:
    port = free_port()
    async with environment_of(tmp_path, remote(port, task_types=["file_job"], timeout=0.5)) as environment:
        attempt = attempt_of(environment, task(), "endless")
        with served(flytekit_server(port, "file_jobs"), port, folder):
            await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        reasons: list[str] = []

        async def is_told() -> bool:
            reasons.append((await attempt.check()).reason)
            return "not heard of it since" in reasons[-1]

        await _until(is_told)

    assert "cannot be reached" in reasons[-1]
    assert attempt.phases[-1] is Phase.RUNNING


async def test_a_job_that_vanished_at_its_provider_is_told_from_an_outage_of_it(
    flytekit_port: int, folder: Path, tmp_path: Path
) -> None:
    service = remote(flytekit_port, visibility=1.0)
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, task(), "endless")
        await attempt.run(until=Phase.RUNNING, limit_seconds=LIMIT)
        path = made(folder, attempt.key)
        path.write_text(json.dumps({**json.loads(path.read_text()), "away": True}))
        away_since, reasons = time.monotonic(), list[str]()

        async def is_told() -> bool:
            reasons.append((await attempt.check()).reason)
            return time.monotonic() > away_since + 3.0 and "name or service not found" in reasons[-1]

        await _until(is_told)
        path.unlink()
        status = await attempt.run(limit_seconds=LIMIT)

    assert attempt.phases[-2] is Phase.RUNNING
    assert status.phase is Phase.RETRYABLE_FAILURE
    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("ResourceDeletedExternally", ErrorKind.SYSTEM)
    assert "the provider has not known job {" in status.reason
    assert path.name in status.reason


async def test_the_process_of_connectors_comes_back_after_a_crash(tmp_path: Path, folder: Path) -> None:
    async with environment_of(tmp_path, in_process("file_jobs")) as environment:
        process = environment.executor.processes["files"]  # type: ignore[attr-defined]
        attempt = attempt_of(environment, task(), "well")
        await attempt.start()
        os.kill(process.pid, signal.SIGKILL)

        status = await attempt.run(limit_seconds=LIMIT)

    assert process.started == 2
    assert status.phase is Phase.SUCCESS
    assert len(jobs(folder, attempt.key)) == 1


async def test_an_import_that_fails_is_the_reason_and_touches_nothing_else(tmp_path: Path) -> None:
    service = in_process("no_such_module", task_types=["file_job"], create_timeout=0.5)
    async with environment_of(tmp_path, service) as environment:
        told = await attempt_of(environment, task(), "well").start()

    assert isinstance(told, NotStarted)
    assert "No module named 'no_such_module'" in told.reason


async def test_nobody_without_the_token_is_served_in_process(tmp_path: Path) -> None:
    import grpc.aio

    async with environment_of(tmp_path, in_process("file_jobs")) as environment:
        process = environment.executor.processes["files"]  # type: ignore[attr-defined]
        async with grpc.aio.insecure_channel(process.endpoint) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/flyteidl.service.AgentMetadataService/ListAgents")(b"")
        mode = Path(process.endpoint.removeprefix("unix:")).parent.stat().st_mode

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert mode & 0o077 == 0


async def test_a_connector_of_flyte_2_is_given_its_secret_by_reference(
    flyte2_port: int, tmp_path: Path, folder: Path
) -> None:
    service = remote(flyte2_port, protocol="flyte2", connection={"secrets": {"token": "jobs/token"}})
    async with environment_of(tmp_path, service) as environment:
        attempt = attempt_of(environment, task2(), "well")
        await attempt.run(limit_seconds=LIMIT)

    assert [job["token"] for job in jobs(folder, attempt.key)] == ["s3cr3t-v4lue"]


async def _until(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")
