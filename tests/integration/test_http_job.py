"""
``http_job`` over real connections: against the example's job service in a process of its own, and against the fake one
over HTTP for the faults that only a network has.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from socket import socket
from typing import Any

import pytest
import yaml
from aiohttp import web
from tests.support.literal_maps import literals, plain

from airscrew.engine.clock import LoopClock, SystemClock
from airscrew.engine.executor import NotStarted, Setup
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, load_one, make_template
from airscrew.plugins.http_job import HttpJobExecutor

EXAMPLE = Path(__file__).parents[2] / "examples" / "job_service"


@dataclass
class ExampleService:
    url: str
    token_file: Path

    def call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token_file.read_text()}"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/jobs")["jobs"])

    def spoil(self, **faults: float) -> None:
        self.call("PUT", "/faults", faults)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ExampleService]:
    token_file = tmp_path / "token"
    token_file.write_text("s3cr3t-v4lue")
    command = [sys.executable, str(EXAMPLE / "server.py"), "--port", "0", "--queue-seconds", "0.1", "--quiet"]
    with subprocess.Popen([*command, "--token-file", str(token_file)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield ExampleService(line.removeprefix("listening on ").strip(), token_file)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)


def example_config(url: str) -> dict[str, Any]:
    """The example's configuration, at another address, faster and with a token."""
    config: dict[str, Any] = yaml.safe_load((EXAMPLE / "config.yaml").read_text())["executors"]["http_job"]
    config["services"]["word_count"] |= {
        "url": url,
        "interval": 0.1,
        "settle": 0.2,
        "timeout": 5,
        "auth": {"secret": "token", "group": "job_service"},
    }
    return config


def example_task() -> TaskTemplate:
    return load_one((EXAMPLE / "task.yaml").read_bytes(), "task.yaml")


def environment_of(url: str, **changed: object) -> ExecutorEnvironment[Any]:
    config = example_config(url)
    config["services"]["word_count"] |= changed
    return ExecutorEnvironment(HttpJobExecutor, config=config, secrets={"job_service/token": "s3cr3t-v4lue"})


def inputs(text: str = "to be or not to be", seconds: float = 0.3) -> Any:
    return literals(text=(text, str), seconds=(seconds, float))


async def test_the_example_runs_from_its_configuration_and_template_alone(service: ExampleService) -> None:
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs())

        status = await attempt.run(limit_seconds=20)

    assert plain(status.outputs) == {"words": 6, "longest": "not"}
    assert attempt.phases[-2:] == [Phase.RUNNING, Phase.SUCCESS]
    assert status.info.progress == 1.0


async def test_a_create_whose_reply_was_lost_on_the_wire_makes_one_job(service: ExampleService) -> None:
    service.spoil(lost_reply=1)
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs())
        with pytest.raises(ConnectionResetError):
            await attempt.start()

        await attempt.start_resolved(unknown=True)
        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert [job["key"] for job in service.jobs()] == [attempt.key]


async def test_a_killed_job_is_cancelled_at_the_service(service: ExampleService) -> None:
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs(seconds=3600))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        await attempt.kill_until_gone(limit_seconds=20)

    assert [job["status"] for job in service.jobs()] == ["cancelled"]


async def test_a_job_that_somebody_deletes_is_noticed(service: ExampleService) -> None:
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs(seconds=3600))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        service.call("DELETE", f"/jobs/{attempt.state.id}?forget=true")
        status = await attempt.run(limit_seconds=20)

    assert status.error is not None
    assert status.error.code == "ResourceDeletedExternally"


async def test_a_new_process_goes_on_with_the_job(service: ExampleService) -> None:
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs(seconds=1))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        await environment.restart()
        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert len(service.jobs()) == 1


async def test_errors_and_garbage_of_the_service_pass(service: ExampleService) -> None:
    async with environment_of(service.url) as environment:
        attempt = environment.attempt(example_task(), inputs(seconds=1))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        service.spoil(garbage=1, error=1, too_many=1)
        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS


@pytest.mark.parametrize("fault", ["too_many", "refuse"])
async def test_a_service_that_is_busy_is_asked_later(service: ExampleService, fault: str) -> None:
    service.spoil(**{fault: 1})
    async with environment_of(service.url) as environment:
        answer = await environment.attempt(example_task(), inputs()).start()

    assert isinstance(answer, NotStarted)
    assert answer.delay == 1
    assert service.jobs() == []


async def test_a_service_that_is_not_there_has_certainly_started_nothing() -> None:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with environment_of(url) as environment:
        answer = await environment.attempt(example_task(), inputs()).start()

    assert isinstance(answer, NotStarted)
    assert url in answer.reason


@asynccontextmanager
async def fake_service(**changed: object) -> Any:
    fake = FakeJobService(clock=LoopClock(), token="s3cr3t-v4lue", queue_seconds=0.05)
    async with fake.serve() as url, environment_of(url, **changed) as environment:
        yield fake, environment


