"""
``aws-batch`` over real connections: against moto's server, and against a service that checks every request by Amazon's
own model for what moto cannot tell (lost replies, hidden jobs, failures of machines).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.aws_services import ACCESS_KEY, SECRET_KEY, FakeBatch
from tests.support.literal_maps import literals
from tests.support.moto_server import aws_client, moto_server

from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import OutputsAt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.errors import ErrorKind, UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import (
    Container,
    Resources,
    SecretRef,
    SecurityContext,
    TaskTemplate,
    load_one,
    make_template,
)
from airscrew.plugins.aws_batch import AwsBatchExecutor

TEMPLATES = Path(__file__).parents[1] / "data" / "templates" / "v1"
SECRETS = {"aws/id": ACCESS_KEY, "aws/key": SECRET_KEY}


def environment_of(url: str, **changed: object) -> ExecutorEnvironment[Any]:
    config = {
        "region": "eu-west-1",
        "endpoint": url,
        "credentials": {"access_key_id": "id", "secret_access_key": "key", "group": "aws"},
        "interval": 0.1,
        "reads_per_second": None,
        "writes_per_second": None,
        "settle": 0.5,
        "job_queue": "queue",
        **changed,
    }
    return ExecutorEnvironment(AwsBatchExecutor, config=config, secrets=SECRETS)


@asynccontextmanager
async def batch(**changed: object) -> AsyncIterator[tuple[FakeBatch, ExecutorEnvironment[Any]]]:
    fake = FakeBatch(clock=LoopClock(), queue_seconds=0.05)
    async with fake.serve() as url, environment_of(url, **changed) as environment:
        yield fake, environment
    assert not fake.breaches


def task(said: str = "", custom: dict[str, object] | None = None, **resources: str) -> TaskTemplate:
    container = Container(
        image="example/app:v1", command=("run", said or "-"), resources=Resources(requests=resources), env={"A": "b"}
    )
    return make_template("aws-batch", target=container, custom=custom)


def flytekit_task() -> TaskTemplate:
    return load_one((TEMPLATES / "plugins.awsbatch.pb").read_bytes(), "plugins.awsbatch.pb")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        role = "arn:aws:iam::123456789012:role/x"
        aws_client("iam", url).create_role(RoleName="x", AssumeRolePolicyDocument="{}")
        client = aws_client("batch", url)
        made = client.create_compute_environment(
            computeEnvironmentName="env", type="UNMANAGED", state="ENABLED", serviceRole=role
        )
        order = [{"order": 1, "computeEnvironment": made["computeEnvironmentArn"]}]
        client.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)
        yield url


async def test_flytekit_s_task_runs_on_moto(moto: str) -> None:
    async with environment_of(moto) as environment:
        attempt = environment.attempt(flytekit_task(), literals(n=(1, int)))

        status = await attempt.run(limit_seconds=30)

    jobs = aws_client("batch", moto).list_jobs(
        jobQueue="queue", filters=[{"name": "JOB_NAME", "values": [attempt.key]}]
    )
    assert [job["jobName"] for job in jobs["jobSummaryList"]] == [attempt.key]
    assert status.outputs == OutputsAt(f"{attempt.data.locations.output_prefix}/0")


async def test_a_lost_start_is_found_again_on_moto(moto: str) -> None:
    async with environment_of(moto) as environment:
        attempt = environment.attempt(task(), name="lost")
        await attempt.start_unrecorded()

        found = await attempt.find()

    assert len(found) == 1
    assert found[0].created_at > 0
    assert found[0].state.queue == "queue"


async def test_flytekit_s_task_is_sent_as_amazon_s_model_wants_it() -> None:
    async with batch() as (fake, environment):
        attempt = environment.attempt(flytekit_task(), literals(n=(1, int)))
        await attempt.run(limit_seconds=30)

    (sent,) = fake.of_operation("SubmitJob")
    (definition,) = fake.definitions
    overrides = sent.pop("containerOverrides")
    assert sent == {
        "jobName": attempt.key,
        "jobQueue": "queue",
        "jobDefinition": definition,
        "parameters": {"codec": "mp4"},
        "tags": {"h": "k"},
        "retryStrategy": {"attempts": 1},
    }
    assert overrides["command"][:5] == [
        "pyflyte-execute",
        "--inputs",
        attempt.data.locations.input_uri,
        "--output-prefix",
        f"{attempt.data.locations.output_prefix}/0",
    ]
    assert {"name": "GLOBAL_ENV", "value": "1"} in overrides["environment"]
    assert attempt.data.locations.input_uri in attempt.data.files


async def test_a_definition_is_registered_once_for_an_image() -> None:
    async with batch() as (fake, environment):
        for number in range(3):
            await environment.attempt(task(), name=f"t{number}").start()
        await environment.restart()
        await environment.attempt(task(), name="later").start()

    (sent,) = fake.of_operation("RegisterJobDefinition")
    assert sent["containerProperties"]["image"] == "example/app:v1"
    assert sent["platformCapabilities"] == ["EC2"]


async def test_resources_are_what_the_submission_and_the_task_ask_for() -> None:
    async with batch() as (fake, environment):
        overrides = {"resources": {"requests": {"cpu": "1500m"}}}
        await environment.attempt(task(cpu="4", memory="1.5Gi", gpu="1"), overrides=overrides).start()

    (sent,) = fake.of_operation("SubmitJob")
    assert sent["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "1536"},
        {"type": "GPU", "value": "1"},
    ]


async def test_a_start_whose_reply_was_lost_makes_one_job() -> None:
    async with batch() as (fake, environment):
        fake.inject(Fault.LOST_REPLY, methods={"SubmitJob"})
        attempt = environment.attempt(task())
        with pytest.raises(ConnectionResetError):
            await attempt.start()

        await attempt.start_resolved(unknown=True)
        attempt.due = 0.0
        status = await attempt.run(limit_seconds=20)

    assert status.phase is Phase.SUCCESS
    assert fake.created == {attempt.key: 1}


async def test_all_pages_are_looked_through() -> None:
    async with batch() as (_, environment):
        attempt = environment.attempt(task())
        for _ in range(3):
            await attempt.start_unrecorded()

        assert len(await attempt.find()) == 3


async def test_a_hundred_jobs_are_read_by_one_request() -> None:
    async with batch() as (fake, environment):
        for number in range(100):
            await environment.attempt(task("seconds=60"), name=f"t{number}").start()
        for attempt in list(environment.attempts.values()):
            await attempt.run(until=Phase.RUNNING, limit_seconds=30)

    assert max(len(sent["jobs"]) for sent in fake.of_operation("DescribeJobs")) == 100


@pytest.mark.parametrize(
    ("fail", "code", "kind"),
    [
        ("1", "JobFailed", ErrorKind.USER),
        ("machine", "MachineLost", ErrorKind.SYSTEM),
        ("memory", "OOMKilled", ErrorKind.USER),
        ("image", "ImagePullFailed", ErrorKind.USER),
    ],
)
async def test_a_failure_says_whose_it_is(fail: str, code: str, kind: ErrorKind) -> None:
    async with batch() as (_, environment):
        attempt = environment.attempt(task(f"fail={fail}"))

        status = await attempt.run(limit_seconds=20)

    assert status.error is not None
    assert (status.phase, status.error.code, status.error.kind) == (Phase.RETRYABLE_FAILURE, code, kind)
    assert status.outputs == OutputsAt(attempt.data.locations.output_prefix)


async def test_a_killed_job_is_terminated_at_batch() -> None:
    async with batch() as (fake, environment):
        attempt = environment.attempt(task("seconds=3600"))
        await attempt.run(until=Phase.RUNNING, limit_seconds=20)
        await environment.restart()

        await attempt.kill_until_gone(limit_seconds=20)

    assert fake.live() == 0


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (make_template("aws-batch"), "needs a container"),
        (task(custom={"jobQueue": "nowhere"}), "Job Queue nowhere not found"),
        (task(custom={"arrayProperties": {"size": 3}}), r"custom\.arrayProperties is not known here"),
        (task(custom={"tags": {"a": 1}}), "Invalid type for parameter tags"),
        (task(cpu="lots"), "'lots' is no quantity"),
        (
            make_template(
                "aws-batch",
                target=Container(image="i"),
                security_context=SecurityContext(secrets=(SecretRef(group="g", key="k"),)),
            ),
            "name a job definition",
        ),
    ],
    ids=["container", "queue", "array", "type", "quantity", "secrets"],
)
async def test_a_task_that_can_never_run_is_refused(refused: TaskTemplate, told: str) -> None:
    async with batch() as (fake, environment):
        with pytest.raises(PermanentError, match=told):
            await environment.attempt(refused).start()

    assert not fake.jobs


async def test_without_a_queue_the_keys_are_named() -> None:
    async with batch(job_queue="") as (_, environment):
        with pytest.raises(PermanentError, match=r"custom\.jobQueue, or executors\.aws-batch\.job_queue"):
            await environment.attempt(task()).start()


async def test_a_mistake_in_the_configuration_names_its_key() -> None:
    with pytest.raises(UsageError, match=r"executors\.aws-batch\.memory must be above 0"):
        async with environment_of("http://127.0.0.1:1", memory=0):
            pass
