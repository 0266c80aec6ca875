from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time

import pytest

from airscrew.engine.testing import virtual_time
from airscrew.engine.testing.virtual_time import (
    DeadlockError,
    VirtualTimeLimitError,
    VirtualTimeLoop,
    elapse,
    run_virtual,
)


def running_loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


@pytest.fixture
async def started_at() -> float:
    await asyncio.sleep(2)
    return running_loop().time()


@pytest.mark.virtual_time
async def test_marked_tests_and_their_fixtures_run_on_one_virtual_loop(started_at: float):
    await asyncio.sleep(3)

    assert started_at == 2.0
    assert running_loop().time() == 5.0


async def test_unmarked_tests_run_on_a_real_loop():
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


@pytest.mark.virtual_time(limit_seconds=60)
async def test_the_marker_passes_the_limit_on():
    await asyncio.sleep(59)

    assert running_loop()._limit_seconds == 60


def test_an_hour_of_ten_second_ticks_takes_less_than_a_tenth_of_a_second():
    async def tick() -> float:
        for _ in range(360):
            await asyncio.sleep(10)
        return running_loop().time()

    began = time.perf_counter()
    ended_at = run_virtual(tick())

    assert ended_at == 3600.0
    assert time.perf_counter() - began < 0.1


@pytest.mark.virtual_time
async def test_timers_fire_in_the_order_of_their_times_and_at_them_exactly():
    fired: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        fired.append((name, running_loop().time()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("c", 7.3), ("a", 0.1), ("b", 0.7), ("d", 200_000.0)):
            group.create_task(wait(name, seconds))

    assert fired == [("a", 0.1), ("b", 0.7), ("c", 7.3), ("d", 200_000.0)]


@pytest.mark.virtual_time
async def test_a_timeout_ends_what_never_ends():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(300):
            await asyncio.Event().wait()

    assert running_loop().time() == 300.0


@pytest.mark.virtual_time
async def test_the_time_stands_still_while_a_thread_works():
    gate = threading.Event()

    async def timer() -> float:
        await asyncio.sleep(3600)
        gate.set()
        return running_loop().time()

    def work() -> bool:
        return gate.wait(0.02)

    async with asyncio.TaskGroup() as group:
        late = group.create_task(timer())
        opened_meanwhile = await asyncio.to_thread(work)
        assert running_loop().time() == 0.0

    assert not opened_meanwhile
    assert late.result() == 3600.0


@pytest.mark.virtual_time
async def test_the_time_stands_still_while_a_thread_works_whose_awaiter_was_cancelled():
    loop = running_loop()
    gate = threading.Event()
    arrived = asyncio.Event()
    seen: list[bool] = []

    def work() -> None:
        loop.call_soon_threadsafe(arrived.set)
        seen.append(gate.wait(0.02))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.to_thread(work))
        async with asyncio.timeout(1):
            await arrived.wait()
        task.cancel()
        await asyncio.sleep(3600)
        gate.set()

    assert seen == [False]


@pytest.mark.virtual_time
async def test_external_work_keeps_the_time_still_until_it_is_left():
    loop = running_loop()
    arrived = asyncio.Event()

    def outside() -> None:
        time.sleep(0.01)
        loop.call_soon_threadsafe(arrived.set)

    thread = threading.Thread(target=outside)
    with loop.external_work():
        thread.start()
        async with asyncio.timeout(5):
            await arrived.wait()
    thread.join()

    assert loop.time() == 0.0
    await asyncio.sleep(1)
    assert loop.time() == 1.0


@pytest.mark.virtual_time
async def test_input_that_is_ready_is_served_before_the_time_jumps():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        theirs.send(b"hello")

        async with asyncio.timeout(10):
            data = await running_loop().sock_recv(ours, 100)

    assert data == b"hello"
    assert running_loop().time() == 0.0


@pytest.mark.virtual_time
async def test_a_client_and_a_server_on_loopback_talk_without_time_passing():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert answer == b"ping\n"
    assert running_loop().time() == 0.0


def test_a_deadlock_is_an_error_that_names_the_waiting_tasks():
    async def wait_for_ever() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait(), name="the stuck one")

    with pytest.raises(DeadlockError, match=r"no timer is set[\s\S]*the stuck one: Event.wait at .*locks.py"):
        run_virtual(wait_for_ever())


def test_a_deadlock_is_found_though_a_silent_socket_is_watched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(virtual_time, "IO_PATIENCE_SECONDS", 0.01)

    async def receive() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            await running_loop().sock_recv(ours, 100)

    with pytest.raises(DeadlockError, match="deadlock"):
        run_virtual(receive())


def test_external_work_that_never_ends_is_an_error_after_real_patience():
    async def wait() -> None:
        with running_loop().external_work():
            await asyncio.sleep(10)

    with (
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience_seconds=0.01)) as runner,
        pytest.raises(DeadlockError, match=r"external work did not end within 0\.01 real seconds"),
    ):
        runner.run(wait())


def test_timers_without_end_stop_at_the_limit():
    async def tick() -> None:
        for _ in itertools.count():
            await asyncio.sleep(10)

    with pytest.raises(VirtualTimeLimitError, match=r"limit of 3600 s[\s\S]*tick at"):
        run_virtual(tick(), limit_seconds=3600)


def test_cleaning_up_after_the_limit_may_still_use_timers():
    cleaned: list[float] = []

    async def tick() -> None:
        try:
            for _ in itertools.count():
                await asyncio.sleep(10)
        finally:
            await asyncio.sleep(5)
            cleaned.append(running_loop().time())

    with pytest.raises(VirtualTimeLimitError):
        run_virtual(tick(), limit_seconds=100)

    assert cleaned == [105.0]


def test_running_returns_the_result_and_raises_what_the_coroutine_raises():
    async def answer(fail: bool) -> int:
        if fail:
            raise ValueError("no")
        return 42

    assert run_virtual(answer(fail=False)) == 42
    with pytest.raises(ValueError, match="no"):
        run_virtual(answer(fail=True))


def test_an_executor_of_ones_own_is_used_and_shut_down():
    class Counting(virtual_time.concurrent.futures.ThreadPoolExecutor):
        used = 0

        def submit(self, *args, **kwargs):
            Counting.used += 1
            return super().submit(*args, **kwargs)

    async def main() -> int:
        running_loop().set_default_executor(Counting(max_workers=1))
        return await asyncio.to_thread(lambda: 7)

    assert run_virtual(main()) == 7
    assert Counting.used == 1


async def test_only_virtual_time_can_elapse() -> None:
    with pytest.raises(RuntimeError, match="mark the test with virtual_time"):
        await elapse(5)


@pytest.mark.virtual_time
async def test_virtual_time_elapses_to_the_second() -> None:
    before = asyncio.get_running_loop().time()

    await elapse(5)

    assert asyncio.get_running_loop().time() == before + 5
