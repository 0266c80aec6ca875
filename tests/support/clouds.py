"""
The executors of cloud providers alike: a fake service, a configuration for it, and tasks that it knows how to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.aws_services import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, FakeAthena, FakeBatch
from tests.support.bigquery_service import FakeBigQuery
from tests.support.databricks_service import TOKEN as DATABRICKS_TOKEN
from tests.support.databricks_service import FakeDatabricks
from tests.support.trino_service import PASSWORD, USER, FakeTrino

from airscrew.engine.clock import LoopClock
from airscrew.idl.template import Container, Sql, TaskTemplate, make_template
from airscrew.plugins.athena import AthenaExecutor
from airscrew.plugins.aws_batch import AwsBatchExecutor
from airscrew.plugins.bigquery import BigQueryExecutor
from airscrew.plugins.databricks import DatabricksExecutor
from airscrew.plugins.trino import TrinoExecutor

AWS_SECRETS = {"aws/id": ACCESS_KEY, "aws/key": SECRET_KEY, "aws/token": SESSION_TOKEN}


@dataclass(frozen=True)
class Cloud:
    """
    One of them.

    Attributes:
        id: The executor's.
        make_executor: Makes it.
        make_fake: Makes the service.
        config: Beyond address and pace.
        task: Makes a task of what the service is to do with it.
        user, system: What to say to a task for it to fail on whose account.
        checked: What requests are checked against.
        secrets: Values of its secrets.
        create, reads: What the service calls those requests.
        address: The key of the configuration that has the service's address.
    """

    id: str
    make_executor: Callable[[], Any]
    make_fake: Callable[[], Any]
    config: Mapping[str, object]
    task: Callable[[str], TaskTemplate]
    user: str
    system: str
    checked: str
    secrets: Mapping[str, str]
    create: str
    reads: tuple[str, ...]
    address: str = "endpoint"

    def config_at(self, url: str, interval: float = 0.1) -> dict[str, object]:
        """Return the configuration for a service at an address."""
        pace = {"interval": interval, "reads_per_second": None, "writes_per_second": None}
        return {self.address: url, **pace, **self.config}


_AWS = {
    "region": "eu-west-1",
    "credentials": {
        "access_key_id": "id",
        "secret_access_key": "key",
        "session_token": "token",
        "group": "aws",
    },
}

ATHENA = Cloud(
    "athena",
    AthenaExecutor,
    lambda: FakeAthena(clock=LoopClock(), queue_seconds=0.05),
    _AWS,
    lambda said: make_template("presto", custom={"statement": f"SELECT 1 -- {said}"}),
    "USER",
    "SYSTEM",
    "botocore's model of athena, and signatures; moto",
    AWS_SECRETS,
    "StartQueryExecution",
    ("BatchGetQueryExecution", "GetQueryExecution"),
)

BATCH = Cloud(
    "aws-batch",
    AwsBatchExecutor,
    lambda: FakeBatch(clock=LoopClock(), queue_seconds=0.05),
    {**_AWS, "job_queue": "queue", "settle": 0.5},
    lambda said: make_template("aws-batch", target=Container(image="example/app:v1", command=("run", said))),
    "1",
    "machine",
    "botocore's model of batch, and signatures; moto",
    AWS_SECRETS,
    "SubmitJob",
    ("DescribeJobs",),
)


def _bigquery() -> FakeBigQuery:
    clock = LoopClock()
    return FakeBigQuery(clock=clock, queue_seconds=0.05, epoch=clock.now() - clock.monotonic())


BIGQUERY = Cloud(
    "bigquery",
    BigQueryExecutor,
    _bigquery,
    {"project": "proj", "anonymous": True},
    lambda said: make_template("bigquery_query_job_task", target=Sql(statement=f"SELECT 1 -- {said}")),
    "invalidQuery",
    "backendError",
    "Google's discovery document",
    {},
    "insert",
    ("get", "list"),
)


def databricks_task(*said: str, **more: Any) -> TaskTemplate:
    """Make a task as flytekit's Spark plugin sends it; what is said goes to the service in its arguments."""
    conf = {"new_cluster": {"spark_version": "13.3.x-scala2.12", "num_workers": 2}}
    container = Container(image="example/app:v1", args=("pyflyte-execute", *said))
    return make_template("databricks", target=container, custom={"databricksConf": conf}, **more)


DATABRICKS = Cloud(
    "databricks",
    DatabricksExecutor,
    lambda: FakeDatabricks(clock=LoopClock(), queue_seconds=0.05),
    {"token": {"secret": "token", "group": "databricks"}},
    databricks_task,
    "RUN_EXECUTION_ERROR",
    "CLUSTER_ERROR",
    "databricks-sdk: its types, and itself as a second caller",
    {"databricks/token": DATABRICKS_TOKEN},
    "submit",
    ("list", "get"),
    "url",
)

TRINO = Cloud(
    "trino",
    TrinoExecutor,
    lambda: FakeTrino(clock=LoopClock(), queue_seconds=0.05, password=PASSWORD),
    {"user": USER, "password": {"secret": "password", "group": "trino"}},
    lambda said: make_template("presto", custom={"statement": f"SELECT 1 -- {said}"}),
    "USER_ERROR",
    "EXTERNAL",
    "trino (its own client): its headers, and itself as a second caller",
    {"trino/password": PASSWORD},
    "post",
    ("page",),
    "url",
)

CLOUDS = (ATHENA, BATCH, BIGQUERY, DATABRICKS, TRINO)
