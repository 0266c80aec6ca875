"""
``databricks`` over real connections, against a service that takes Databricks' own client as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import ResourceDoesNotExist
from databricks.sdk.service import jobs as published
from databricks.sdk.service.compute import ClusterSpec
from tests.integration.test_clouds import command_line
from tests.support.clouds import DATABRICKS, databricks_task
from tests.support.databricks_service import OAUTH_SECRET, PRINCIPAL, TOKEN, FakeDatabricks
from tests.support.literal_maps import literals

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted, OutputsAt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import Container, TaskTemplate, load_one, make_template
from airscrew.plugins.databricks import DatabricksExecutor
from airscrew.plugins.databricks.decide import BLAME, PERMANENT, SYSTEM, USER, decide
from airscrew.plugins.databricks.state import RunState, RunView

TEMPLATES = Path(__file__).parents[1] / "data" / "templates" / "v1"
OAUTH: dict[str, object] = {
    "token": None,
    "oauth": {"client_id": PRINCIPAL, "secret": "principal", "group": "databricks"},
}


def environment_of(address: str, **changed: object) -> ExecutorEnvironment[Any]:
    config = {**DATABRICKS.config_at(address), **changed}
    secrets = {**DATABRICKS.secrets, "databricks/principal": OAUTH_SECRET}
    return ExecutorEnvironment(
        DatabricksExecutor, config={name: value for name, value in config.items() if value is not None}, secrets=secrets
    )


@asynccontextmanager
async def databricks(**changed: object) -> AsyncIterator[tuple[FakeDatabricks, ExecutorEnvironment[Any]]]:
    fake = FakeDatabricks(clock=LoopClock(), queue_seconds=0.05)
    async with fake.serve() as url, environment_of(url, **changed) as environment:
        yield fake, environment
    assert not fake.breaches


@asynccontextmanager
async def in_process(**changed: object) -> AsyncIterator[tuple[FakeDatabricks, ExecutorEnvironment[Any]]]:
    """The same without a network, at the address that flytekit's task of these tests names."""
    fake = FakeDatabricks(clock=LoopClock(), queue_seconds=0.0)
    config = {"url": "https://acct.cloud.databricks.com", "token": {"secret": "token"}, "interval": 0.1, **changed}
    async with ExecutorEnvironment(
        lambda: DatabricksExecutor(lambda: fake), config=config, secrets={"token": TOKEN}
    ) as environment:
        yield fake, environment
    assert not fake.breaches


def task(conf: dict[str, object], **custom: object) -> TaskTemplate:
    container = Container(image="example/app:v1", args=("run", "{{.inputs.n}}"), env={"MINE": "1"})
    custom = {"databricksConf": conf, **custom}
    return make_template("databricks", target=container, custom=custom, inputs={"n": int})


