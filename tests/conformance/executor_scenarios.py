"""
What the conformance kit has to know of each executor that comes with airscrew.

To add one: write a subclass of ``Scenarios`` that makes its tasks, looks at the outside by itself and injects
faults, and add a row to ``EXECUTORS`` in ``test_executors.py``. An executor that needs real files sets ``root`` to a
``file:`` URI below ``tmp_path``; one whose jobs do not obey virtual time (processes, containers) sets
``has_virtual_time = False`` and its row says ``real_time``. A check that means nothing for it stays skipped: override
the method with a better reason than the default where there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from tests.conformance.service_scenarios import ServiceScenarios
from tests.support.fake_qubole import FakeQubole
from tests.support.literal_maps import literals
from tests.unit.plugins.qubole.qubole_kit import CONFIG, SECRETS, TOKEN, hive_task
from tests.unit.plugins.waitable.waitable_kit import waitable
from tests.unit.plugins.webapi.webapi_kit import ServiceExecutor
from typing_extensions import override

from airscrew.engine.api.model import ApiError, ExecutionView
from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Executor, Idempotent, StartDeclaration
from airscrew.engine.testing.conformance import Job, NotApplicable, Scenarios
from airscrew.engine.testing.job_service import FakeJobService
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.echo import EchoExecutor
from airscrew.plugins.http_job import HttpJobExecutor
from airscrew.plugins.noop import NoopExecutor
from airscrew.plugins.qubole import QuboleExecutor
from airscrew.plugins.sleep import SleepExecutor
from airscrew.plugins.waitable import WaitableExecutor
from airscrew.plugins.webapi import Limits, SyncCall, SyncExecutor

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

FOREVER = 1_000_000.0
KEYLESS = "a service without keys makes two jobs of a request that is delivered twice"


class EchoScenarios(Scenarios):
    """Echoes that take a while, for an echo that takes none has no steps to restart between."""

    make_executor = EchoExecutor

    @override
    def succeeding(self) -> Job:
        return self._echo(25.0)

    @override
    def endless(self) -> Job:
        return self._echo(FOREVER)

    @override
    def refused(self) -> Job:
        return Job(make_template("echo", inputs={"a": int, "b": int}, outputs={"o0": int}))

    def _echo(self, seconds: float) -> Job:
        template = make_template("echo", inputs={"x": int}, outputs={"o0": int})
        return Job(template, literals(x=(7, int)), {"sleep": seconds})


class InstantEchoScenarios(EchoScenarios):
    """Echoes that answer at once."""

    @override
    def succeeding(self) -> Job:
        return self._echo(0.0)

    @override
    def endless(self) -> Job:
        raise NotApplicable("without a sleep every echo ends in its start")


class SleepScenarios(Scenarios):
    """Waits."""

    make_executor = SleepExecutor

    @override
    def succeeding(self) -> Job:
        return self._sleep(25.0)

    @override
    def endless(self) -> Job:
        return self._sleep(FOREVER)

    @override
    def refused(self) -> Job:
        return Job(make_template("core-sleep", inputs={"x": int}), literals(x=(7, int)))

    def _sleep(self, seconds: float) -> Job:
        template = make_template("core-sleep", inputs={"duration": timedelta})
        return Job(template, literals(duration=(timedelta(seconds=seconds), timedelta)))


class NoopScenarios(Scenarios):
    """Nothing."""

    make_executor = NoopExecutor

    @override
    def succeeding(self) -> Job:
        return Job(make_template("noop"))


class Shout(SyncExecutor):
    """Answers in capitals."""

    id = "shout"
    task_types = ("shout",)

    @override
    def do(self, call: SyncCall) -> LiteralMap:
        if "text" not in call.inputs.literals:
            raise PermanentError("the task has no input text", code="BadTaskSpecification")
        return literals(o0=(call.inputs.literals["text"].scalar.primitive.string_value.upper(), str))


class SyncScenarios(Scenarios):
    """One call each."""

    make_executor = Shout

    @override
    def succeeding(self) -> Job:
        template = make_template("shout", inputs={"text": str}, outputs={"o0": str})
        return Job(template, literals(text=("hi", str)))

    @override
    def refused(self) -> Job:
        return Job(make_template("shout", outputs={"o0": str}))


@dataclass
class WebApiScenarios(ServiceScenarios):
    """Jobs of the fake service by a plugin of the WebAPI framework."""

    start: StartDeclaration = field(default_factory=Idempotent)
    limits: Limits = field(default_factory=lambda: Limits(period_seconds=5.0, batch_size=50))
    secrets: Mapping[str, str] = field(default_factory=lambda: {"jobs-token": "s3cr3t-v4lue"})
    service: FakeJobService = field(init=False)

    def __post_init__(self) -> None:
        self.service = FakeJobService(
            clock=LoopClock(),
            idempotent=isinstance(self.start, Idempotent),
            token=self.secrets["jobs-token"],
            slow_seconds=45.0,
        )

    def make_executor(self) -> Executor[Any]:
        return ServiceExecutor(self.service, self.limits, self.start)

    @override
    def succeeding(self) -> Job:
        return Job(make_template("fake", custom={"seconds": 20.0}))

    @override
    def failing(self) -> Job:
        return Job(make_template("fake", custom={"seconds": 5.0, "fail": "no"}))

    @override
    def endless(self) -> Job:
        return Job(make_template("fake", custom={"seconds": FOREVER}))

    @override
    def refused(self) -> Job:
        return Job(make_template("fake", custom={"refuse": True}))

    @override
    def why_not_twice(self) -> str:
        return "" if self.service.idempotent else KEYLESS

    @override
    def allowed_calls_per_hour(self, jobs: int) -> int:
        return 3600 // int(self.limits.period_seconds) * -(-jobs // self.limits.batch_size)


HTTP_SERVICE: dict[str, object] = {
    "url": "http://jobs.test",
    "create": {
        "path": "/jobs",
        "key_header": "Idempotency-Key",
        "body": {"seconds": "{{.inputs.seconds?}}", "fail": "{{.custom.fail?}}", "result": "{{.custom.result?}}"},
    },
    "get": {"path": "/jobs/{id}"},
    "get_many": {"path": "/jobs?ids={ids}", "items": "$.jobs", "batch": 50},
    "delete": {"path": "/jobs/{id}"},
    "find": {"path": "/jobs?key={key}", "items": "$.jobs", "created_at": "$.created_at"},
    "auth": {"secret": "jobs-token"},
    "phases": {
        "queued": "Queued",
        "running": "Running",
        "succeeded": "Success",
        "failed": "RetryableFailure",
        "cancelled": "PermanentFailure",
    },
    "message": "$.message",
    "outputs": "$.result",
}


@dataclass
class HttpJobScenarios(ServiceScenarios):
    """Jobs of the fake job service, in process."""

    start: Mapping[str, object] | None = None
    idempotent: bool = True
    service: FakeJobService = field(init=False)
    secrets: Mapping[str, str] = field(default_factory=lambda: {"jobs-token": "s3cr3t-v4lue"})

    def __post_init__(self) -> None:
        create: Any = dict(HTTP_SERVICE["create"])  # type: ignore[call-overload]
        if not self.idempotent:
            del create["key_header"]
            create["body"] = {**create["body"], "key": "{{.key}}"}
        service = {**HTTP_SERVICE, "create": create}
        self.config = {"services": {"http_job": service}, **({"start": self.start} if self.start else {})}
        self.service = FakeJobService(
            clock=LoopClock(), idempotent=self.idempotent, token=self.secrets["jobs-token"], slow_seconds=45.0
        )

    def make_executor(self) -> Executor[Any]:
        return HttpJobExecutor(lambda: self.service)

    @override
    def succeeding(self) -> Job:
        template = make_template(
            "http_job", inputs={"seconds": float}, outputs={"words": int}, custom={"result": {"words": 3}}
        )
        return Job(template, literals(seconds=(20.0, float)))

    @override
    def failing(self) -> Job:
        return Job(
            make_template("http_job", inputs={"seconds": float}, custom={"fail": "no"}), literals(seconds=(5, float))
        )

    @override
    def endless(self) -> Job:
        return Job(make_template("http_job", inputs={"seconds": float}), literals(seconds=(FOREVER, float)))

    @override
    def refused(self) -> Job:
        return Job(make_template("http_job", custom={"service": "nowhere"}))

    @override
    def why_not_twice(self) -> str:
        return "" if self.idempotent else KEYLESS


@dataclass
class QuboleScenarios(ServiceScenarios):
    """Hive commands of a fake Qubole."""

    period: ClassVar[int] = 9
    batch: int = 1
    service: FakeQubole = field(init=False)
    config: Mapping[str, object] = field(default_factory=lambda: dict(CONFIG))
    secrets: Mapping[str, str] = field(default_factory=lambda: dict(SECRETS))

    def __post_init__(self) -> None:
        self.service = FakeQubole(clock=LoopClock(), token=TOKEN, slow_seconds=45.0)

    def make_executor(self) -> Executor[Any]:
        return QuboleExecutor(lambda: self.service)

    @override
    def succeeding(self) -> Job:
        return Job(hive_task("select sleep(20)"))

    @override
    def failing(self) -> Job:
        return Job(hive_task("select sleep(5) from no_such_table"))

    @override
    def endless(self) -> Job:
        return Job(hive_task("select sleep(1000000)"))

    @override
    def refused(self) -> Job:
        return Job(hive_task(""))

    @override
    def why_not_twice(self) -> str:
        return "Qubole has no keys: it makes two commands of a request that is delivered twice"


class WaitableScenarios(Scenarios):
    """Waits for executions that end by themselves, a while after the scenarios were opened."""

    @override
    async def open(self) -> None:
        self._ends_at = LoopClock().monotonic() + 20.0

    def make_executor(self) -> Executor[Any]:
        return WaitableExecutor(self._watch)

    @override
    def succeeding(self) -> Job:
        return self._wait("well")

    @override
    def failing(self) -> Job:
        return self._wait("ill")

    @override
    def endless(self) -> Job:
        return self._wait("never")

    @override
    def refused(self) -> Job:
        return Job(make_template("waitable"))

    def _wait(self, name: str) -> Job:
        return Job(make_template("waitable", custom=waitable(name)))

    async def _watch(self, name: str) -> AsyncGenerator[ExecutionView, None]:
        ends = {"well": Phase.SUCCESS, "ill": Phase.PERMANENT_FAILURE}
        awaited = name.removeprefix("test/")
        if awaited not in {*ends, "never"}:
            raise ApiError("not_found", f"there is no execution {name}")
        yield ExecutionView(execution=name, uid="u", task_type="t", phase=Phase.RUNNING)
        await asyncio.sleep(self._ends_at - LoopClock().monotonic() if awaited in ends else FOREVER)
        yield ExecutionView(execution=name, uid="u", task_type="t", phase=ends[awaited], ended_at=1.0)
