"""
The loop of the simulation: virtual time, every order, and lives that end in the middle of anything.
"""

from __future__ import annotations

import asyncio
import contextvars
from random import Random

import pytest
from tests.simulation.loop import LIFE, Life, SimulatedLoop, SimulationStuckError


def loop_of(seed: int = 1) -> SimulatedLoop:
    return SimulatedLoop(Random(seed))


def test_the_time_goes_to_the_next_timer_and_no_further() -> None:
    loop = loop_of()

    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(main()) == 3600
    loop.bury([])


def test_every_order_of_what_is_ready_comes_up() -> None:
    async def main() -> str:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        for name in "abc":
            loop.call_soon(seen.append, name)
        await asyncio.sleep(1)
        return "".join(seen)

    orders = set()
    for seed in range(60):
        loop = loop_of(seed)
        orders.add(loop.run_until_complete(main()))
        loop.bury([])

    assert len(orders) == 6


def test_a_dead_life_runs_nothing_any_more_not_even_a_finally() -> None:
    loop, life, seen = loop_of(), Life(number=1), []
    context = contextvars.copy_context()
    context.run(LIFE.set, life)

    async def doomed() -> None:
        try:
            seen.append("begun")
            await asyncio.sleep(1)
        finally:
            seen.append("finally")

    async def main() -> None:
        loop.create_task(doomed(), context=context)
        await asyncio.sleep(0.5)
        life.dead = True
        await asyncio.sleep(10)

    loop.run_until_complete(main())

    assert seen == ["begun"]
    loop.bury([life])


def test_a_life_ends_before_the_callback_that_was_named() -> None:
    loop, life, seen = loop_of(), Life(number=1, crash_at_step=3), []

    def crash() -> None:
        life.dead = True

    life.on_crash = crash
    context = contextvars.copy_context()
    context.run(LIFE.set, life)

    async def counts() -> None:
        for number in range(10):
            seen.append(number)
            await asyncio.sleep(1)

    async def main() -> None:
        loop.create_task(counts(), context=context)
        await asyncio.sleep(100)

    loop.run_until_complete(main())

    assert life.steps == 3
    assert seen == [0]
    loop.bury([life])


def test_nothing_ready_and_no_timer_is_said_instead_of_hanging() -> None:
    loop = loop_of()

    with pytest.raises(SimulationStuckError, match="nothing is ready"):
        loop.run_until_complete(loop.create_future())
    loop.bury([])


def test_what_nobody_caught_is_kept() -> None:
    loop = loop_of()

    async def main() -> None:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    loop.run_until_complete(main())

    assert "ZeroDivisionError" in loop.trouble[0]
    loop.bury([])


def test_a_life_that_is_paused_runs_nothing_until_it_is_resumed() -> None:
    loop, life, seen = loop_of(), Life(number=1), []
    context = contextvars.copy_context()
    context.run(LIFE.set, life)

    async def ticks() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append(loop.time())

    async def main() -> None:
        loop.create_task(ticks(), context=context)
        await asyncio.sleep(2.5)
        life.is_paused = True
        await asyncio.sleep(10)
        loop.resume(life)
        await asyncio.sleep(2)

    loop.run_until_complete(main())

    assert seen == [1, 2, 12.5, 13.5]
    loop.bury([life])
