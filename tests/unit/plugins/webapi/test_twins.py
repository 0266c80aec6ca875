"""Two jobs of one attempt: what is heard of the one that is killed is not of the one that is kept."""

from __future__ import annotations

import pytest
from tests.unit.plugins.webapi.webapi_kit import open_bench

from airscrew.engine.executor import Findable, Gone
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.plugins.webapi import Limits

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("batch_size", [1, 10])
async def test_the_end_of_a_twin_is_not_taken_for_the_end_of_the_job_that_is_kept(batch_size: int) -> None:
    limits = Limits(period_seconds=1.0, batch_size=batch_size)
    async with open_bench(limits=limits, start=Findable(5.0), idempotent=False) as bench:
        attempt = bench.job()
        await attempt.start_unrecorded()
        await attempt.start_unrecorded()
        kept, twin = [one.state for one in await attempt.find()]
        executor = bench.environment.executor

        await executor.check_task_status(attempt.context(), twin)
        await elapse(5.0)
        state = twin
        while not isinstance(answer := await executor.kill_task(attempt.context(), state, "a twin"), Gone):
            state = answer.state
            await elapse(2.0)
        status = await executor.check_task_status(attempt.context(), kept)
        await elapse(10.0)
        later = await executor.check_task_status(attempt.context(), kept)

    assert status.phase in {Phase.QUEUED, Phase.RUNNING}
    assert later.phase is Phase.RUNNING
