"""
``athena`` over real connections: against moto's server, and against a service that checks every request by Amazon's own
model for what moto cannot tell (lost replies, outages, garbage, one query for a token).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from flytekit.models.presto import PrestoQuery
from google.protobuf.json_format import MessageToDict
from tests.support.aws_services import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, FakeAthena
from tests.support.literal_maps import literals, plain
from tests.support.moto_server import aws_client, moto_server

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import ExecutorError, PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate, load_one, make_template
from airscrew.plugins.athena import AthenaExecutor

TEMPLATES = Path(__file__).parents[1] / "data" / "templates" / "v1"
CREDENTIALS = {
    "access_key_id": "id",
    "secret_access_key": "key",
    "session_token": "token",
    "group": "aws",
}
SECRETS = {"aws/id": ACCESS_KEY, "aws/key": SECRET_KEY, "aws/token": SESSION_TOKEN}


def environment_of(url: str, **changed: object) -> ExecutorEnvironment[Any]:
    config = {
        "region": "eu-west-1",
        "endpoint": url,
        "credentials": CREDENTIALS,
        "interval": 0.1,
        "reads_per_second": None,
        "writes_per_second": None,
        "output_location": "s3://results/x",
        **changed,
    }
    return ExecutorEnvironment(AthenaExecutor, config=config, secrets=SECRETS)


@asynccontextmanager
async def athena(**changed: object) -> AsyncIterator[tuple[FakeAthena, ExecutorEnvironment[Any]]]:
    fake = FakeAthena(clock=LoopClock(), queue_seconds=0.05)
    async with fake.serve() as url, environment_of(url, **changed) as environment:
        yield fake, environment
    assert not fake.breaches


def query(statement: str, **outputs: Any) -> TaskTemplate:
    return make_template("presto", custom={"statement": statement}, **outputs)


def flytekit_task() -> TaskTemplate:
    return load_one((TEMPLATES / "plugins.athena.pb").read_bytes(), "plugins.athena.pb")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        client = aws_client("athena", url)
        client.create_work_group(Name="w", Configuration={})
        yield url


async def test_flytekit_s_task_runs_on_moto(moto: str) -> None:
    async with environment_of(moto, batch=1) as environment:  # moto reads queries one by one only
        attempt = environment.attempt(flytekit_task(), literals(ds=("2020-01-01'; drop table x", str)))

        status = await attempt.run(limit_seconds=30)

    results = status.outputs.literals["results"].scalar.schema  # type: ignore[union-attr]
    assert results.uri == f"s3://results/x/{attempt.state.id}.csv"
    assert status.info.logs[0].uri.endswith(attempt.state.id)


async def test_flytekit_s_task_is_sent_as_amazon_s_model_wants_it() -> None:
    async with athena() as (fake, environment):
        attempt = environment.attempt(flytekit_task(), literals(ds=("it's", str)))

        await attempt.run(limit_seconds=30)

    (sent,) = fake.of_operation("StartQueryExecution")
    assert sent == {
        "ClientRequestToken": f"airscrew-{attempt.key}",
        "QueryString": "select * from x where ds=?",
        "ExecutionParameters": ["'it''s'"],
        "QueryExecutionContext": {"Catalog": "c", "Database": "d"},
        "ResultConfiguration": {"OutputLocation": "s3://results/x/"},
        "WorkGroup": "w",
    }


async def test_the_message_of_the_sdk_is_read_in_either_spelling() -> None:
    message = PrestoQuery("wg", "cat", "db", "SELECT 1").to_flyte_idl()
    customs = [MessageToDict(message), MessageToDict(message, preserving_proto_field_name=True)]
    async with athena() as (fake, environment):
        for number, custom in enumerate(customs):
            await environment.attempt(make_template("presto", custom=custom), name=f"t{number}").start()

    assert [sent["WorkGroup"] for sent in fake.of_operation("StartQueryExecution")] == ["wg", "wg"]


async def test_a_start_whose_reply_was_lost_makes_one_query() -> None:
    async with athena() as (fake, environment):
        fake.inject(Fault.LOST_REPLY, methods={"StartQueryExecution"})
        attempt = environment.attempt(query("SELECT 1"))
        with pytest.raises(ConnectionResetError):
            await attempt.start()

        await attempt.start_resolved(unknown=True)
        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.created == {attempt.key: 1}


async def test_fifty_queries_are_read_by_one_request() -> None:
    async with athena() as (fake, environment):
        for number in range(50):
            await environment.attempt(query("SELECT 1 -- seconds=60"), name=f"t{number}").start()
        fake.requests_made.clear()
        attempts = list(environment.attempts.values())
        for attempt in attempts:
            await attempt.run(until=Phase.RUNNING, limit_seconds=20)

    sizes = [len(sent["QueryExecutionIds"]) for sent in fake.of_operation("BatchGetQueryExecution")]
    assert max(sizes) == 50
    assert fake.of_operation("GetQueryExecution") == []


async def test_a_query_that_a_batch_leaves_out_is_asked_for_alone() -> None:
    async with athena() as (fake, environment):
        attempt = environment.attempt(query("SELECT 1 -- seconds=0.2"))
        await attempt.start()
        fake.unprocessed.add(attempt.state.id)

        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.of_operation("GetQueryExecution")


@pytest.mark.parametrize(
    ("fail", "phase", "kind"),
    [
        ("USER", Phase.PERMANENT_FAILURE, ErrorKind.USER),
        ("SYSTEM", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("OTHER", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
    ],
)
async def test_a_failure_is_whose_athena_says(fail: str, phase: Phase, kind: ErrorKind) -> None:
    async with athena() as (_, environment):
        status = await environment.attempt(query(f"SELECT 1 -- fail={fail}")).run(limit_seconds=20)

    assert status.error is not None
    assert (status.phase, status.error.kind) == (phase, kind)


async def test_a_refused_statement_ends_the_execution() -> None:
    async with athena() as (fake, environment):
        with pytest.raises(PermanentError, match="mismatched input 'REFUSE'") as refused:
            await environment.attempt(query("REFUSE")).start()

    assert refused.value.kind is ErrorKind.USER
    assert not fake.jobs


async def test_a_killed_query_is_stopped_at_athena() -> None:
    async with athena() as (fake, environment):
        attempt = environment.attempt(query("SELECT 1 -- seconds=3600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)

        await attempt.kill_until_gone(limit_seconds=20)

    assert fake.live() == 0


async def test_a_new_process_goes_on_and_still_gives_the_outputs() -> None:
    async with athena() as (fake, environment):
        attempt = environment.attempt(flytekit_task(), literals(ds=("x", str)))
        await attempt.start()

        await environment.restart()
        status = await attempt.run(limit_seconds=20)

    assert plain(status.outputs) == {"results": f"s3://results/x/{attempt.state.id}.csv"}
    assert len(fake.jobs) == 1


async def test_a_credential_that_does_not_do_is_told_without_what_signs() -> None:
    async with athena() as (fake, environment):
        fake.secret_key = "another"

        with pytest.raises(PermanentError, match="SignatureDoesNotMatch") as denied:
            await environment.attempt(query("SELECT 1")).start()

    assert denied.value.kind is ErrorKind.SYSTEM
    assert SESSION_TOKEN not in str(denied.value)


async def test_a_token_of_the_environment_is_not_told_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    async with athena(credentials=None) as (fake, environment):
        status = await environment.attempt(query("SELECT 1"), name="good").run(limit_seconds=20)
        fake.secret_key = "another"
        with pytest.raises(ExecutorError, match=r"x-amz-security-token:\*\*\*") as denied:
            await environment.attempt(query("SELECT 1"), name="bad").start()

    assert status.phase is Phase.SUCCESS
    assert SESSION_TOKEN not in str(denied.value)


async def test_keys_that_were_replaced_are_used_at_the_next_call() -> None:
    async with athena() as (fake, environment):
        fake.secret_key = "n3w-k3y"
        attempt = environment.attempt(query("SELECT 1"))
        with pytest.raises(PermanentError):
            await attempt.start()

        attempt.data.secrets["aws/key"] = "n3w-k3y"  # type: ignore[index]
        await attempt.start()

    assert fake.created[attempt.key] == 1


async def test_a_service_that_is_not_there_has_certainly_started_nothing() -> None:
    fake = FakeAthena(clock=LoopClock())
    async with fake.serve() as url:
        pass
    async with environment_of(url) as environment:
        answer = await environment.attempt(query("SELECT 1")).start()

    assert isinstance(answer, NotStarted)
    assert url in answer.reason


async def test_without_any_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with athena(credentials=None) as (fake, environment):
        with pytest.raises(PermanentError, match="no credentials are found"):
            await environment.attempt(query("SELECT 1")).start()

    assert fake.requests() == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"batch": 51}, r"executors\.athena\.batch must be from 1 to 50"),
        ({"output_location": "file:///x"}, r"executors\.athena\.output_location must begin with s3://"),
        ({"endpoint": "athena"}, r"executors\.athena\.endpoint must begin with"),
        ({"regionn": "x"}, "regionn"),
        ({"interval": 0}, r"executors\.athena\.interval must be above 0"),
    ],
)
async def test_a_mistake_in_the_configuration_names_its_key(changed: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        async with environment_of("http://127.0.0.1:1", **changed):
            pass


async def test_without_a_region_the_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"executors\.athena\.region"):
        async with environment_of("http://127.0.0.1:1", region=""):
            pass


async def test_an_answer_that_is_json_and_no_answer_leaves_the_start_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAthena, "start", lambda *_: {"Hello": "x"})
    async with athena() as (_, environment):
        with pytest.raises(ExecutorError, match="has no id"):
            await environment.attempt(query("SELECT 1")).start()
