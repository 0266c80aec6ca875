from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.support.engine_kit import EPOCH, Rig, name_of
from tests.support.scripted import Count, Scripted, failure, success

from airscrew.engine.controller.ports import AttemptPlace, CacheAnswer
from airscrew.engine.executor import NoEffect, TaskContext, TaskStatus
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.phase import Phase
from airscrew.state import keys
from airscrew.state.records import CacheOptions, Stage
from airscrew.state.store import Delete, Put

pytestmark = pytest.mark.virtual_time(limit_seconds=100_000)


class TestCadence:
    async def test_an_hour_has_360_checks(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await elapse(3600)

        assert abs(rig.executor.count("check_task_status") - 360) <= 1

    async def test_an_hour_has_360_checks_across_a_restart(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine(crash=True):
            await elapse(1234)
        async with rig.engine():
            await elapse(3600 - 1234)

        assert abs(rig.executor.count("check_task_status") - 360) <= 1
        assert rig.executor.count("start_task") == 1

    async def test_checks_that_find_a_job_as_it_was_write_nothing(self) -> None:
        rig = Rig()
        await rig.submit()
        same = [TaskStatus.running(Count(checks=1))] * 300
        rig.executor.will("check_task_status", *same)

        async with rig.engine():
            await elapse(100)
            written = rig.store.txns
            await elapse(2800)
            checks, again = rig.executor.count("check_task_status"), rig.store.txns
            await elapse(200)

        assert (checks, again) == (290, written)
        assert rig.store.txns > written  # another state is kept, whether or not the phase moved

    async def test_a_restart_looks_at_what_runs_and_writes_nothing_of_it(self) -> None:
        rig = Rig()
        for number in range(20):
            await rig.submit(f"e{number}")
        rig.executor.will("check_task_status", *[TaskStatus.running(Count())] * 60)
        async with rig.engine(crash=True):
            await elapse(15)  # each was looked at once, and keeps another state by that
        checks, written = rig.executor.count("check_task_status"), rig.store.txns

        async with rig.engine(crash=True):
            await elapse(1)
            begun = rig.store.txns

        assert rig.executor.count("check_task_status") == checks + 20
        assert begun - written <= 1  # the number of this life

    async def test_no_gap_between_checks_is_longer_than_the_interval(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await elapse(600)

        times = rig.executor.times("check_task_status")
        assert max(after - before for before, after in pairwise(times)) <= 10.0 + 1e-6

    async def test_what_a_status_asks_for_overrides_the_interval(self) -> None:
        rig = Rig()
        rig.executor.will("start_task", TaskStatus.running(Count()).after(42.0))
        await rig.submit()

        async with rig.engine():
            await elapse(45)

        assert rig.executor.times("check_task_status") == pytest.approx([EPOCH + 42.0])

    async def test_many_executions_are_spread_over_the_interval(self) -> None:
        rig = Rig()
        for number in range(50):
            await rig.submit(f"n{number}")

        async with rig.engine():
            await elapse(9.9)

        first = [at for method, _, at in rig.executor.calls if method == "check_task_status"]
        assert len({round(at) for at in first}) >= 4


class TestWakes:
    async def test_all_executions_of_an_executor_are_looked_at_when_it_has_moved(self) -> None:
        rig = Rig()
        rig.executor.will("start_task", *[TaskStatus.running(Count()).after(1000.0)] * 3)
        for name in ("a", "b", "c"):
            await rig.submit(name)

        async with rig.engine() as controller:
            await elapse(50)
            controller.wake_all_of("nobody")
            await elapse(1)
            before = rig.executor.count("check_task_status")
            controller.wake_all_of(rig.executor.id)
            await elapse(1)

        assert before == 0
        assert [rig.executor.count("check_task_status", name) for name in ("a", "b", "c")] == [1, 1, 1]

    async def test_a_wake_brings_a_check_at_once(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine() as controller:
            await elapse(1)
            controller.wake(name_of("a"))
            await elapse(0.1)

        assert rig.executor.times("check_task_status") == [EPOCH + 1]

    async def test_a_wake_by_the_key_of_the_attempt_finds_its_execution(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine() as controller:
            await elapse(1)
            controller.wake_key(rig.key())
            controller.wake_key("aunknown")
            await elapse(0.1)

        assert rig.executor.count("check_task_status") == 1

    async def test_a_wake_during_a_call_is_not_lost(self) -> None:
        rig = Rig()
        await rig.submit()

        def wake_and_run(context: TaskContext[Count]) -> TaskStatus[Count]:
            context.wake()
            return TaskStatus.running(Count())

        rig.executor.will("start_task", wake_and_run)
        async with rig.engine():
            await elapse(1)

        assert rig.executor.count("check_task_status") == 1

    async def test_the_start_of_a_second_attempt_can_be_woken_by_its_key_at_once(self) -> None:
        rig = Rig()

        def wake_by_key(context: TaskContext[Count]) -> TaskStatus[Count]:
            assert rig.controller is not None
            rig.controller.wake_key(context.key)
            return TaskStatus.running(Count())

        rig.executor.will("start_task", replace(failure(Count()), delay=0.0), wake_by_key)
        await rig.submit()
        async with rig.engine():
            await elapse(1)

        assert rig.executor.count("start_task") == 2
        assert rig.executor.count("check_task_status") == 1

    async def test_a_wake_from_another_thread_arrives(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine() as controller:
            await elapse(1)
            thread = threading.Thread(target=controller.wake, args=(name_of("a"),))
            thread.start()
            thread.join()
            await elapse(0.1)

        assert rig.executor.count("check_task_status") == 1

    async def test_without_any_wake_the_timer_alone_brings_it_to_its_end(self) -> None:
        rig = Rig()
        rig.executor.ends["a"] = success
        await rig.submit()

        async with rig.engine():
            await elapse(15)

        assert (await rig.record()).phase is Phase.SUCCESS

    async def test_one_that_wakes_itself_all_the_time_holds_up_no_other(self) -> None:
        rig = Rig()

        def again(state: Count) -> TaskStatus[Count]:
            assert rig.controller is not None
            rig.controller.wake(name_of("noisy"))
            return TaskStatus.running(state)

        rig.executor.ends.update(noisy=again, quiet=success)
        await rig.submit("noisy")
        await rig.submit("quiet")

        async with rig.engine(workers=1) as controller:
            await elapse(0.1)
            controller.wake(name_of("noisy"))
            controller.wake(name_of("quiet"))
            while (await rig.record("quiet")).stage is not Stage.DONE:  # noqa: ASYNC110 - the loop is never idle here
                await asyncio.sleep(0)
            assert rig.executor.count("check_task_status", "noisy") < 50
            rig.executor.ends["noisy"] = success


class TestRequests:
    async def test_a_kill_is_carried_out_and_its_request_is_gone(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await elapse(1)
            await rig.ask("a", "kill", reason="enough")
            await elapse(1)

        record = await rig.record()
        assert (record.stage, record.phase) == (Stage.DONE, Phase.ABORTED)
        assert await rig.below(keys.REQUESTS) == {}

    async def test_a_request_that_comes_during_a_turn_is_taken_in_the_next(self) -> None:
        rig = Rig()
        await rig.submit()

        async def kill_meanwhile(operations: object) -> None:
            if rig.executor.count("start_task"):
                rig.store.before_txn = None
                await rig.ask("a", "kill")

        rig.store.before_txn = kill_meanwhile
        async with rig.engine():
            await elapse(1)

        assert (await rig.record()).phase is Phase.ABORTED
        assert rig.executor.gone == {rig.key()}

    async def test_a_request_that_comes_as_the_execution_ends_does_not_stay(self) -> None:
        rig = Rig(Scripted(NoEffect()))
        rig.executor.will("start_task", success(Count()))
        await rig.submit()

        async def kill_meanwhile(operations: object) -> None:
            rig.store.before_txn = None
            await rig.ask("a", "kill")
            await asyncio.sleep(0)

        rig.store.before_txn = kill_meanwhile
        async with rig.engine():
            await elapse(1)

        assert (await rig.record()).phase is Phase.SUCCESS
        assert await rig.below(keys.REQUESTS) == {}

    async def test_a_request_put_while_no_engine_ran_is_found_at_the_start(self) -> None:
        rig = Rig()
        await rig.submit()
        await rig.ask("a", "kill")

        async with rig.engine():
            await elapse(1)

        assert (await rig.record()).phase is Phase.ABORTED
        assert rig.executor.calls == []

    async def test_requests_to_what_was_pruned_are_dropped(self) -> None:
        rig = Rig()
        await rig.ask("ghost", "kill")

        async with rig.engine():
            await elapse(1)

        assert await rig.below(keys.REQUESTS) == {}

    async def test_what_is_accepted_while_it_is_read_that_nothing_is_there_is_begun(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig, ghost = Rig(), name_of("ghost")
        await rig.ask("ghost", "kill")
        read = type(rig.store).get

        async def accepted_meanwhile(store: object, key: str) -> object:
            found = await read(rig.store, key)
            if key == keys.spec_key(ghost) and found is None:
                await rig.submit("ghost")
                await elapse(1)
            return found

        monkeypatch.setattr(type(rig.store), "get", accepted_meanwhile)
        async with rig.engine():
            await elapse(5)

        assert (await rig.record("ghost")).phase is Phase.ABORTED
        assert await rig.below(keys.REQUESTS) == {}

    async def test_what_is_pruned_while_the_cache_is_asked_is_told_so_that_nothing_of_it_is_kept_alive(self) -> None:
        rig, gone = Rig(), list[str]()
        await rig.submit(cache=CacheOptions(version="1", serializable=True))
        looks = rig.cache.lookup

        async def lookup_meanwhile(place: AttemptPlace) -> CacheAnswer:
            await rig.store.inner.txn([], [Delete(keys.spec_key(place.execution))])
            return await looks(place)

        vars(rig.cache)["lookup"] = lookup_meanwhile
        async with rig.engine() as controller:
            controller.on_lost = lambda live: gone.append(live.execution.name)
            await elapse(1)

        assert gone == ["a"]
        assert await rig.below(keys.RECORDS) == {}

    async def test_a_request_is_found_after_the_history_was_compacted(self) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await elapse(1)
            rig.store.down = True
            await rig.ask("a", "kill")
            await rig.store.inner.txn([], [Put("other", b"")])
            await rig.store.inner.compact(10_000)
            await elapse(5)
            rig.store.down, rig.store.fail_ranges = False, 1
            await elapse(10)

        assert (await rig.record()).phase is Phase.ABORTED

    @pytest.mark.parametrize("key", ["request/00/x", "request/00/default/b/kill"])
    async def test_keys_and_values_that_make_no_sense_stop_nothing(self, key: str) -> None:
        rig = Rig()
        await rig.submit()

        async with rig.engine():
            await rig.store.inner.txn([], [Put(key, b"\xff")])
            await elapse(1)
            await rig.ask("a", "kill")
            await elapse(1)

        assert (await rig.record()).phase is Phase.ABORTED
