"""Half an hour of outage, seen by the engine's own loop: attempts, quarantines and ledger are the engine's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from tests.support.engine_kit import INSTALLATION, NoData, Rig, name_of
from tests.unit.plugins.webapi.webapi_kit import ServiceExecutor

from airscrew.engine.clock import LoopClock
from airscrew.engine.executor import AtMostOnce, Findable, Idempotent, Setup, StartDeclaration
from airscrew.engine.testing.job_service import FakeJobService, Fault
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.ids import AttemptKey
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.webapi import Limits
from airscrew.plugins.webapi.breaker import LONGEST_PAUSE_SECONDS
from airscrew.state.records import LedgerState

pytestmark = pytest.mark.virtual_time

HALF_AN_HOUR = 1800.0
ONE_BACK_OFF = LONGEST_PAUSE_SECONDS + 5.0
FOREVER = 1_000_000


@dataclass
class Files:
    """What a plugin writes beside an attempt's files."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def read_bytes(self, uri: str) -> bytes:
        if uri not in self.files:
            raise FileNotFoundError(uri)
        return self.files[uri]

    async def write_bytes(self, uri: str, data: bytes) -> None:
        self.files[uri] = data


class OneTask(NoData):
    """A data plane in which every execution runs the same task."""

    def __init__(self) -> None:
        super().__init__()
        self.written = Files()

    def access(self, *_: object) -> Files:
        return self.written

    async def template(self, _: object) -> object:
        return make_template("fake", custom={"seconds": 600.0})


@dataclass
class Outage:
    """An engine and its provider."""

    rig: Rig
    service: FakeJobService

    async def phases(self, names: list[str]) -> list[Phase]:
        return [(await self.rig.record(name)).phase for name in names]

    def created(self, names: list[str]) -> list[int]:
        return [self.service.created[self.rig.key(name)] for name in names]


@asynccontextmanager
async def engine_with(start: StartDeclaration) -> AsyncGenerator[Outage, None]:
    service = FakeJobService(clock=LoopClock(), idempotent=isinstance(start, Idempotent), slow_seconds=60.0)
    executor: Any = ServiceExecutor(service, Limits(batch_size=10), start)
    executor.made.secrets = {}
    rig = Rig(executor=executor, data=OneTask())
    names = ["b1", "b2", "b3", "wire", "d1", "d2", "d3", "before", "during"]
    executions = {rig.key(name): name_of(name) for name in names}

    def wake(key: str) -> None:
        rig._wake(executions[AttemptKey(key)])

    await executor.initialize(Setup(installation=INSTALLATION, clock=LoopClock(), random=Random(0), wake=wake))
    try:
        async with rig.engine():
            yield Outage(rig, service)
    finally:
        await executor.close()


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST_REQUEST, Fault.BUSY])
@pytest.mark.parametrize("start", [Idempotent(), Findable(settle=30.0)])
async def test_no_attempt_is_used_up_nothing_is_doubled_and_all_goes_on_within_one_back_off(
    start: StartDeclaration, fault: Fault
) -> None:
    before, wire, during = ["b1", "b2", "b3"], ["wire"], ["d1", "d2", "d3"]
    async with engine_with(start) as outage:
        for name in before:
            await outage.rig.submit(name)
        await elapse(60.0)
        outage.service.inject(Fault.LOST_REPLY, methods={"POST"})
        await outage.rig.submit("wire")
        await elapse(0.5)
        outage.service.inject(fault, times=FOREVER)
        for name in during:
            await outage.rig.submit(name)
        await elapse(HALF_AN_HOUR)
        records = [await outage.rig.record(name) for name in [*before, *wire, *during]]

        outage.service.heal()
        await elapse(ONE_BACK_OFF)
        resumed = await outage.phases(before), outage.created(during)
        await elapse(700.0)

        assert [record.attempt for record in records] == [0] * 7
        assert not any(record.quarantine for record in records)
        assert resumed == ([Phase.SUCCESS] * 3, [1] * 3)
        assert await outage.phases([*before, *wire, *during]) == [Phase.SUCCESS] * 7
        assert outage.created([*before, *wire, *during]) == [1] * 7
        assert await outage.rig.ledger() == []


async def test_the_outage_is_the_reason_that_all_show() -> None:
    async with engine_with(Idempotent()) as outage:
        await outage.rig.submit("before")
        await elapse(60.0)
        outage.service.inject(Fault.REFUSED, times=FOREVER)
        await elapse(60.0)
        await outage.rig.submit("during")
        await elapse(60.0)

        before, during = await outage.rig.record("before"), await outage.rig.record("during")

    assert before.phase is Phase.RUNNING
    assert during.phase is Phase.WAITING_FOR_RESOURCES
    assert "fake is not to be reached since" in before.reason
    assert "fake is not to be reached since" in during.reason


async def test_of_an_at_most_once_kind_only_the_request_on_the_wire_is_lost_and_says_so() -> None:
    async with engine_with(AtMostOnce()) as outage:
        await outage.rig.submit("before")
        await elapse(60.0)
        outage.service.inject(Fault.LOST_REPLY, methods={"POST"})
        await outage.rig.submit("wire")
        await elapse(0.5)
        outage.service.inject(Fault.REFUSED, times=FOREVER)
        await outage.rig.submit("during")
        await elapse(HALF_AN_HOUR)
        outage.service.heal()
        await elapse(700.0)

        wire = await outage.rig.record("wire")
        assert wire.error is not None
        assert (wire.phase, wire.attempt, wire.error.code) == (Phase.PERMANENT_FAILURE, 0, "StartOutcomeUnknown")
        assert wire.error.kind.value == "SYSTEM"
        assert "the request was on the wire" in wire.error.message
        assert await outage.phases(["before", "during"]) == [Phase.SUCCESS] * 2
        assert outage.created(["before", "wire", "during"]) == [1, 1, 1]
        assert [entry.state for entry in await outage.rig.ledger()] == [LedgerState.UNKNOWN]
