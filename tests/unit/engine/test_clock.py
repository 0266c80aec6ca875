from __future__ import annotations

import asyncio
import time

import pytest

from airscrew.engine.clock import Clock, LoopClock, SystemClock
from airscrew.engine.testing.virtual_time import elapse

clocks: list[type[Clock]] = [SystemClock, LoopClock]


@pytest.mark.virtual_time
async def test_a_loop_clock_tells_the_loops_time_and_the_epoch_plus_it():
    clock = LoopClock(epoch=1000.0)

    await elapse(30)

    assert clock.monotonic() == 30.0
    assert clock.now() == 1030.0


@pytest.mark.virtual_time
async def test_a_step_of_the_wall_clock_leaves_the_monotonic_time_alone():
    clock = LoopClock(epoch=1000.0)
    await elapse(5)

    clock.wall_offset = -600.0

    assert clock.now() == 405.0
    assert clock.monotonic() == 5.0


def test_a_loop_clock_needs_a_running_loop():
    clock = LoopClock(epoch=0.0)

    with pytest.raises(RuntimeError, match="no running event loop"):
        clock.monotonic()


def test_the_system_clock_tells_the_machines_times():
    clock = SystemClock()

    before = (time.time(), time.monotonic())
    told = (clock.now(), clock.monotonic())

    assert told[0] == pytest.approx(before[0], abs=5.0)
    assert before[1] <= told[1] <= time.monotonic()


async def test_the_system_clocks_monotonic_time_is_that_of_a_real_loop():
    loop_time = asyncio.get_running_loop().time()

    assert SystemClock().monotonic() == pytest.approx(loop_time, abs=5.0)
