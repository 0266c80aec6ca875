"""
flytekit's connector for data services, as it is published, before a real Kubernetes API server.

It makes a StatefulSet and a Service of one name, and the task has succeeded when their Pods are ready.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flyteidl.core.literals_pb2 import LiteralMap
from tests.stock.conftest import Stock, serving
from tests.stock.environments import templates_of
from tests.stock.systems import UNKNOWN
from tests.stock.vendors.kubernetes import NAMESPACE, PODS, SERVICES, SETS, Kubernetes
from tests.stock.waiting import LIMIT, RAISES, reason_with, until
from tests.support.control_plane import ControlPlane
from tests.support.literal_maps import plain

from airscrew.engine.data.outputs import check_outputs
from airscrew.engine.executor import TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.connector import ConnectorExecutor
from airscrew.plugins.connector.errors import ConnectorError

SHARES = (
    "the connector has one manager for all calls, which run in threads: whoever makes a service while another is made "
    "or looked at may make it by the other's name; in process, `workers: 1` keeps them apart"
)
NAMELESS = (
    "a task without a `Name` is never heard of: its service is made by another name than it is looked for; and one of "
    "a name that is there is refused"
)
SWALLOWS = (
    "an error that the API server answers a delete with is only logged: the execution is killed, the service stays"
)
NO_PHASE = (
    "an API server that answers with an error is told without a phase, and three such answers end the execution; one "
    "that does not answer is told, and ends nothing"
)
Environment = ExecutorEnvironment[Any]

pytestmark = pytest.mark.reaches(
    "data-service",
    how="stock",
    by="flytekitplugins-k8sdataservice",
    checked="a real API server, with its controllers",
    limits={
        "start": "a task of flytekit's own class is refused: its port comes as 40000.0, or as null; one that leaves "
        "`Port` out starts, at port 40000",
        "succeed": "the output is called `data_service_name`, and `name` by flytekit's own class of tasks, which the "
        "engine fails for it (`OutputsNotFound`): declare it so",
        "user failure": "Pods that cannot run are told as running, until somebody kills the execution",
        "garbage": RAISES,
        "lost reply": UNKNOWN,
    },
)


@pytest.fixture(scope="module")
def home(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """The connector, with the account of a Pod."""
    folder = tmp_path_factory.mktemp("data-service")
    with Kubernetes(control_plane, folder / "account") as vendor:
        try:
            with serving("flytekit", "flytekit", folder, vendor.variables(), runner=vendor.runner) as service:
                templates = templates_of("flytekit")
                yield Stock(service=service, templates=templates, vendors={"kubernetes": vendor}, log=folder / "log")
        finally:
            vendor.reset()
            control_plane.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


@pytest.fixture
def vendor(home: Stock) -> Kubernetes:
    found = home.vendors["kubernetes"]
    assert isinstance(found, Kubernetes)
    found.reset()
    return found


@pytest.fixture
def environment(home: Stock, tmp_path: Path) -> Environment:
    return environment_of(home.service, tmp_path)


def environment_of(service: dict[str, object], folder: Path) -> Environment:
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"data-service": service}, "discovery_interval": 60.0},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )


def attempt_of(environment: Environment, home: Stock, name: str = "data-service", **custom: object) -> Attempt[Any]:
    """An attempt of the SDK's task, with other members of its own."""
    task = home.templates[name]
    message = type(task.message)()
    message.CopyFrom(task.message)
    message.custom.update(custom)
    changed = TaskTemplate(wire=task.wire, raw=message.SerializeToString(deterministic=True))
    return environment.attempt(changed, name=f"task-{uuid4().hex}")


def outputs_fail(home: Stock, name: str, status: TaskStatus[Any]) -> str | None:
    """Tell why the engine would not take the outputs for those of a task."""
    assert isinstance(status.outputs, LiteralMap)
    failed = check_outputs(dict(status.outputs.literals), home.templates[name].interface.outputs)
    return None if failed is None else failed.error.message


