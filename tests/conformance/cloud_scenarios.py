"""
What the conformance kit has to know of the executors of cloud providers: their fakes check every request by what the
provider itself publishes, and a breach of that fails the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.aws_services import ACCESS_KEY, SECRET_KEY, FakeAthena, FakeAws, FakeBatch
from tests.support.bigquery_service import FakeBigQuery
from tests.support.clouds import databricks_task
from tests.support.databricks_service import TOKEN, FakeDatabricks
from tests.support.trino_service import PASSWORD, USER, FakeTrino
from typing_extensions import override

from airscrew.engine.clock import LoopClock
from airscrew.engine.executor import Executor
from airscrew.engine.testing.conformance import Job, NotApplicable, Scenarios
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.template import Container, Sql, make_template
from airscrew.plugins.athena import AthenaExecutor
from airscrew.plugins.aws_batch import AwsBatchExecutor
from airscrew.plugins.bigquery import BigQueryExecutor
from airscrew.plugins.databricks import DatabricksExecutor
from airscrew.plugins.trino import TrinoExecutor

AWS: Mapping[str, object] = {
    "region": "eu-west-1",
    "credentials": {"access_key_id": "id", "secret_access_key": "key", "group": "aws"},
    "interval": 5.0,
}


@dataclass
class AwsScenarios(Scenarios):
    """Jobs of a service of Amazon's, in process."""

    create: str = ""
    reads: tuple[str, ...] = ()
    batch: int = 1
    service: Any = None
    secrets: Mapping[str, str] = field(default_factory=lambda: {"aws/id": ACCESS_KEY, "aws/key": SECRET_KEY})

    @override
    async def close(self) -> None:
        service: FakeAws = self.service
        assert not service.breaches, service.breaches

    @override
    async def live(self, key: str) -> int:
        return int(self.service.live(key))

    @override
    async def created(self, key: str) -> int:
        return int(self.service.created[key])

    @override
    async def delete_externally(self, key: str) -> None:
        self.service.forget(key)

    @override
    def spoil_start(self, fault: Fault) -> None:
        self.service.inject(fault, methods={self.create})

    @override
    def spoil_reads(self, fault: Fault) -> None:
        self.service.inject(fault, times=1_000_000, methods=self.reads)

    @override
    def heal(self) -> None:
        self.service.heal()

    @override
    def calls(self) -> int:
        return int(self.service.requests())

    @override
    def allowed_calls_per_hour(self, jobs: int) -> int:
        return 3600 // 5 * -(-jobs // self.batch)


@dataclass
class AthenaScenarios(AwsScenarios):
    """Queries."""

    config: Mapping[str, object] = field(default_factory=lambda: AWS)
    create: str = "StartQueryExecution"
    reads: tuple[str, ...] = ("GetQueryExecution", "BatchGetQueryExecution")
    batch: int = 50

    def __post_init__(self) -> None:
        self.service = FakeAthena(clock=LoopClock(), slow_seconds=45.0)

    def make_executor(self) -> Executor[Any]:
        return AthenaExecutor(lambda: self.service)

    def query(self, statement: str) -> Job:
        return Job(make_template("presto", custom={"statement": statement}))

    @override
    def succeeding(self) -> Job:
        return self.query("SELECT 1 -- seconds=20")

    @override
    def failing(self) -> Job:
        return self.query("SELECT 1 -- seconds=5 fail=USER")

    @override
    def endless(self) -> Job:
        return self.query("SELECT 1 -- seconds=1000000")

    @override
    def refused(self) -> Job:
        return self.query("  ")


@dataclass
class BatchScenarios(AwsScenarios):
    """Jobs of Batch."""

    config: Mapping[str, object] = field(default_factory=lambda: {**AWS, "job_queue": "queue"})
    create: str = "SubmitJob"
    reads: tuple[str, ...] = ("DescribeJobs",)
    batch: int = 100

    def __post_init__(self) -> None:
        self.service = FakeBatch(clock=LoopClock(), slow_seconds=45.0)

    def make_executor(self) -> Executor[Any]:
        return AwsBatchExecutor(lambda: self.service)

    @override
    def succeeding(self) -> Job:
        return batch_job("seconds=20")

    @override
    def failing(self) -> Job:
        return batch_job("seconds=5 fail=1")

    @override
    def endless(self) -> Job:
        return batch_job("seconds=1000000")

    @override
    def refused(self) -> Job:
        return Job(make_template("aws-batch"))

    @override
    def spoil_start(self, fault: Fault) -> None:
        if fault is Fault.TWICE:
            raise NotApplicable("Batch has no keys: it makes two jobs of a request that is delivered twice")
        super().spoil_start(fault)


