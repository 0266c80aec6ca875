from __future__ import annotations

import pytest

from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.noop import NoopExecutor

pytestmark = pytest.mark.virtual_time


async def test_a_noop_succeeds_in_its_start_without_outputs() -> None:
    async with ExecutorEnvironment(NoopExecutor) as environment:
        attempt = environment.attempt(make_template("noop"))

        status = await attempt.run()

    assert status.phase is Phase.SUCCESS
    assert status.outputs is None
    assert attempt.raw_state == b"{}"