@pytest.mark.shows("start", "poll", "succeed")
async def test_a_service_is_made_once_and_looked_at_until_its_pods_are_ready(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        started = await attempt.start()
        job = vendor.job
        await until(lambda: job.polls > 2, "nobody looks at the job")
        looked = await attempt.check()
        vendor.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert isinstance(started, TaskStatus)
    assert not started.phase.is_terminal
    assert not looked.phase.is_terminal
    assert status.phase is Phase.SUCCESS, status.reason
    assert plain(status.outputs) == {"data_service_name": "graph"}
    assert outputs_fail(home, "data-service", status) is None
    assert outputs_fail(home, "data-service-stock", status) == "the task left no output name: str"
    assert vendor.names(SETS) == vendor.names(SERVICES) == ["graph"]
    assert vendor.names(PODS) == ["graph-0", "graph-1"]


@pytest.mark.parametrize(
    ("task", "why"),
    [("data-service-stock", "cannot unmarshal number 40000.0"), ("data-service-unset", "must not be `None`")],
)
@pytest.mark.shows("start")
async def test_a_task_as_flytekit_writes_it_is_refused_for_its_port_and_makes_nothing(
    environment: Environment, home: Stock, vendor: Kubernetes, task: str, why: str
) -> None:
    async with environment:
        with pytest.raises(ConnectorError, match="connector data-service") as raised:
            await attempt_of(environment, home, task).start()

    assert why in str(raised.value)
    assert vendor.names(SETS) == vendor.names(SERVICES) == []


async def refused(attempt: Attempt[Any]) -> None:
    """Start what cannot be started."""
    with pytest.raises(ConnectorError, match="connector data-service"):
        await attempt.start()


@pytest.mark.shows("start", limit=SHARES)
async def test_two_that_start_at_once_are_taken_for_each_other(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    vendor.gate = gate = threading.Event()
    async with environment, asyncio.TaskGroup() as group:
        group.create_task(refused(attempt_of(environment, home, Name="first")))
        await until(vendor.waiting.is_set, "the first makes no service")
        await attempt_of(environment, home, Name="second").start()
        gate.set()

    assert vendor.names(SETS) == ["second"]
    assert vendor.names(SERVICES) == ["first", "second"]


@pytest.mark.shows("start")
async def test_two_that_start_at_once_are_kept_apart_by_a_single_worker(
    home: Stock, vendor: Kubernetes, tmp_path: Path
) -> None:
    vendor.gate = gate = threading.Event()
    with serving("flytekit", "flytekit", tmp_path, vendor.variables(), runner=vendor.runner, workers=1) as service:
        async with environment_of(service, tmp_path) as environment, asyncio.TaskGroup() as group:
            group.create_task(attempt_of(environment, home, Name="first").start())
            await until(vendor.waiting.is_set, "the first makes no service")
            group.create_task(attempt_of(environment, home, Name="second").start())
            gate.set()

    assert vendor.names(SETS) == vendor.names(SERVICES) == ["first", "second"]


@pytest.mark.shows("poll", limit=NAMELESS)
async def test_a_service_without_a_name_is_not_heard_of_and_one_of_a_name_that_is_there_is_not_made(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        nameless = attempt_of(environment, home, Name=None)
        await nameless.start()
        reason = await reason_with(nameless, "not heard of it since")
        await nameless.kill_until_gone(limit_seconds=LIMIT)
        left = vendor.names(SETS) + vendor.names(SERVICES)
        await attempt_of(environment, home).start()
        await refused(attempt_of(environment, home))

    assert "Missing the required parameter `name`" in reason
    assert left == []
    assert vendor.names(SETS) == vendor.names(SERVICES) == ["graph"]


@pytest.mark.shows("user failure")
async def test_a_service_whose_pods_cannot_run_is_told_as_running(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        job = vendor.job
        vendor.fail(job, system=False)
        polls = job.polls
        await until(lambda: job.polls > polls + 3, "nobody looks at the job")
        status = await attempt.check()

    assert status.phase is Phase.RUNNING
    assert status.error is None
    assert "image" not in status.reason


@pytest.mark.shows("system failure", absent="Kubernetes makes a lost Pod again, and the task goes on until it is ready")
async def test_a_service_whose_pod_is_evicted_has_it_made_again(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        job = vendor.job
        await until(vendor.pods, "its controller makes no Pod")
        lost = vendor.pods()["graph-0"]
        vendor.fail(job, system=True)
        await until(lambda: vendor.pods().get("graph-0", lost) != lost, "its controller makes no other Pod")
        vendor.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert list(vendor.jobs) == [job.id]


@pytest.mark.shows("kill")
async def test_a_killed_service_is_gone_with_its_pods(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        await until(vendor.pods, "its controller makes no Pod")

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert vendor.is_cancelled(vendor.job)
    await until(lambda: not vendor.pods(), "the Pods stay")


@pytest.mark.shows("kill", limit=SWALLOWS)
async def test_a_kill_that_the_api_server_refuses_counts_as_done(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        vendor.down = True

        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert vendor.names(SETS) == vendor.names(SERVICES) == ["graph"]


@pytest.mark.shows("kill", "outage")
async def test_a_kill_while_nobody_answers_is_tried_until_it_is_done(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        vendor.away = True
        with pytest.raises(ConnectorError, match="connector data-service"):
            await attempt.kill()
        vendor.away = False
        await attempt.kill_until_gone(limit_seconds=LIMIT)

    assert vendor.is_cancelled(vendor.job)


@pytest.mark.shows("restart")
async def test_a_new_engine_goes_on_with_the_service(environment: Environment, home: Stock, vendor: Kubernetes) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        job = vendor.job

        await environment.restart()
        await attempt.check()
        await until(lambda: job.polls > 0, "nobody looks at the job")
        await environment.restart()
        vendor.finish(job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.SUCCESS, status.reason
    assert list(vendor.jobs) == [job.id]


@pytest.mark.parametrize("fault", ["away", "garbage"])
@pytest.mark.shows("outage", "garbage")
async def test_nothing_and_garbage_for_an_answer_are_told_and_end_nothing(
    environment: Environment, home: Stock, vendor: Kubernetes, fault: str
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        setattr(vendor, fault, True)

        reason = await reason_with(attempt, "not heard of it since")
        setattr(vendor, fault, False)
        vendor.finish(vendor.job)
        status = await attempt.run(limit_seconds=LIMIT)

    assert "connector data-service" in reason
    assert status.phase is Phase.SUCCESS, status.reason
    assert list(vendor.jobs) == ["graph"]


@pytest.mark.shows("outage", limit=NO_PHASE)
async def test_an_error_for_an_answer_ends_the_task_as_the_systems_when_it_came_three_times(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    async with environment:
        attempt = attempt_of(environment, home)
        await attempt.start()
        vendor.down = True
        status = await attempt.run(limit_seconds=LIMIT)

    assert status.phase is Phase.PERMANENT_FAILURE
    assert status.error is not None
    assert status.error.kind is ErrorKind.SYSTEM
    assert "connector data-service" in status.error.message


@pytest.mark.shows("lost reply")
async def test_a_create_whose_answer_is_lost_is_sent_again_by_nobody(
    environment: Environment, home: Stock, vendor: Kubernetes
) -> None:
    vendor.losing = 1
    async with environment:
        with pytest.raises(ConnectorError, match="connector data-service"):
            await attempt_of(environment, home).start()

    assert vendor.names(SETS) == vendor.names(SERVICES) == ["graph"]
