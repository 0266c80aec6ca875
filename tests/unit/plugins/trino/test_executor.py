"""
The executor over a Trino of these tests, in virtual time.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clouds import TRINO
from tests.support.literal_maps import literals
from tests.support.trino_service import PASSWORD, USER, FakeTrino

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import Sql, TaskTemplate, load_one, make_template
from airscrew.plugins.trino import TrinoExecutor

pytestmark = pytest.mark.virtual_time

TEMPLATES = Path(__file__).parents[3] / "data" / "templates" / "v1"
JWT = "eyJ-planted-0453"
SECRETS = {"password": PASSWORD, "jwt": JWT}
RESULTS = {"catalog": "hive", "schema": "tmp"}
SCHEMA: dict[str, Any] = {"results": {"type": {"schema": {}}}}


@asynccontextmanager
async def cluster(
    service: Mapping[str, Any] | None = None, **changed: object
) -> AsyncIterator[tuple[FakeTrino, ExecutorEnvironment[Any]]]:
    fake = FakeTrino(clock=LoopClock(), queue_seconds=0.5, **(service or {}))
    config = {"url": "https://trino.test", "user": USER, "interval": 5.0, **changed}
    async with ExecutorEnvironment(lambda: TrinoExecutor(lambda: fake), config=config, secrets=SECRETS) as environment:
        yield fake, environment
    assert not fake.breaches


def task(statement: str, **inputs: type) -> TaskTemplate:
    return make_template("trino", target=Sql(statement=statement), inputs=inputs)


def with_results(statement: str, kind: str = "presto") -> TaskTemplate:
    """Make a task that declares ``results``, as flytekit's two kinds do."""
    name = {"presto": "plugins.athena.pb", "hive": "plugins.hive.pb"}[kind]
    message = load_one((TEMPLATES / name).read_bytes(), name).message
    changed = type(message).FromString(message.SerializeToString())
    if kind == "presto":
        changed.custom["statement"] = statement
    else:
        changed.custom["query"]["query"] = statement
    return load_one(changed.SerializeToString(), name)


async def test_flytekit_s_task_is_sent_with_the_session_that_it_names() -> None:
    template = load_one((TEMPLATES / "plugins.athena.pb").read_bytes(), "plugins.athena.pb")
    async with cluster(results=RESULTS, session={"query_max_run_time": "1h", "x": "a b"}) as (fake, environment):
        attempt = environment.attempt(template, literals(ds=("2024-01-01' OR 'a'='a", str)))
        status = await attempt.run(limit_seconds=100)

    first, second = fake.queries.values()
    location = attempt.data.locations.raw_output_prefix
    table = f'"hive"."tmp"."airscrew_{attempt.key.replace("-", "_")}"'
    assert first.statement == (
        f"CREATE TABLE {table} WITH (external_location = '{location}', format = 'PARQUET') AS\n"
        "select * from x where ds='2024-01-01'' OR ''a''=''a'"
    )
    assert second.statement == f"DROP TABLE IF EXISTS {table}"
    told = {name: value for name, value in first.headers.items() if name.startswith("x-trino-")}
    assert told == {
        "x-trino-user": USER,
        "x-trino-source": "airscrew",
        "x-trino-trace-token": attempt.key,
        "x-trino-client-tags": f"airscrew,{attempt.key}",
        "x-trino-catalog": "c",
        "x-trino-schema": "d",
        "x-trino-routing-group": "w",
        "x-trino-session": "query_max_run_time=1h,x=a%20b",
    }
    assert status.phase is Phase.SUCCESS
    assert status.outputs.literals["results"].scalar.schema.uri == location  # type: ignore[union-attr]
    assert status.info.logs[0].uri == f"http://trino.test/ui/query.html?{attempt.state.id}"


