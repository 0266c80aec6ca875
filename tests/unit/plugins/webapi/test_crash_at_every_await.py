"""A crash at each step of a start, of a kill, of anything: one job an attempt, and none when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.unit.plugins.webapi.webapi_kit import Bench, open_bench
from typing_extensions import override

from airscrew.engine.executor import AtMostOnce, Findable, Idempotent, StartDeclaration
from airscrew.engine.testing.job_service import FakeJobService, FakeReply, Fault
from airscrew.idl.phase import Phase
from airscrew.plugins.webapi import ProviderError

pytestmark = pytest.mark.virtual_time

STEPS = 12
"""More turns of the loop than any call takes."""


class LongLine(FakeJobService):
    """The service behind a line on which a request, and its answer, take some turns of the loop."""

    @override
    async def request(self, *args: Any, **kwargs: Any) -> FakeReply:
        await _some_turns()
        reply = await super().request(*args, **kwargs)
        await _some_turns()
        return reply


async def _some_turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def cut_after(call: Callable[[], Coroutine[Any, Any, object]], steps: int) -> bool:
    """Run a call for so many turns of the loop, then end it as a crash would; True when it had ended by itself."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_contained(call))
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
    return ended


async def _contained(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
    try:
        await call()
    except (OSError, ProviderError):
        return


async def made_after_crashes(bench: Bench, fault: Fault | None) -> tuple[list[int], int]:
    """Crash at every step of a start, resolve it, run it to its end; count jobs, and calls that were cut short."""
    made, cut = list[int](), 0
    for steps in range(1, STEPS + 1):
        attempt = bench.job(5.0, f"t{steps}")
        if fault is not None:
            bench.service.inject(fault, methods={"POST"})
        cut += not await cut_after(attempt.start_unrecorded, steps)
        bench.service.heal()
        await bench.environment.restart()
        await attempt.start_resolved(unknown=True)
        assert (await attempt.run()).phase is Phase.SUCCESS
        made.append(bench.service.created[attempt.key])
    return made, cut


@pytest.mark.parametrize("fault", [None, Fault.LOST_REPLY, Fault.LATE, Fault.HIDDEN, Fault.ERROR])
@pytest.mark.parametrize("start", [Idempotent(), Findable(settle=90.0)])
async def test_a_start_that_crashes_anywhere_makes_one_job(start: StartDeclaration, fault: Fault | None) -> None:
    async with open_bench(start=start, idempotent=isinstance(start, Idempotent), make_service=LongLine) as bench:
        made, cut = await made_after_crashes(bench, fault)

    assert made == [1] * STEPS
    assert cut >= 4


async def test_a_start_of_an_at_most_once_kind_that_crashes_anywhere_makes_one_job_at_most() -> None:
    async with open_bench(start=AtMostOnce(), idempotent=False, make_service=LongLine) as bench:
        made = []
        for steps in range(1, STEPS + 1):
            attempt = bench.job(5.0, f"t{steps}")
            await cut_after(attempt.start_unrecorded, steps)
            made.append(bench.service.created[attempt.key])

    assert set(made) == {0, 1}


async def test_a_kill_that_crashes_anywhere_leaves_nothing() -> None:
    async with open_bench(make_service=LongLine) as bench:
        for steps in range(1, STEPS + 1):
            attempt = bench.job(name=f"t{steps}")
            await attempt.run(until=Phase.RUNNING)

            await cut_after(attempt.kill, steps)
            await bench.environment.restart()
            await attempt.kill_until_gone()

        assert bench.service.live() == 0
