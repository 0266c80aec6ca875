from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from tests.support.engine_kit import Rig, name_of, phases
from tests.support.scripted import Count, failure, success

from airscrew.engine.errors import UnavailableError
from airscrew.engine.executor import NotStarted, TaskContext, TaskStatus
from airscrew.engine.machine import Policy
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import Stage
from airscrew.state.store import Put

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)


class TestTrouble:
    async def test_bad_bytes_of_one_record_do_not_touch_another(self) -> None:
        rig = Rig()
        bad = await rig.submit("bad")
        await rig.submit("good")
        await rig.store.inner.txn([], [Put(keys.record_key(bad), b"{not json")])
        rig.executor.ends["good"] = success

        async with rig.engine():
            await elapse(60)

        assert (await rig.record("good")).phase is Phase.SUCCESS
        assert rig.executor.count("start_task", "bad") == 0

    async def test_one_that_cannot_be_read_is_tried_less_and_less_often(self, caplog: pytest.LogCaptureFixture) -> None:
        rig = Rig()
        bad = await rig.submit("bad")
        await rig.store.inner.txn([], [Put(keys.record_key(bad), b"{not json")])

        async with rig.engine():
            await elapse(3600)

        assert 5 < len(caplog.records) < 25

    async def test_a_store_that_is_away_for_a_minute_loses_nothing(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await elapse(30)
            rig.store.down = True
            rig.executor.ends["a"] = success
            await elapse(60)
            rig.store.down = False
            await elapse(20)

        assert (await rig.record()).phase is Phase.SUCCESS
        assert rig.executor.count("start_task") == 1
        assert await rig.ledger() == []

    @pytest.mark.parametrize("method", ["start_task", "check_task_status"])
    async def test_an_outage_that_the_executor_names_is_held_against_nobody_however_alone(self, method: str) -> None:
        rig = Rig()
        await rig.submit()
        rig.executor.will("start_task", TimeoutError("lost")) if method == "start_task" else None
        rig.executor.will(method, *[UnavailableError("the provider is down", delay=30.0)] * 60)

        async with rig.engine():
            await elapse(900)
            during = await rig.record()
            rig.executor.ends["a"] = success
            await elapse(1000)

        assert not during.quarantine
        assert "the provider is down" in during.reason
        assert (await rig.record()).phase is Phase.SUCCESS
        assert rig.executor.count(method) >= 61

    async def test_a_start_that_is_unknown_waits_as_long_as_not_started_says(self) -> None:
        rig = Rig()
        await rig.submit()
        rig.executor.will("start_task", TimeoutError("lost"), *[NotStarted("down", 30.0)] * 30)

        async with rig.engine():
            await elapse(1200)

        times = rig.executor.times("start_task")
        assert not (await rig.record()).quarantine
        assert len(times) == 32
        assert all(later - earlier <= 31.0 for earlier, later in pairwise(times))

    async def test_an_executor_that_is_down_for_hours_has_nobody_quarantined(self) -> None:
        rig = Rig()
        for number in range(15):
            await rig.submit(f"n{number}")

        async with rig.engine():
            await elapse(60)
            rig.executor.down = True
            await elapse(3 * 3600)
            breaker = rig.gate.breaker(rig.clock.now())
            quarantined = [number for number in range(15) if (await rig.record(f"n{number}")).quarantine]
            rig.executor.down = False
            for number in range(15):
                rig.executor.ends[f"n{number}"] = success
            await elapse(600)

        assert (breaker != "", quarantined) == (True, [])
        assert {(await rig.record(f"n{number}")).phase for number in range(15)} == {Phase.SUCCESS}

    async def test_a_few_broken_ones_among_healthy_ones_are_quarantined(self) -> None:
        rig = Rig()
        for number in range(15):
            await rig.submit(f"n{number}")
        for number in range(12):
            rig.executor.broken.add(f"n{number}")

        async with rig.engine():
            await elapse(3600)

        found = {number for number in range(15) if (await rig.record(f"n{number}")).quarantine}
        assert found == set(range(12))

    async def test_a_crash_at_any_write_never_makes_a_second_job(self) -> None:
        for crash_at in range(1, 9):  # every write of its life
            rig = Rig(finalizes=True)
            rig.executor.ends["a"] = success
            await rig.submit()

            def crash(operations: object, rig: Rig = rig, crash_at: int = crash_at) -> None:
                if rig.store.txns == crash_at:
                    raise _CrashError

            rig.store.before_txn = crash
            with pytest.raises(BaseExceptionGroup):
                await _run_until_it_dies(rig)
            rig.store.before_txn = None
            async with rig.engine():
                await elapse(60)

            assert rig.executor.jobs == {rig.key(): 1}, crash_at
            assert (await rig.record()).phase is Phase.SUCCESS
            assert await rig.ledger() == []

    async def test_a_drain_lets_calls_under_way_return_and_writes_what_they_told(self) -> None:
        rig = Rig()
        started = asyncio.Event()
        original = rig.executor.start_task

        async def slow(context: TaskContext[Count], template: object) -> object:
            started.set()
            await elapse(5)
            return await original(context, template)

        rig.executor.start_task = slow  # type: ignore[assignment,method-assign]
        await rig.submit()
        async with rig.engine():
            await started.wait()

        assert (await rig.record()).stage is Stage.LIVE


class TestSlots:
    async def test_no_more_are_live_than_the_limit_and_all_come_to_their_end(self) -> None:
        rig = Rig(limit=3)
        most = 0

        def end(state: Count) -> TaskStatus[Count]:
            nonlocal most
            most = max(most, rig.gate.live)
            return success(state)

        for number in range(20):
            await rig.submit(f"n{number}")
            rig.executor.ends[f"n{number}"] = end
        async with rig.engine():
            await elapse(300)

        assert most == 3
        assert [(await rig.record(f"n{number}")).phase for number in range(20)] == [Phase.SUCCESS] * 20

    async def test_after_a_restart_what_is_live_has_its_slot_before_anything_new_starts(self) -> None:
        rig = Rig(limit=1)
        await rig.submit("z")
        async with rig.engine(crash=True):
            await elapse(1)
        for name in "abcdef":
            await rig.submit(name)

        async with rig.engine():
            await elapse(60)
            assert rig.gate.live == 1

        assert rig.executor.count("start_task") == 1

    async def test_a_waiting_one_that_is_killed_holds_up_nobody_behind_it(self) -> None:
        rig = Rig(limit=1)
        await rig.submit("running")
        async with rig.engine() as controller:
            await elapse(1)
            for name in ("first", "second"):
                await rig.submit(name)
                await elapse(0.1)
            rig.executor.ends["running"] = success
            await rig.ask("first", "kill")
            controller.wake(name_of("running"))
            await elapse(5)

        assert rig.executor.count("start_task", "second") == 1

    async def test_a_free_slot_is_not_kept_for_one_that_waits_for_its_retry(self) -> None:
        rig = Rig(limit=1, policy=Policy(retry_delay=300.0))
        await rig.submit("a")
        async with rig.engine() as controller:
            await elapse(1)
            rig.executor.will("check_task_status", failure(Count()))
            await rig.submit("b")
            await elapse(0.1)
            controller.wake(name_of("a"))
            await elapse(5)

        assert rig.executor.count("start_task", "b") == 1


class TestMemory:
    async def test_nothing_is_kept_of_executions_that_are_done(self) -> None:
        rig = Rig(limit=100)
        names = [f"n{number}" for number in range(30)]
        for name in names:
            await rig.submit(name, timeouts={"total": 86_400.0})
            rig.executor.ends[name] = success

        async with rig.engine() as controller:
            await elapse(60)
            statistics = controller.queue.statistics()
            kept = (controller._lives, controller._intake.asked, controller._by_key, controller._failures)
            assert [len(one) for one in kept] == [0, 0, 0, 0]
            assert statistics.delayed == 0
            assert rig.gate.live == 0

    async def test_the_store_keeps_a_spec_a_record_and_events_of_what_is_done(self) -> None:
        rig = Rig()
        rig.executor.ends["a"] = success
        await rig.submit()

        async with rig.engine():
            await elapse(60)

        page = await rig.store.inner.range("", "\x7f")
        assert {item.key.split("/")[0] for item in page.items} == {"spec", "record", "event"}
        assert phases(await rig.events()) == [Phase.QUEUED, Phase.RUNNING, Phase.SUCCESS]


class _CrashError(BaseException):
    """The machine dies: nothing below the test may catch it."""


async def _run_until_it_dies(rig: Rig) -> None:
    async with rig.engine():
        await elapse(30)
        raise _CrashError