async def test_a_query_runs_only_when_the_state_that_holds_its_address_is_stored() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=60"))
        await attempt.start()
        await elapse(60)
        before = fake.pages, fake.live()
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        after = fake.live()
        await attempt.kill_until_gone()

    assert before == (0, 0)
    assert after == 1
    assert fake.live() == 0


async def test_of_a_start_whose_answer_was_lost_only_the_second_one_runs() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=20"))
        await attempt.start_unrecorded()
        await environment.restart()
        await attempt.start_resolved(unknown=True)
        status = await attempt.run(limit_seconds=100)

    assert status.phase is Phase.SUCCESS
    assert len(fake.queries) == 2
    assert fake.submitted == {attempt.key: 1}


async def test_a_query_that_never_ran_is_killed_without_running() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=60"))
        await attempt.start()

        await attempt.kill_until_gone()

    assert not fake.submitted
    assert fake.requests("cancel") == 1


async def test_pages_with_rows_are_fetched_at_once_and_survive_restarts_between_them() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- rows=30"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        began = fake.clock.monotonic()
        for _ in range(3):
            await attempt.check()
            await environment.restart()
        status = await attempt.run(limit_seconds=100)
        took = fake.clock.monotonic() - began

    assert status.phase is Phase.SUCCESS
    assert fake.submitted == {attempt.key: 1}
    assert took < 30 * 5.0 / 2


async def test_a_query_that_only_runs_is_asked_for_once_a_period() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        fake.pages = 0
        status = await attempt.run(limit_seconds=1000)

    assert status.phase is Phase.SUCCESS
    assert 600 / 5 / 1.3 <= fake.pages <= 600 / 5 + 5


