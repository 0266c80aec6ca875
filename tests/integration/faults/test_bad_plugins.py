"""
One executor misbehaves: its own tasks go on as far as can be, and nobody else's are touched.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from tests.support.bad_plugins import Trouble, house

from airscrew.idl.phase import Phase

ERRORS = [SystemExit, KeyboardInterrupt, asyncio.CancelledError]
METHODS = ["initialize", "start_task", "find", "check_task_status", "kill_task", "finalize", "close"]


def throw(number: int) -> None:
    raise ERRORS[number % len(ERRORS)]


@pytest.mark.parametrize("method", METHODS)
async def test_an_executor_that_throws_in_a_method_harms_nobody(tmp_path: Path, method: str) -> None:
    once = method in {"initialize", "close"}
    trouble = Trouble(throw, method, times=1 if once else len(ERRORS))
    async with house(tmp_path, trouble) as opened:
        names = [] if method == "initialize" else [await opened.submit("bad") for _ in ERRORS]
        good = await opened.submit("steady")
        if method == "kill_task":
            for name in names:
                await opened.api.kill(name, "enough")

        ends = [(await opened.over(name)).phase for name in names]

        assert set(ends) <= {Phase.ABORTED if method == "kill_task" else Phase.SUCCESS}
        assert (await opened.over(good)).phase is Phase.SUCCESS
        assert opened.bad.live == set()
        assert len(opened.bad.started) == len(set(opened.bad.started)) == len(names)
    assert trouble.seen == trouble.times


async def test_an_executor_that_blocks_is_moved_and_others_go_on(tmp_path: Path) -> None:
    trouble = Trouble(lambda _: time.sleep(0.4), "check_task_status", times=6)
    async with house(tmp_path, trouble) as opened:
        bad = await opened.submit("bad")
        goods = [await opened.submit("steady") for _ in range(5)]

        assert (await opened.over(bad)).phase is Phase.SUCCESS
        for good in goods:
            assert (await opened.over(good)).phase is Phase.SUCCESS

        assert opened.bad.threads >= {"MainThread", "executor-bad"}
        assert len([late for late in opened.steady.late if late > 0.35]) <= len(goods), "only the first time is felt"


async def test_an_executor_that_was_moved_and_then_throws_stays_in_use(tmp_path: Path) -> None:
    def harm(number: int) -> None:
        time.sleep(0.4) if number == 0 else throw(number - 1)

    trouble = Trouble(harm, "check_task_status", times=1 + len(ERRORS))
    async with house(tmp_path, trouble) as opened:
        bad = await opened.submit("bad")

        assert (await opened.over(bad)).phase is Phase.SUCCESS
        assert trouble.seen == trouble.times
        assert "executor-bad" in opened.bad.threads


async def test_an_executor_that_leaks_threads_and_memory_is_shown_and_others_go_on(tmp_path: Path) -> None:
    kept: list[object] = []
    end = threading.Event()

    def leak(number: int) -> None:
        kept.append(bytearray(1_000_000))
        thread = threading.Thread(target=end.wait, name=f"leaked-{number}", daemon=True)
        thread.start()
        kept.append(thread)

    trouble = Trouble(leak, "check_task_status", times=30)
    try:
        async with house(tmp_path, trouble) as opened:
            bads = [await opened.submit("bad") for _ in range(8)]
            good = await opened.submit("steady")
            assert (await opened.over(good)).phase is Phase.SUCCESS
            assert max(opened.steady.late) < 0.5
            assert {(await opened.over(name)).phase for name in bads} == {Phase.SUCCESS}
    finally:
        end.set()
    assert trouble.seen == trouble.times
