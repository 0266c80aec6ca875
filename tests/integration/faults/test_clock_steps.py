"""
The wall clock is stepped back and forth by an hour: no deadline fires early, none later than its length.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from tests.support.engine_kit import EPOCH, Rig

from airscrew.engine.clock import LoopClock
from airscrew.engine.timebase import BootClock, open_timebase
from airscrew.idl.phase import Phase
from airscrew.state.records import Stage

pytestmark = pytest.mark.virtual_time

HOUR = 3600.0


class SameBoot(BootClock):
    """The boot clock of a machine that stays up; an engine's absence passes on the loop."""

    def boot_id(self) -> str:
        return "one"

    def uptime(self) -> float:
        return asyncio.get_running_loop().time()


async def step_the_clock(wall: LoopClock, random: Random) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 7.0))
        wall.wall_offset = random.choice([-HOUR, 0.0, HOUR])


async def ends_at(rig: Rig, name: str, patience: float) -> float:
    """Return after how many seconds of real (virtual) time an execution ends."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(patience):
        while (await rig.record(name)).stage is not Stage.DONE:  # noqa: ASYNC110 - it is read as others read it
            await asyncio.sleep(0.1)
    return loop.time() - began


@pytest.mark.parametrize("seed", range(5))
async def test_a_deadline_is_as_long_as_it_says_whatever_the_wall_clock_does(seed: int) -> None:
    wall, random = LoopClock(EPOCH), Random(seed)
    rig = Rig()
    rig.clock = await open_timebase(rig.store.inner, wall, SameBoot())

    async with asyncio.TaskGroup() as group, rig.engine():
        stepping = group.create_task(step_the_clock(wall, random))
        await rig.submit("a", max_attempts=1, timeouts={"attempt": 100.0})
        await asyncio.sleep(1.0)
        seconds = 1.0 + await ends_at(rig, "a", 500.0)
        stepping.cancel()

    assert (await rig.record("a")).phase is not Phase.SUCCESS
    assert 100.0 <= seconds < 111.0


@pytest.mark.parametrize("away", [-HOUR, HOUR])
async def test_a_deadline_goes_on_over_a_restart_with_a_stepped_clock(away: float) -> None:
    wall = LoopClock(EPOCH)
    rig = Rig()
    rig.clock = await open_timebase(rig.store.inner, wall, SameBoot())
    async with rig.engine():
        await rig.submit("a", max_attempts=1, timeouts={"attempt": 100.0})
        await asyncio.sleep(30.0)

    wall.wall_offset = away
    await asyncio.sleep(20.0)
    rig.clock = await open_timebase(rig.store.inner, wall, SameBoot())
    async with rig.engine():
        seconds = await ends_at(rig, "a", 500.0)

    assert 49.0 <= seconds < 61.0