async def test_an_answer_that_does_not_come_leaves_the_start_unknown() -> None:
    async with fake_service(timeout=0.2) as (fake, environment):
        fake.slow_seconds = 30
        fake.inject(Fault.SLOW)

        with pytest.raises(TimeoutError, match="no answer"):
            await environment.attempt(example_task(), inputs()).start()


async def test_a_connection_that_breaks_leaves_the_start_unknown() -> None:
    async with fake_service() as (fake, environment):
        fake.inject(Fault.LOST_REQUEST)

        with pytest.raises(ConnectionResetError, match="broke"):
            await environment.attempt(example_task(), inputs()).start()

        assert fake.requests("POST") == 1


@asynccontextmanager
async def listening(fake: FakeJobService, port: int) -> AsyncIterator[None]:
    """Serve at a port; before and afterwards nothing listens there."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake._handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()


async def test_a_service_that_is_away_for_a_while_loses_no_job_and_makes_none_twice() -> None:
    fake = FakeJobService(clock=LoopClock(), token="s3cr3t-v4lue", queue_seconds=0.05)
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with environment_of(f"http://127.0.0.1:{port}") as environment, asyncio.TaskGroup() as group:
        names = [f"t{number}" for number in range(10)]
        task = make_template("word_count", inputs={"text": str, "seconds": float})
        attempts = [environment.attempt(task, inputs(seconds=4), name=name) for name in names]
        async with listening(fake, port):
            for attempt in attempts[:5]:
                await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        runs = [group.create_task(attempt.run(limit_seconds=60)) for attempt in attempts]
        async with asyncio.timeout(20):
            while "not to be reached since" not in (await attempts[0].check()).reason:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with listening(fake, port):
            await asyncio.wait(runs)

    assert [fake.created[attempt.key] for attempt in attempts] == [1] * 10
    assert {run.result().phase for run in runs} == {Phase.SUCCESS}


async def test_the_session_is_closed_with_the_executor() -> None:
    async with fake_service() as (_, environment):
        await environment.attempt(example_task(), inputs()).start()
        session = environment.executor.providers["word_count"].plugin.client.transport._session

    assert session.closed


async def test_an_executor_that_is_moved_to_another_loop_leaves_nothing_on_the_old_one(
    service: ExampleService,
) -> None:
    executor = HttpJobExecutor()
    setup = Setup(
        installation="i",
        config=example_config(service.url),
        clock=SystemClock(),
        random=Random(0),
        wake=lambda key: None,
    )
    old = asyncio.new_event_loop()
    thread = threading.Thread(target=old.run_forever)
    thread.start()
    try:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(executor.initialize(setup), old))
        session = executor.providers["word_count"].plugin.client.transport._session

        await executor.initialize(setup)

        assert session.closed
        assert not asyncio.all_tasks(old)
        await executor.close()
    finally:
        old.call_soon_threadsafe(old.stop)
        thread.join()
        old.close()


@dataclass
class CommandLine:
    """The command line in a process of its own, with the example's configuration at another address."""

    home: Path
    config: Path

    @classmethod
    def at(cls, folder: Path, url: str) -> CommandLine:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump({"executors": {"http_job": example_config(url)}}))
        return cls(folder / "home", config)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "airscrew.engine.cli", "--home", str(self.home), "--config", str(self.config)]
        environment = {**os.environ, "_FSEC_JOB_SERVICE_TOKEN": "s3cr3t-v4lue"}
        return subprocess.Popen(
            [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def run(self, *words: str) -> tuple[str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out, err


RUN = ("run", str(EXAMPLE / "task.yaml"), "--input", "text=to be or not to be")


def test_the_example_runs_from_the_command_line(service: ExampleService, tmp_path: Path) -> None:
    out, _ = CommandLine.at(tmp_path, service.url).run(*RUN, "--input", "seconds=0.3")

    assert "words: int = 6" in out
    assert 'longest: str = "not"' in out


def test_an_engine_that_is_killed_goes_on_with_the_same_job(service: ExampleService, tmp_path: Path) -> None:
    airscrew = CommandLine.at(tmp_path, service.url)
    with airscrew.start(*RUN, "--input", "seconds=3") as process:
        assert process.stderr is not None
        while "Running" not in (line := process.stderr.readline()):
            assert process.poll() is None
            assert "s3cr3t-v4lue" not in line
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()

    told = airscrew.run("run", "--resume")

    assert [job["status"] for job in service.jobs()] == ["succeeded"]
    assert "s3cr3t-v4lue" not in "".join(told)
    assert b"s3cr3t-v4lue" not in arguments
    assert b"s3cr3t-v4lue" not in b"".join(path.read_bytes() for path in tmp_path.rglob("home/**/*") if path.is_file())
