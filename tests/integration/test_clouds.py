"""
The executors of cloud providers over real connections: what each must hold whichever provider it is for.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import yaml
from aiohttp import web
from tests.integration.test_bigquery import service_account
from tests.support.aws_services import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from tests.support.bigquery_service import TOKEN
from tests.support.clouds import ATHENA, BIGQUERY, CLOUDS, Cloud

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase

PARAMETERS = [
    pytest.param(one, id=one.id, marks=pytest.mark.reaches(one.id, how="own", by=one.id, checked=one.checked))
    for one in CLOUDS
]
each = pytest.mark.parametrize("cloud", PARAMETERS)


@asynccontextmanager
async def at_work(cloud: Cloud) -> AsyncIterator[tuple[Any, ExecutorEnvironment[Any]]]:
    fake = cloud.make_fake()
    async with (
        fake.serve() as url,
        ExecutorEnvironment(cloud.make_executor, config=cloud.config_at(url), secrets=cloud.secrets) as environment,
    ):
        yield fake, environment
    assert not fake.breaches


@each
@pytest.mark.shows("start", "poll", "succeed")
async def test_a_job_is_started_read_and_succeeds(cloud: Cloud) -> None:
    async with at_work(cloud) as (fake, environment):
        attempt = environment.attempt(cloud.task("seconds=0.3"))

        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert attempt.phases[0] is Phase.QUEUED
    assert Phase.RUNNING in attempt.phases
    assert fake.created == {attempt.key: 1}
    assert status.info.logs


@each
@pytest.mark.shows("user failure")
async def test_a_failure_of_the_user_s_is_billed_to_the_user(cloud: Cloud) -> None:
    async with at_work(cloud) as (_, environment):
        status = await environment.attempt(cloud.task(f"fail={cloud.user}")).run(limit_seconds=20)

    assert status.error is not None
    assert status.error.kind is ErrorKind.USER


@each
@pytest.mark.shows("system failure")
async def test_a_failure_of_the_provider_s_is_tried_again_at_its_cost(cloud: Cloud) -> None:
    async with at_work(cloud) as (_, environment):
        status = await environment.attempt(cloud.task(f"fail={cloud.system}")).run(limit_seconds=20)

    assert status.error is not None
    assert (status.phase, status.error.kind) == (Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM)


@each
@pytest.mark.shows("kill")
async def test_a_killed_job_is_over_at_the_provider(cloud: Cloud) -> None:
    async with at_work(cloud) as (fake, environment):
        attempt = environment.attempt(cloud.task("seconds=3600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        await attempt.kill_until_gone(limit_seconds=20)

    assert fake.live() == 0


@each
@pytest.mark.shows("restart")
async def test_a_restart_at_each_step_makes_no_second_job(cloud: Cloud) -> None:
    async with at_work(cloud) as (fake, environment):
        attempt = environment.attempt(cloud.task("seconds=0.5"))
        await attempt.start_unrecorded()
        await environment.restart()
        await attempt.start_resolved(unknown=True)
        await environment.restart()
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        await environment.restart()
        status = await attempt.run(limit_seconds=20)
        await environment.restart()
        await attempt.finalize()

    assert status.phase is Phase.SUCCESS
    assert fake.created == {attempt.key: 1}


@each
@pytest.mark.shows("lost reply")
async def test_a_start_whose_reply_was_lost_makes_one_job(cloud: Cloud) -> None:
    async with at_work(cloud) as (fake, environment):
        fake.inject(Fault.LOST_REPLY, methods={cloud.create})
        attempt = environment.attempt(cloud.task("seconds=3600"))

        await attempt.start_resolved()

    assert len(attempt.errors) == 1
    assert fake.created == {attempt.key: 1}


@each
@pytest.mark.shows("garbage")
async def test_garbage_makes_no_second_job_and_ends_none(cloud: Cloud) -> None:
    async with at_work(cloud) as (fake, environment):
        fake.inject(Fault.GARBAGE, methods={cloud.create})
        attempt = environment.attempt(cloud.task("seconds=0.5"))
        await attempt.start_resolved()
        attempt.due = 0.0
        fake.inject(Fault.GARBAGE, times=2, methods=cloud.reads)

        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.created == {attempt.key: 1}


@asynccontextmanager
async def listening(fake: Any, port: int) -> AsyncIterator[None]:
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


@each
@pytest.mark.shows("outage")
async def test_a_provider_that_is_away_for_a_while_loses_no_job_and_makes_none_twice(cloud: Cloud) -> None:
    fake = cloud.make_fake()
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = cloud.config_at(f"http://127.0.0.1:{port}")
    async with (
        ExecutorEnvironment(cloud.make_executor, config=config, secrets=cloud.secrets) as environment,
        asyncio.TaskGroup() as group,
    ):
        attempts = [environment.attempt(cloud.task("seconds=2"), name=f"t{number}") for number in range(6)]
        async with listening(fake, port):
            for attempt in attempts[:3]:
                await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        runs = [group.create_task(attempt.run(limit_seconds=60)) for attempt in attempts]
        async with asyncio.timeout(20):
            while "not to be reached since" not in (await attempts[0].check()).reason:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with listening(fake, port):
            await asyncio.wait(runs)

    assert [fake.created[attempt.key] for attempt in attempts] == [1] * 6
    assert {run.result().phase for run in runs} == {Phase.SUCCESS}


async def command_line(*words: str, cwd: Path, variables: dict[str, str]) -> tuple[int | None, str, bytes]:
    """Run the command line; gives its exit code, all that it said, and its arguments as the machine shows them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "airscrew.engine.cli",
        *words,
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()  # noqa: ASYNC240 - of the kernel, in memory
    said, _ = await process.communicate()
    return process.returncode, said.decode(), arguments


@pytest.mark.parametrize("cloud", [ATHENA, BIGQUERY], ids=lambda cloud: cloud.id)
async def test_no_secret_is_in_the_store_the_log_or_the_arguments(cloud: Cloud, tmp_path: Path) -> None:
    fake = cloud.make_fake()
    async with fake.serve() as url:
        config, variables, planted = cloud.config_at(url), {}, [SECRET_KEY, SESSION_TOKEN]
        if cloud is BIGQUERY:
            fake.epoch, fake.wanted_token = time.time() - asyncio.get_running_loop().time(), TOKEN
            key = service_account(url)
            config |= {"anonymous": False, "key": {"secret": "account", "group": "google"}}
            variables = {"_FSEC_GOOGLE_ACCOUNT": key}
            planted = [TOKEN, json.loads(key)["private_key"][40:80]]
        else:
            variables = {"_FSEC_AWS_ID": ACCESS_KEY, "_FSEC_AWS_KEY": SECRET_KEY, "_FSEC_AWS_TOKEN": SESSION_TOKEN}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"executors": {cloud.id: config}}))
        (tmp_path / "task.pb").write_bytes(cloud.task("seconds=0.3").raw)
        words = ("--home", "home", "--config", "config.yaml", "run", "task.pb")
        code, said, arguments = await command_line(*words, cwd=tmp_path, variables=variables)
        if cloud is ATHENA:
            fake.secret_key = "another"
        else:
            fake.wanted_token = "another"
        refused, told, _ = await command_line(*words, cwd=tmp_path, variables=variables)

    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert code == 0, said
    assert refused not in {0, None}
    assert "***" in told
    assert len(fake.jobs) == 1
    for secret in planted:
        assert secret not in said + told
        assert secret.encode() not in arguments + stored