@dataclass
class BigQueryScenarios(AwsScenarios):
    """Queries of BigQuery."""

    config: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    create: str = "insert"
    reads: tuple[str, ...] = ("get", "list")
    batch: int = 100

    def __post_init__(self) -> None:
        self.service = FakeBigQuery(clock=LoopClock(), slow_seconds=45.0, epoch=LoopClock().now())
        self.config = {"project": "proj", "anonymous": True, "interval": 5.0, "batch": self.batch}

    def make_executor(self) -> Executor[Any]:
        return BigQueryExecutor(lambda: self.service)

    def query(self, statement: str) -> Job:
        return Job(make_template("bigquery_query_job_task", target=Sql(statement=statement)))

    @override
    def succeeding(self) -> Job:
        return self.query("SELECT 1 -- seconds=20")

    @override
    def failing(self) -> Job:
        return self.query("SELECT 1 -- seconds=5 fail=invalidQuery")

    @override
    def endless(self) -> Job:
        return self.query("SELECT 1 -- seconds=1000000")

    @override
    def refused(self) -> Job:
        return self.query("  ")


@dataclass
class DatabricksScenarios(AwsScenarios):
    """Runs of Databricks."""

    config: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=lambda: {"token": TOKEN})
    create: str = "submit"
    reads: tuple[str, ...] = ("get", "list")
    batch: int = 24

    def __post_init__(self) -> None:
        self.service = FakeDatabricks(clock=LoopClock(), slow_seconds=45.0)
        self.config = {
            "url": "https://acme.test",
            "token": {"secret": "token"},
            "interval": 5.0,
            "batch": self.batch,
        }

    def make_executor(self) -> Executor[Any]:
        return DatabricksExecutor(lambda: self.service)

    @override
    def succeeding(self) -> Job:
        return Job(databricks_task("seconds=20"))

    @override
    def failing(self) -> Job:
        return Job(databricks_task("seconds=5 fail=FAILED"))

    @override
    def endless(self) -> Job:
        return Job(databricks_task("seconds=1000000"))

    @override
    def refused(self) -> Job:
        return Job(make_template("databricks"))


@dataclass
class TrinoScenarios(AwsScenarios):
    """Queries of Trino; one that waits for ever for its client, for an outage is the end of any other."""

    config: Mapping[str, object] = field(
        default_factory=lambda: {
            "url": "https://trino.test",
            "user": USER,
            "password": {"secret": "password"},
            "interval": 10.0,
        }
    )
    secrets: Mapping[str, str] = field(default_factory=lambda: {"password": PASSWORD})
    create: str = "post"
    reads: tuple[str, ...] = ("page",)

    def __post_init__(self) -> None:
        self.service = FakeTrino(clock=LoopClock(), slow_seconds=45.0, password=PASSWORD, client_timeout=float("inf"))

    def make_executor(self) -> Executor[Any]:
        return TrinoExecutor(lambda: self.service)

    @override
    def allowed_calls_per_hour(self, jobs: int) -> int:
        return 3600 // 10 * jobs

    def query(self, statement: str) -> Job:
        return Job(make_template("presto", custom={"statement": statement}))

    @override
    def succeeding(self) -> Job:
        return self.query("SELECT 1 -- seconds=20")

    @override
    def failing(self) -> Job:
        return self.query("SELECT 1 -- seconds=5 fail=USER_ERROR")

    @override
    def endless(self) -> Job:
        return self.query("SELECT 1 -- seconds=1000000")

    @override
    def refused(self) -> Job:
        return self.query("  ")


def batch_job(said: str) -> Job:
    """Make a job of a command that tells the fake what will become of it."""
    return Job(make_template("aws-batch", target=Container(image="example/app:v1", command=("run", said))))
