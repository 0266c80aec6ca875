"""
``bigquery`` over real connections, against a service that checks every request by Google's discovery document.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.bigquery_service import TOKEN, FakeBigQuery
from tests.support.literal_maps import literals, plain

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import Sql, TaskTemplate, load_one, make_template
from airscrew.plugins.bigquery import BigQueryExecutor

TEMPLATES = Path(__file__).parents[1] / "data" / "templates" / "v1"


def environment_of(url: str, secrets: dict[str, str] | None = None, **changed: object) -> ExecutorEnvironment[Any]:
    config = {
        "project": "proj",
        "endpoint": url,
        "anonymous": True,
        "interval": 0.1,
        "reads_per_second": None,
        "writes_per_second": None,
        **changed,
    }
    return ExecutorEnvironment(BigQueryExecutor, config=config, secrets=secrets)


@asynccontextmanager
async def bigquery(**changed: object) -> AsyncIterator[tuple[FakeBigQuery, ExecutorEnvironment[Any]]]:
    clock = LoopClock()
    fake = FakeBigQuery(clock=clock, queue_seconds=0.05, epoch=clock.now() - clock.monotonic())
    async with fake.serve() as url, environment_of(url, **changed) as environment:
        yield fake, environment
    assert not fake.breaches


def task(statement: str, custom: dict[str, object] | None = None, **inputs: type) -> TaskTemplate:
    return make_template("bigquery_query_job_task", target=Sql(statement=statement), custom=custom, inputs=inputs)


def flytekit_task() -> TaskTemplate:
    return load_one((TEMPLATES / "plugins.bq.pb").read_bytes(), "plugins.bq.pb")


async def test_flytekit_s_task_is_sent_as_google_s_document_wants_it() -> None:
    async with bigquery() as (fake, environment):
        attempt = environment.attempt(flytekit_task(), literals(v=(7, int)))

        status = await attempt.run(limit_seconds=20)

    (sent,) = fake.of_method("insert")
    assert sent == {
        "jobReference": {"projectId": "proj", "jobId": attempt.key, "location": "US"},
        "configuration": {
            "query": {
                "query": "SELECT * FROM t WHERE v > @v;",
                "useLegacySql": False,
                "parameterMode": "NAMED",
                "queryParameters": [
                    {"name": "v", "parameterType": {"type": "INT64"}, "parameterValue": {"value": "7"}}
                ],
            },
            "labels": {"airscrew-key": attempt.key},
        },
    }
    assert plain(status.outputs) == {"results": f"bq://proj:_anon.{attempt.key}"}


async def test_inputs_are_bound_wherever_they_stand() -> None:
    statement = (
        "SELECT @S, '{{.inputs.s}}', {{.inputs.l}}, @@x, '@n' -- @n {{.inputs.s}}\n"
        "FROM `p.d.{{.inputs.s}}` WHERE n = '{{.inputs.n}}' AND x = 'a{{.inputs.s}}' AND t > @t AND b = @b"
    )
    when = datetime(2024, 5, 6, 7, 8, 9, 10, UTC)
    async with bigquery() as (fake, environment):
        template = task(statement, s=str, l=list[int], n=int, t=datetime, b=bool)
        values = literals(
            s=("it's`", str), l=([1, 2], list[int]), n=(7, int), t=(when.isoformat(), datetime), b=(True, bool)
        )
        await environment.attempt(template, values).start()

    query = fake.of_method("insert")[0]["configuration"]["query"]
    assert query["query"] == (
        "SELECT @S, @s, @l, @@x, '@n' -- @n it_s_\n"
        "FROM `p.d.it\\'s\\`` WHERE n = @airscrew_text_n AND x = 'ait\\'s\\`' AND t > @t AND b = @b"
    )
    assert {one["name"]: (one["parameterType"], one["parameterValue"]) for one in query["queryParameters"]} == {
        "s": ({"type": "STRING"}, {"value": "it's`"}),
        "l": ({"type": "ARRAY", "arrayType": {"type": "INT64"}}, {"arrayValues": [{"value": "1"}, {"value": "2"}]}),
        "airscrew_text_n": ({"type": "STRING"}, {"value": "7"}),
        "t": ({"type": "DATETIME"}, {"value": "2024-05-06 07:08:09.000010"}),
        "b": ({"type": "BOOL"}, {"value": "true"}),
    }


async def test_what_the_sdk_s_query_job_config_says_is_passed_on() -> None:
    table = {"projectId": "p", "datasetId": "d", "tableId": "t"}
    custom: dict[str, object] = {
        "ProjectID": "other",
        "Location": None,
        "Domain": "development",
        "destinationTable": table,
        "writeDisposition": "WRITE_TRUNCATE",
        "maximumBytesBilled": "1000",
    }
    async with bigquery() as (fake, environment):
        await environment.attempt(task("SELECT 1", custom)).start()

    (sent,) = fake.of_method("insert")
    assert sent["jobReference"]["projectId"] == "other"
    assert sent["configuration"]["query"]["destinationTable"] == table
    assert sent["configuration"]["query"]["writeDisposition"] == "WRITE_TRUNCATE"


async def test_a_start_whose_reply_was_lost_makes_one_job_and_finds_its_location() -> None:
    async with bigquery() as (fake, environment):
        fake.inject(Fault.LOST_REPLY, methods={"insert"})
        attempt = environment.attempt(task("SELECT 1 -- seconds=3600"))
        with pytest.raises(ConnectionResetError):
            await attempt.start()

        await attempt.start_resolved(unknown=True)
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        location = attempt.state.location
        await attempt.kill_until_gone(limit_seconds=20)

    assert location == "EU"
    assert fake.created == {attempt.key: 1}
    assert fake.live() == 0


async def test_an_adopted_job_whose_location_is_not_known_can_be_killed_at_once() -> None:
    async with bigquery(batch=1) as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=3600"))
        await attempt.start_unrecorded()
        await attempt.start_resolved(unknown=True)

        await attempt.kill_until_gone(limit_seconds=20)

    assert fake.live() == 0


async def test_many_jobs_are_read_by_one_request_and_those_left_out_alone() -> None:
    async with bigquery() as (fake, environment):
        fake.listed, fake.queue_seconds = 30, 2.0
        for number in range(40):
            await environment.attempt(task("SELECT 1 -- seconds=60"), name=f"t{number}").start()
        fake.requests_made.clear()
        for attempt in list(environment.attempts.values()):
            await attempt.run(until=Phase.RUNNING, limit_seconds=20)

    assert fake.of_method("list")
    alone = set(fake.of_method("get"))
    assert alone == {attempt.key for attempt in list(environment.attempts.values())[:10]}


@pytest.mark.parametrize(
    ("reason", "phase", "kind"),
    [
        ("invalidQuery", Phase.PERMANENT_FAILURE, ErrorKind.USER),
        ("backendError", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("rateLimitExceeded", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("newWord", Phase.PERMANENT_FAILURE, ErrorKind.USER),
    ],
)
async def test_a_failure_is_whose_its_word_says(reason: str, phase: Phase, kind: ErrorKind) -> None:
    async with bigquery() as (_, environment):
        status = await environment.attempt(task(f"SELECT 1 -- fail={reason}")).run(limit_seconds=20)

    assert status.error is not None
    assert (status.phase, status.error.kind, status.error.code) == (phase, kind, reason)


async def test_a_new_process_goes_on_and_still_gives_the_outputs() -> None:
    async with bigquery() as (fake, environment):
        attempt = environment.attempt(flytekit_task(), literals(v=(1, int)))
        fake.location = "US"
        await attempt.start()

        await environment.restart()
        status = await attempt.run(limit_seconds=20)

    assert plain(status.outputs) == {"results": f"bq://proj:_anon.{attempt.key}"}


async def test_a_project_that_asks_for_patience_is_asked_later() -> None:
    async with bigquery() as (fake, environment):
        answer = await environment.attempt(task("SELECT 1 -- DENY")).start()

    assert isinstance(answer, NotStarted)
    assert not fake.jobs


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (task(" "), r"sql\.statement is empty"),
        (task("REFUSE"), "Unexpected identifier REFUSE"),
        (task("SELECT {{.inputs.x}}"), "input 'x', which the task does not have"),
        (make_template("bigquery_query_job_task", target=Sql(statement="S"), outputs={"o0": int}), "declares o0"),
    ],
    ids=["empty", "refused", "input", "outputs"],
)
async def test_a_task_that_can_never_run_is_refused(refused: TaskTemplate, told: str) -> None:
    async with bigquery() as (fake, environment):
        with pytest.raises(PermanentError, match=told):
            await environment.attempt(refused).start()

    assert not fake.jobs


def service_account(url: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "x@proj.iam.example",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "token_uri": f"{url}/token",
        }
    )


@asynccontextmanager
async def with_a_key(**changed: object) -> AsyncIterator[tuple[FakeBigQuery, ExecutorEnvironment[Any], str]]:
    clock = LoopClock()
    fake = FakeBigQuery(clock=clock, queue_seconds=0.05, epoch=time.time() - clock.monotonic(), wanted_token=TOKEN)
    async with fake.serve() as url:
        key = service_account(url)
        config: dict[str, object] = {"anonymous": False, "key": {"secret": "account", "group": "google"}, **changed}
        async with environment_of(url, {"google/account": key}, **config) as environment:
            yield fake, environment, key


async def test_a_service_account_s_key_gives_one_token_for_all_requests() -> None:
    async with with_a_key() as (fake, environment, _):
        for number in range(3):
            status = await environment.attempt(task("SELECT 1"), name=f"t{number}").run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.tokens_given == 1


async def test_a_token_that_is_not_taken_is_not_told_and_another_one_is_fetched() -> None:
    async with with_a_key() as (fake, environment, _):
        fake.wanted_token = "another"
        with pytest.raises(PermanentError, match=r"bad credentials: Bearer \*\*\*") as denied:
            await environment.attempt(task("SELECT 1"), name="bad").start()
        fake.wanted_token = TOKEN
        await environment.attempt(task("SELECT 1"), name="good").start()

    assert TOKEN not in str(denied.value)
    assert fake.tokens_given == 2


async def test_a_key_that_is_none_is_told_without_its_text() -> None:
    async with bigquery(anonymous=False, key={"secret": "account"}) as (fake, environment):
        attempt = environment.attempt(task("SELECT 1"))
        attempt.data.secrets["account"] = '{"private_key": "s3cr3t"}'  # type: ignore[index]

        with pytest.raises(PermanentError, match="no token can be had") as denied:
            await attempt.start()

    assert "s3cr3t" not in str(denied.value)
    assert fake.requests() == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"batch": 0}, r"executors\.bigquery\.batch must be from 1"),
        ({"endpoint": "x"}, r"executors\.bigquery\.endpoint must begin with"),
        ({"key": {"secret": "x"}}, r"executors\.bigquery\.anonymous"),
    ],
)
async def test_a_mistake_in_the_configuration_names_its_key(changed: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        async with environment_of("http://127.0.0.1:1", **changed):
            pass
