"""The executor alone: its watches, and what it makes of trouble with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.support.literal_maps import literals
from tests.unit.plugins.waitable.waitable_kit import waitable

from airscrew.engine.api.model import ApiError, ExecutionView
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import Phase
from airscrew.idl.template import decode_template, make_template
from airscrew.idl.wire import WireForm
from airscrew.plugins.waitable import WaitableExecutor, WaitState
from airscrew.state.errors import StoreUnavailableError

pytestmark = pytest.mark.virtual_time


class FakeExecutions:
    """Executions that a test moves, watched as an engine shows them."""

    def __init__(self) -> None:
        self.views: dict[str, ExecutionView] = {}
        self.changed = asyncio.Event()
        self.is_away = False
        self.watched = 0
        self.open = 0

    def set(self, name: str, phase: Phase) -> None:
        ended = 5.0 if phase.is_terminal else 0.0
        self.views[name] = ExecutionView(execution=name, uid="u", task_type="t", phase=phase, ended_at=ended)
        self.changed.set()
        self.changed = asyncio.Event()

    async def watch(self, name: str) -> AsyncGenerator[ExecutionView, None]:
        self.watched += 1
        self.open += 1
        try:
            while True:
                if self.is_away:
                    raise StoreUnavailableError("the store is away, on purpose")
                if name not in self.views:
                    raise ApiError("not_found", f"there is no execution {name}")
                yield self.views[name]
                if self.views[name].is_over:
                    return
                await self.changed.wait()
        finally:
            self.open -= 1


@asynccontextmanager
async def environment() -> AsyncGenerator[tuple[ExecutorEnvironment[WaitState], FakeExecutions], None]:
    executions = FakeExecutions()
    executions.set("test/a", Phase.RUNNING)
    async with ExecutorEnvironment(lambda: WaitableExecutor(executions.watch)) as opened:
        yield opened, executions


def wait_for(opened: ExecutorEnvironment[WaitState], *, name: str = "wait") -> Attempt[WaitState]:
    return opened.attempt(make_template("waitable", custom=waitable("a")), name=name)


async def test_nothing_is_asked_for_by_time() -> None:
    async with environment() as (opened, executions):
        attempt = wait_for(opened)
        await attempt.start()

        await elapse(3600.0)

        assert (executions.watched, executions.open) == (2, 1)  # what it is a part of was read once


async def test_many_who_wait_for_one_share_a_watch_which_ends_with_the_last_of_them() -> None:
    async with environment() as (opened, executions):
        attempts = [wait_for(opened, name=f"w{number}") for number in range(50)]
        for attempt in attempts:
            await attempt.start()
        await elapse(1.0)
        shared = executions.open

        for attempt in attempts:
            await attempt.kill()
        await elapse(1.0)

        assert (shared, executions.open) == (1, 0)


async def test_a_change_wakes_who_waits() -> None:
    async with environment() as (opened, executions):
        attempt = wait_for(opened)
        await attempt.start()
        await elapse(1.0)
        attempt.was_woken.clear()

        executions.set("test/a", Phase.SUCCESS)
        await elapse(0.1)

        assert attempt.was_woken.is_set()
        assert (await attempt.check()).phase is Phase.SUCCESS


async def test_a_store_that_is_away_is_the_reason_and_ends_nothing() -> None:
    async with environment() as (opened, executions):
        attempt = wait_for(opened)
        await attempt.start()
        executions.is_away = True
        executions.set("test/a", Phase.RUNNING)
        await elapse(10.0)
        shown = await attempt.check()

        executions.is_away = False
        executions.set("test/a", Phase.SUCCESS)
        await elapse(5.0)
        status = await attempt.check()

    assert shown.phase is Phase.RUNNING
    assert "the store is away, on purpose" in shown.reason
    assert status.phase is Phase.SUCCESS


async def test_a_start_while_the_store_is_away_begins_later() -> None:
    async with environment() as (opened, executions):
        executions.is_away = True

        answer = await wait_for(opened).start()

    assert isinstance(answer, NotStarted)
    assert "the store is away, on purpose" in answer.reason


async def test_one_that_is_gone_before_its_end_was_seen_is_unknown() -> None:
    async with environment() as (opened, executions):
        attempt = wait_for(opened)
        await attempt.start()
        await elapse(1.0)

        executions.is_away = True
        executions.set("test/b", Phase.RUNNING)
        await elapse(1.0)
        del executions.views["test/a"]
        executions.is_away = False
        await elapse(5.0)
        status = await attempt.check()

    assert status.error is not None
    assert status.error.code == "UnknownExecution"


async def test_one_that_waits_for_itself_is_refused() -> None:
    async with environment() as (opened, _):
        with pytest.raises(PermanentError, match="test/a waits for itself") as refusal:
            await wait_for(opened, name="a").start()

    assert refusal.value.code == "WaitCycle"


async def test_a_container_that_nobody_would_run_is_refused() -> None:
    message = make_template("waitable", custom=waitable("a")).message
    message.container.image = "i"
    template = decode_template(message.SerializeToString(), WireForm.FLYTE1)
    async with environment() as (opened, _):
        with pytest.raises(PermanentError, match="a waitable task only waits"):
            await opened.attempt(template).start()


async def test_more_names_than_can_be_kept_are_refused_with_a_way_out() -> None:
    names = [waitable(f"execution-number-{number}") for number in range(2000)]
    template = make_template("waitable", inputs={"all": list[dict]})
    async with environment() as (opened, _):
        with pytest.raises(PermanentError, match="the task names 2000 executions: too many"):
            await opened.attempt(template, literals(all=(names, list[dict]))).start()


async def test_a_wrong_configuration_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"executors\.waitable\.namespace: is empty"):
        async with ExecutorEnvironment(WaitableExecutor, config={"namespace": ""}):
            pass
