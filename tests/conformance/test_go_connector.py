"""
The conformance kit over an executor that is written in Go, behind the connector service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.go_connector import GoConnector, serve, template
from tests.support.literal_maps import literals, plain
from tests.support.spoilt_grpc import SpoiltGrpc
from typing_extensions import override

from airscrew.engine.testing.conformance import CHECKS, Check, Job, NotApplicable, Outcome, Scenarios
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import Fault
from airscrew.idl.phase import Phase
from airscrew.idl.template import load_one, make_template
from airscrew.plugins.connector import ConnectorExecutor


class QuickExecutor(ConnectorExecutor):
    """The kit waits for the interval between two checks, for real."""

    check_interval = 0.3


@dataclass
class GoScenarios(Scenarios):
    """Jobs of the program, which are files; the same key makes the same file. Faults happen on the way to it."""

    server: GoConnector
    root: str = "memory://test"
    has_virtual_time: bool = False
    limit_seconds: float = 60.0
    config: dict[str, object] = field(init=False)
    way: SpoiltGrpc = field(init=False)

    def __post_init__(self) -> None:
        self.way = SpoiltGrpc(self.server.endpoint)
        service = {"endpoint": self.way.endpoint, "interval": 0.1, "timeout": 1.0, "create_timeout": 1.0}
        self.config = {"services": {"go": service}, "start": {"how": "idempotent"}}

    def make_executor(self) -> ConnectorExecutor:
        return QuickExecutor()

    @override
    async def open(self) -> None:
        await self.way.__aenter__()

    @override
    async def close(self) -> None:
        await self.way.__aexit__()

    @override
    def spoil_start(self, fault: Fault) -> None:
        if fault in {Fault.REFUSED, Fault.BUSY}:
            raise NotApplicable("gRPC has no answer of a server's that says that nothing was done")
        self.way.spoil("CreateTask", fault, 1)

    @override
    def spoil_reads(self, fault: Fault) -> None:
        if fault is Fault.GARBAGE:
            raise NotApplicable("answers that cannot be right, several in a row, end the execution on purpose")
        unplayed = {Fault.REFUSED: Fault.LOST_REQUEST, Fault.BUSY: Fault.LOST_REQUEST}
        self.way.spoil("GetTask", unplayed.get(fault, fault), 1_000_000)

    @override
    def heal(self) -> None:
        self.way.heal()

    @override
    def succeeding(self) -> Job:
        return self._job("well")

    @override
    def failing(self) -> Job:
        return self._job("fail")

    @override
    def endless(self) -> Job:
        return self._job("endless")

    @override
    def refused(self) -> Job:
        return self._job("refuse")

    @override
    async def live(self, key: str) -> int:
        return int(self.server.is_alive(key))

    @override
    async def created(self, key: str) -> int:
        return int(self.server.job(key) is not None)

    @override
    async def delete_externally(self, key: str) -> None:
        raise NotApplicable("the service has no answer that tells a vanished job from one that cannot be read")

    def _job(self, how: str) -> Job:
        made = make_template("go_job", inputs={"how": str}, outputs={"answer": str})
        return Job(made, literals(how=(how, str)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoConnector]:
    with serve(tmp_path_factory.mktemp("go")) as one:
        yield one


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
async def test_an_executor_in_go_conforms(check: Check, server: GoConnector) -> None:
    scenarios = GoScenarios(server)
    for path in server.folder.glob("a*.json"):  # keys are those of the check before
        path.unlink()

    result = await check.run(scenarios.make_executor, scenarios)

    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.reason)
    assert result.outcome is Outcome.PASSED, result.reason


async def test_a_template_that_a_go_program_made_runs_in_go(server: GoConnector, tmp_path: Path) -> None:
    task = load_one(template(tmp_path))
    config = {"services": {"go": {"endpoint": server.endpoint, "interval": 0.1}}}
    environment: ExecutorEnvironment[Any] = ExecutorEnvironment(ConnectorExecutor, config=config)
    async with environment:
        status = await environment.attempt(task, literals(how=("well", str)), name="made").run(limit_seconds=20)

    assert task.name == "made.in.go"
    assert status.phase is Phase.SUCCESS
    assert plain(status.outputs) == {"answer": "from Go"}