async def submitted(template: TaskTemplate, **changed: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start a task; returns the run that the workspace got, and its task."""
    async with in_process(**changed) as (fake, environment):
        await environment.attempt(template, literals(n=(7, int))).start()
    (sent,) = fake.submitted
    (inner,) = sent["tasks"]
    return sent, inner


async def test_the_service_of_these_tests_is_one_for_databricks_own_client() -> None:
    task = published.SubmitTask(
        task_key="theirs",
        new_cluster=ClusterSpec(spark_version="13.3.x-scala2.12", num_workers=1),
        spark_python_task=published.SparkPythonTask(python_file="x.py", parameters=["seconds=60"]),
    )

    def use(url: str) -> dict[str, Any]:
        theirs = WorkspaceClient(host=url, token=TOKEN, config_file="/dev/null")
        made = theirs.jobs.submit(idempotency_token="theirs", tasks=[task]).run_id
        again = theirs.jobs.submit(idempotency_token="theirs", tasks=[task]).run_id
        for number in range(30):
            theirs.jobs.submit(idempotency_token=str(number), tasks=[task])
        listed = list(theirs.jobs.list_runs(active_only=True, limit=20))
        theirs.jobs.cancel_run(made)
        state = theirs.jobs.get_run(made).state
        with pytest.raises(ResourceDoesNotExist):
            theirs.jobs.get_run(1)
        return {"made": made, "again": again, "listed": len(listed), "result": state and state.result_state}

    fake = FakeDatabricks(clock=LoopClock(), queue_seconds=0.0)
    async with fake.serve() as url:
        told = await asyncio.to_thread(use, url)

    assert not fake.breaches
    assert told["made"] == told["again"]
    assert (told["listed"], told["result"]) == (31, published.RunResultState.CANCELED)


async def test_flytekit_s_task_is_one_run_with_the_attempt_s_key() -> None:
    template = load_one((TEMPLATES / "plugins.databricks_pi.pb").read_bytes(), "plugins.databricks_pi.pb")
    async with in_process() as (fake, environment):
        attempt = environment.attempt(template, literals(n=(7, int)))
        status = await attempt.run(limit_seconds=20)

    (sent,) = fake.submitted
    (inner,) = sent.pop("tasks")
    parameters = inner["spark_python_task"].pop("parameters")
    variables = inner["new_cluster"].pop("spark_env_vars")
    assert sent == {
        "idempotency_token": attempt.key,
        "run_name": "r",
        "timeout_seconds": 3600,
        "git_source": {
            "git_url": "https://github.com/flyteorg/flytetools",
            "git_provider": "gitHub",
            "git_commit": "572298df1f971fb58c258398bd70a6372f811c96",
        },
    }
    assert inner == {
        "task_key": "airscrew",
        "max_retries": 1,
        "new_cluster": {
            "spark_version": "11.0",
            "docker_image": {"url": "ghcr.io/example/app:v1"},
            "spark_conf": {"spark.x": "1"},
        },
        "spark_python_task": {"python_file": "flytekitplugins/databricks/entrypoint.py"},
    }
    assert parameters[0] == "pyflyte-execute"
    assert not any("{{" in text for text in parameters)
    assert variables.items() >= {"GLOBAL_ENV": "1", "FLYTE_FAIL_ON_ERROR": "true"}.items()
    assert isinstance(status.outputs, OutputsAt)
    assert status.outputs.prefix in parameters
    assert status.info.logs[0].uri.endswith(f"#job/7/run/{attempt.state.id}")


async def test_a_task_of_the_older_kind_is_of_type_spark() -> None:
    template = make_template(
        "spark", target=Container(image="x", args=("run",)), custom={"databricksConf": {"existing_cluster_id": "c-1"}}
    )

    _, inner = await submitted(template)

    assert inner["existing_cluster_id"] == "c-1"
    assert "new_cluster" not in inner


async def test_serverless_compute_gets_an_environment_with_the_variables() -> None:
    sent, inner = await submitted(task({"environment_key": "e"}), credential_provider="s3")

    (made,) = sent["environments"]
    assert (made["environment_key"], inner["environment_key"], made["spec"]["client"]) == ("e", "e", "1")
    assert made["spec"]["environment_vars"]["MINE"] == "1"
    assert inner["spark_python_task"] == {
        "python_file": "flytekitplugins/databricks/entrypoint_serverless.py",
        "parameters": ["run", "7", "--flyte-credential-provider=s3"],
        "source": "GIT",
    }


async def test_a_newer_environment_gets_its_variables_where_databricks_documents_it() -> None:
    environments = [{"environment_key": "default", "spec": {"environment_version": "5", "dependencies": ["a"]}}]
    given = [{"environment_variables_key": "airscrew", "spec": {"variables": {"THEIRS": "2"}}}]

    sent, inner = await submitted(task({"environments": environments, "environment_variables": given}))

    assert sent["environments"] == environments
    (made,) = sent["environment_variables"]
    assert made["environment_variables_key"] == inner["environment_variables_key"]
    assert made["spec"]["variables"].items() >= {"MINE": "1", "THEIRS": "2"}.items()


async def test_a_notebook_gets_its_parameters_filled_in() -> None:
    notebook = task(
        {"existing_cluster_id": "c"}, notebookPath="/Users/x/n", notebookBaseParameters={"n": "{{.inputs.n}}"}
    )

    sent, inner = await submitted(notebook)

    assert inner["notebook_task"] == {"notebook_path": "/Users/x/n", "base_parameters": {"n": "7"}}
    assert "git_source" not in sent


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("word", "phase", "kind"),
    [
        ("CLUSTER_ERROR", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("INTERNAL_ERROR", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("MAXIMUM_CONCURRENT_RUNS_REACHED", Phase.RETRYABLE_FAILURE, ErrorKind.SYSTEM),
        ("FAILED", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("TIMEDOUT", Phase.RETRYABLE_FAILURE, ErrorKind.USER),
        ("INVALID_CLUSTER_REQUEST", Phase.PERMANENT_FAILURE, ErrorKind.USER),
        ("SKIPPED", Phase.PERMANENT_FAILURE, ErrorKind.USER),
    ],
)
async def test_a_failure_is_whose_its_word_says(word: str, phase: Phase, kind: ErrorKind) -> None:
    async with in_process() as (_, environment):
        status = await environment.attempt(databricks_task(f"fail={word}")).run(limit_seconds=20)

    assert status.error is not None
    assert (status.phase, status.error.kind, status.error.code) == (phase, kind, word)
    assert "Workload failed" in status.error.message


@pytest.mark.parametrize(("blame", "kind"), [("CLOUD_FAILURE", ErrorKind.SYSTEM), ("CLIENT_ERROR", ErrorKind.USER)])
def test_of_a_new_word_its_type_says_whose_it_is(blame: str, kind: ErrorKind) -> None:
    view = RunView(status="TERMINATED", result="NEW", reason="it failed", code="NEW_CODE", blame=blame)

    status = decide(RunState(id="1", created_at=0.0, outputs="s3://b/o"), view)

    assert status.error is not None
    assert (status.phase, status.error.kind, status.error.code) == (Phase.RETRYABLE_FAILURE, kind, "NEW_CODE")


def test_each_word_of_the_vendor_s_is_somebody_s() -> None:
    """A code that the vendor's client knows is in our lists, or Databricks tells along with it whose it is."""
    told_along = {"DRIVER_ERROR", "STORAGE_ACCESS_ERROR"}

    words = {one.value for one in published.TerminationCodeCode} - {"SUCCESS", "SUCCESS_WITH_FAILURES"} - told_along

    assert words <= SYSTEM | PERMANENT | USER
    assert not SYSTEM & PERMANENT
    assert {one.value for one in published.TerminationTypeType} - {"SUCCESS"} == set(BLAME)


@pytest.mark.virtual_time
async def test_a_run_that_somebody_else_cancelled_is_the_user_s_failure() -> None:
    async with in_process() as (fake, environment):
        attempt = environment.attempt(databricks_task("seconds=60"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        for job in fake.jobs.values():
            job.cancelled = True
        status = await attempt.run(limit_seconds=20)

    assert status.error is not None
    assert (status.error.code, status.error.kind) == ("USER_CANCELED", ErrorKind.USER)


@pytest.mark.virtual_time
async def test_many_runs_are_read_by_one_request_and_those_that_ended_alone() -> None:
    async with in_process(interval=5.0) as (fake, environment):
        for number in range(20):
            await environment.attempt(databricks_task("seconds=60"), name=f"t{number}").start()
        attempts = list(environment.attempts.values())
        for attempt in attempts:
            await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        fake.reads.clear()
        began = fake.clock.monotonic()
        for job in list(fake.jobs.values())[:3]:
            job.run_seconds = 0.0
        for attempt in attempts[:3]:
            await attempt.run(limit_seconds=20)
        periods = (fake.clock.monotonic() - began) / 5.0

    alone = [query["run_id"] for kind, query in fake.reads if kind == "get"]
    assert sorted(alone) == sorted(attempt.state.id for attempt in attempts[:3])
    assert sum(kind == "list" for kind, _ in fake.reads) <= periods + 1


async def test_a_workspace_that_asks_for_patience_is_asked_later() -> None:
    async with in_process() as (fake, environment):
        answer = await environment.attempt(databricks_task("BUSY")).start()

    assert isinstance(answer, NotStarted)
    assert not fake.jobs


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (task({}), "databricksConf is empty"),
        (task({"run_name": "r"}), "names no compute"),
        (task({"existing_cluster_id": "c", "tasks": []}), r"databricksConf\.tasks: what is run is made from the task"),
        (task({"existing_cluster_id": "c"}, databricksInstance="evil.test"), "the credential is sent to that one"),
        (make_template("databricks", custom={"databricksConf": {"existing_cluster_id": "c"}}), "needs a container"),
        (databricks_task("REFUSE"), "REFUSE is no node type"),
    ],
    ids=["conf", "compute", "tasks", "workspace", "container", "refused"],
)
async def test_a_task_that_can_never_run_is_refused(refused: TaskTemplate, told: str) -> None:
    async with in_process() as (fake, environment):
        with pytest.raises(PermanentError, match=told):
            await environment.attempt(refused, literals(n=(7, int))).start()

    assert not fake.jobs


async def test_a_service_principal_s_secret_gives_one_token_for_all_requests() -> None:
    async with databricks(**OAUTH) as (fake, environment):
        for number in range(3):
            status = await environment.attempt(databricks_task(), name=f"t{number}").run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.principals_served == 1


async def test_a_token_that_is_not_taken_is_not_told_and_another_one_is_fetched() -> None:
    async with databricks(**OAUTH) as (fake, environment):
        fake.wanted = {"another"}
        with pytest.raises(PermanentError, match=r"no credential: Bearer \*\*\*") as denied:
            await environment.attempt(databricks_task(), name="bad").start()
        fake.wanted = {TOKEN}
        await environment.attempt(databricks_task(), name="good").start()

    assert TOKEN not in str(denied.value)
    assert fake.principals_served == 2


async def test_no_secret_is_in_the_store_the_log_or_the_arguments(tmp_path: Path) -> None:
    fake = FakeDatabricks(clock=LoopClock(), queue_seconds=0.05)
    async with fake.serve() as url:
        config = {"executors": {"databricks": DATABRICKS.config_at(url)}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        (tmp_path / "task.pb").write_bytes(databricks_task("seconds=0.3").raw)
        words = ("--home", "home", "--config", "config.yaml", "run", "task.pb")
        variables = {"_FSEC_DATABRICKS_TOKEN": TOKEN}
        code, said, arguments = await command_line(*words, cwd=tmp_path, variables=variables)
        fake.wanted = {"another"}
        refused, told, _ = await command_line(*words, cwd=tmp_path, variables=variables)

    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert code == 0, said
    assert refused not in {0, None}
    assert "***" in told
    assert len(fake.jobs) == 1
    assert TOKEN not in said + told
    assert TOKEN.encode() not in arguments + stored


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"batch": 25}, r"executors\.databricks\.batch: is 25: use 1 to 24"),
        ({"url": "acme"}, r"executors\.databricks\.url: is 'acme': use an address like"),
        ({"url": "http://acme.test"}, "use https, for the token goes with each request"),
        ({"token": None}, r"executors\.databricks\.token: name the secret"),
        ({"oauth": OAUTH["oauth"]}, r"executors\.databricks\.token: name the secret"),
    ],
)
async def test_a_mistake_in_the_configuration_names_its_key(changed: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        async with environment_of("http://127.0.0.1:1", **changed):
            pass
