from __future__ import annotations

import asyncio
import threading
import time
from typing import TypeVar, cast

import pytest

from airscrew.engine.controller.watchdog import Offence, Timed, Watchdog, starved_seconds
from airscrew.engine.executor import AnyCoroutine

T = TypeVar("T")


async def timed(watchdog: Watchdog, executor: str, coroutine: AnyCoroutine[T]) -> T:
    """Drive a coroutine to its end, its first step by ``begin`` as hosts do."""
    driven = Timed(watchdog, executor, coroutine)
    return cast("T", driven.answer) if driven.begin() else await driven


def block(seconds: float) -> None:
    """Use the processor so long, however busy the machine is."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_a_plugin_that_blocks_the_loop_is_named_with_its_stack() -> None:
    offences: list[Offence] = []

    async def rude() -> str:
        await asyncio.sleep(0)
        block(0.3)  # real time: the watchdog's thread has to see it happen
        return "done"

    with Watchdog(offences.append, limit=0.05) as watchdog:
        assert await timed(watchdog, "rude", rude()) == "done"

    assert [one.executor for one in offences] == ["rude"]
    assert offences[0].seconds >= 0.3
    assert "block(0.3)" in offences[0].stack


async def test_a_machine_without_a_free_processor_is_no_offence() -> None:
    offences: list[Offence] = []
    starved = iter([1.0, 1.5])

    async def slow() -> None:
        block(0.02)

    watchdog = Watchdog(offences.append, limit=0.01, starved=lambda _: next(starved))
    await timed(watchdog, "slow", slow())

    assert offences == []


def test_the_kernel_tells_how_long_a_thread_has_waited() -> None:
    assert 0.0 <= starved_seconds(threading.get_native_id()) < 3600.0
    assert starved_seconds(0) == 0.0


async def test_waiting_is_no_offence() -> None:
    offences: list[Offence] = []

    async def polite() -> int:
        await asyncio.sleep(0.02)
        return 7

    with Watchdog(offences.append, limit=0.01) as watchdog:
        assert await timed(watchdog, "polite", polite()) == 7

    assert offences == []


async def test_what_a_coroutine_raises_comes_through() -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise KeyError("gone")

    watchdog = Watchdog(lambda _: None)

    with pytest.raises(KeyError):
        await timed(watchdog, "broken", broken())


async def test_what_is_thrown_in_reaches_the_coroutine() -> None:
    seen: list[str] = []

    async def patient() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("cleaned up")

    watchdog = Watchdog(lambda _: None)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await timed(watchdog, "patient", patient())

    assert seen == ["cleaned up"]


async def test_results_that_are_awaited_come_back_into_the_coroutine() -> None:
    async def adds() -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 20)
        return await future + 1

    assert await timed(Watchdog(lambda _: None), "adds", adds()) == 21


def test_a_stack_that_was_seen_late_is_not_blamed_on_the_next() -> None:
    offences: list[Offence] = []
    watchdog = Watchdog(offences.append, limit=0.0)
    watchdog.limit = 3600.0
    watchdog.begin("first")
    watchdog._step.stack = "first's stack"
    watchdog.end()

    watchdog.limit = -1.0
    watchdog.begin("second")
    watchdog.end()

    assert [(one.executor, one.stack) for one in offences] == [("second", "")]
