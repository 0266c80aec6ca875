from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from tests.support.scripted import Count

from airscrew.engine.clock import SystemClock
from airscrew.engine.controller.host import Host
from airscrew.engine.controller.watchdog import Offence
from airscrew.engine.errors import PluginCrashError
from airscrew.engine.executor import Executor, Gone, Setup, StillThere, TaskStatus
from airscrew.engine.testing.virtual_time import elapse


class Probe(Executor[Count]):
    id = "probe"
    task_types = ("probe",)
    state_type = Count
    call_timeout = 30.0
    start_timeout = 5.0

    def __init__(self) -> None:
        self.setups = 0
        self.initialise_error: Exception | None = None
        self.threads: list[str] = []
        self.kills: list[object] = []

    def initialize(self, setup: Setup) -> None:
        self.setups += 1
        if self.initialise_error is not None:
            raise self.initialise_error

    def start_task(self, context: Any, template: Any) -> TaskStatus[Count]:
        self.threads.append(threading.current_thread().name)
        return TaskStatus.running(Count())

    async def check_task_status(self, context: Any, state: Any) -> TaskStatus[Count]:
        self.threads.append(threading.current_thread().name)
        if callable(state):
            await state()
        return TaskStatus.running(Count())

    async def kill_task(self, context: Any, state: Any, reason: str) -> Any:
        answer = self.kills.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        yield pool


def setup() -> Setup:
    return Setup(installation="i", clock=SystemClock(), random=Random(1), wake=lambda _: None)


async def test_a_plain_function_runs_in_a_thread_of_the_pool(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)

    await host.call("start_task", None, None)

    assert host.executor.threads[0].startswith("pool")


@pytest.mark.virtual_time
async def test_a_call_ends_within_its_timeout_and_says_whose_it_was(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)

    with pytest.raises(TimeoutError, match="check_task_status of probe gave no answer in 30 s"):
        await host.call("check_task_status", None, lambda: elapse(3600))

    assert asyncio.get_running_loop().time() == pytest.approx(30.0)


async def test_a_call_that_does_not_wait_sets_no_timer(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)
    loop = asyncio.get_running_loop()

    with patch.object(loop, "call_at", side_effect=AssertionError("a timer was set")):
        answer = await host.call("check_task_status", None, None)

    assert answer == TaskStatus.running(Count())


async def test_the_time_before_a_call_waits_first_counts_as_well(threads: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    due: list[float] = []

    async def wait() -> None:
        began = loop.time()
        while loop.time() < began + 0.05:
            pass
        await asyncio.sleep(0)
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        due.append(min(handle.when() for handle in timers) - loop.time())

    await Host(Probe(), threads).call("check_task_status", None, wait)

    assert due[0] <= Probe.call_timeout - 0.05


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_is_raised_comes_out_as_an_exception(error: BaseException, threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)

    async def crash() -> None:
        raise error

    with pytest.raises(PluginCrashError, match=type(error).__name__):
        await host.call("check_task_status", None, crash)


async def test_a_cancellation_by_the_engine_stays_one(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)
    waiting = asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(host.call("check_task_status", None, hang))
        await waiting.wait()
        task.cancel()

    assert task.cancelled()


async def test_an_offender_moves_to_a_loop_of_its_own_and_is_initialised_anew(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads, setup=setup())
    await host.call("check_task_status", None, None)
    host.offence = Offence(executor="probe", seconds=1.0, stack="")

    await host.call("check_task_status", None, None)
    await host.call("check_task_status", None, None)
    host.close()

    here, *there = host.executor.threads
    assert here == threading.current_thread().name
    assert there == ["executor-probe"] * 2
    assert host.executor.setups == 1


async def test_what_an_offender_followed_is_looked_at_once_it_has_moved(threads: ThreadPoolExecutor) -> None:
    moved: list[int] = []
    host = Host(Probe(), threads, setup=setup(), on_moved=lambda: moved.append(host.executor.setups))
    await host.call("check_task_status", None, None)
    host.offence = Offence(executor="probe", seconds=1.0, stack="")
    before = list(moved)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(host.call("check_task_status", None, None))
    host.close()

    assert before == []
    assert moved == [1], "once, and after it was initialised anew"


async def test_one_that_cannot_be_moved_stays_where_it_was(threads: ThreadPoolExecutor) -> None:
    moved: list[None] = []
    host = Host(Probe(), threads, setup=setup(), on_moved=lambda: moved.append(None))
    host.executor.initialise_error = OSError("no route")
    host.offence = Offence(executor="probe", seconds=1.0, stack="")

    status = await host.call("check_task_status", None, None)

    assert isinstance(status, TaskStatus)
    assert not host.is_isolated
    assert moved == []


@pytest.mark.virtual_time
async def test_a_job_without_a_record_is_killed_until_it_is_gone(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)
    host.executor.kills = [OSError("no answer"), StillThere(Count(1)), Gone()]

    assert await host.kill_until_gone(None, Count(), "why")  # type: ignore[arg-type]


@pytest.mark.virtual_time
async def test_a_job_that_does_not_go_is_given_up_after_a_while(threads: ThreadPoolExecutor) -> None:
    host = Host(Probe(), threads)
    host.executor.kills = [StillThere(Count(1))] * 6

    assert not await host.kill_until_gone(None, Count(), "why")  # type: ignore[arg-type]
    assert asyncio.get_running_loop().time() < 60