@pytest.mark.reaches("trino", how="own", by="trino", checked=TRINO.checked)
@pytest.mark.shows(
    "outage",
    limit="one longer than query.client.timeout (5 minutes) ends the query: a failure of the system's, told so",
)
async def test_a_query_that_trino_gave_up_during_an_outage_is_the_system_s_failure_that_says_so() -> None:
    async with cluster() as (_, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=3600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        await environment.restart()
        await elapse(301)
        status = await attempt.run(limit_seconds=100)

    assert status.error is not None
    assert (status.phase, status.error.kind, status.error.code) == (
        Phase.RETRYABLE_FAILURE,
        ErrorKind.SYSTEM,
        "ABANDONED_QUERY",
    )
    assert "nobody fetched its next page for longer than its query.client.timeout" in status.error.message


async def test_a_restarted_coordinator_has_lost_the_query() -> None:
    async with cluster() as (fake, environment):
        attempt = environment.attempt(task("SELECT 1 -- seconds=3600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        fake.forget(attempt.key)
        status = await attempt.run(limit_seconds=100)

    assert status.error is not None
    assert (status.error.kind, status.error.code) == (ErrorKind.SYSTEM, "ResourceDeletedExternally")


@pytest.mark.parametrize(
    ("said", "phase", "kind"),
    [
        ("fail=USER_ERROR", Phase.PERMANENT_FAILURE, ErrorKind.USER),
        ("fail=USER_ERROR name=USER_CANCELED", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("fail=INTERNAL_ERROR", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("fail=EXTERNAL", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("fail=INSUFFICIENT_RESOURCES", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("fail=INSUFFICIENT_RESOURCES name=QUERY_QUEUE_FULL", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
    ],
)
async def test_a_failure_is_whose_its_type_says(said: str, phase: Phase, kind: ErrorKind) -> None:
    async with cluster() as (_, environment):
        status = await environment.attempt(task(f"SELECT 1 -- {said}")).run(limit_seconds=100)

    assert status.error is not None
    assert (status.phase, status.error.kind) == (phase, kind)
    assert status.error.code in status.error.message


async def test_results_go_where_the_statement_itself_writes_them() -> None:
    statement = "CREATE TABLE t WITH (external_location = '{{.rawOutputDataPrefix}}') AS SELECT 1;"
    async with cluster() as (fake, environment):
        attempt = environment.attempt(with_results(statement, "hive"))
        status = await attempt.run(limit_seconds=100)

    location = attempt.data.locations.raw_output_prefix
    assert fake.statements() == [f"CREATE TABLE t WITH (external_location = '{location}') AS SELECT 1"]
    assert location in str(status.outputs)


async def test_a_table_s_name_that_cannot_be_dropped_fails_nothing() -> None:
    async with cluster(results=RESULTS) as (fake, environment):
        attempt = environment.attempt(with_results("SELECT 1 -- seconds=5"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        fake.queries[attempt.state.id].failure = ("", "")
        while len(fake.queries) < 2:
            await attempt.pause_until_due()
            await attempt.check()
        list(fake.jobs.values())[1].fail = "USER_ERROR"
        status = await attempt.run(limit_seconds=100)

    assert status.phase is Phase.SUCCESS


async def test_a_credential_goes_to_the_configured_address_alone() -> None:
    service = {"told_as": "http://elsewhere.test:8080", "jwt": JWT}
    async with cluster(service, jwt={"secret": "jwt"}) as (fake, environment):
        status = await environment.attempt(task("SELECT 1")).run(limit_seconds=100)

    assert status.phase is Phase.SUCCESS
    assert fake.origins == {"https://trino.test"}


@pytest.mark.parametrize(("kind", "word"), [("jwt", "Bearer"), ("password", "Basic")])
async def test_a_credential_that_is_not_taken_is_not_told(kind: str, word: str) -> None:
    changed: dict[str, object] = {kind: {"secret": kind}}
    async with cluster({kind: "another"}, **changed) as (_, environment):
        with pytest.raises(PermanentError, match=rf"Invalid credentials: {word} \*\*\*") as denied:
            await environment.attempt(task("SELECT 1")).start()

    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert all(secret not in str(denied.value) for secret in (JWT, PASSWORD, pair))


async def test_a_cluster_that_asks_for_patience_is_asked_later() -> None:
    async with cluster() as (fake, environment):
        answer = await environment.attempt(task("SELECT 1 -- BUSY")).start()

    assert isinstance(answer, NotStarted)
    assert not fake.jobs


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (task(" "), "sql.statement, or custom.statement, is empty"),
        (make_template("hive"), r"custom\.query\.query is empty"),
        (make_template("presto", custom={"statement": "S", "catalog": "a\nX-Trino-User: root"}), "sent as a header"),
        (task("SELECT {{.inputs.x}}"), "input 'x', which the task does not have"),
        (with_results("SELECT 1"), "nothing writes them"),
        (make_template("trino", target=Sql(statement="S"), outputs={"o0": int}), "declares o0"),
    ],
    ids=["empty", "hive", "header", "input", "results", "outputs"],
)
async def test_a_task_that_can_never_run_is_refused(refused: TaskTemplate, told: str) -> None:
    async with cluster() as (fake, environment):
        with pytest.raises(PermanentError, match=told):
            await environment.attempt(refused).start()

    assert not fake.jobs


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"url": "trino"}, r"executors\.trino\.url: is 'trino': use an address like"),
        ({"url": "http://trino.test", "jwt": {"secret": "jwt"}}, "use https, for the credential goes with each"),
        ({"jwt": {"secret": "a"}, "password": {"secret": "b"}}, r"executors\.trino\.jwt: a password is configured"),
        ({"user": "a\nb"}, r"executors\.trino\.user: is 'a\\nb'"),
        ({"session": {"a=b": "c"}}, r"executors\.trino\.session: holds 'a=b'"),
        ({"user": "a:b", "password": {"secret": "password"}}, r"executors\.trino\.user: is 'a:b': a user who has"),
        ({"interval": 400.0}, r"executors\.trino\.interval: is 400: use 120 at most, or Trino gives queries up"),
    ],
)
async def test_a_mistake_in_the_configuration_names_its_key(changed: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        async with cluster(**changed):
            pass
