"""Following an execution: what the keyboard does, and engines that go away."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.fake_engine import RUNNING, SUCCESS, FakeEngineApi
from tests.unit.engine.cli.conftest import Opened
from typing_extensions import override

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import socket_beside
from airscrew.engine.api.model import ApiError, ExecutionView, SubmitRequest
from airscrew.engine.api.server import serving
from airscrew.engine.cli import running, session
from airscrew.engine.cli.app import App
from airscrew.engine.cli.follow import Outcome, follow
from airscrew.engine.cli.progress import PlainReporter
from airscrew.engine.config import WorkScope
from airscrew.idl.phase import Phase
from airscrew.state.errors import StoreBusyError

Keyboard = asyncio.Queue[signal.Signals]
INFO = ServerInfo(version="1", pid=2, started_at=3.0)
REQUEST = SubmitRequest(name="a", template=b"t")


async def started(fake: FakeEngineApi) -> None:
    await fake.submit(REQUEST)
    await fake.change("default/a", **RUNNING)


async def followed(fake: FakeEngineApi, *keys: signal.Signals) -> tuple[Outcome, str]:
    keyboard, stream = Keyboard(), io.StringIO()
    for key in keys:
        keyboard.put_nowait(key)
    outcome = await follow(fake, "default/a", PlainReporter(stream), keyboard)
    return outcome, stream.getvalue()


async def test_ctrl_c_kills_and_waits_until_it_is_gone(fake: FakeEngineApi) -> None:
    await started(fake)

    outcome, told = await followed(fake, signal.SIGINT)

    assert (outcome.view.phase, outcome.killed, outcome.left_by) == (Phase.ABORTED, True, None)
    assert "killing default/a; Ctrl-C again leaves it running" in told
    assert running.conclude(outcome, None, "text") == 130


async def test_a_second_ctrl_c_leaves_it_running(fake: FakeEngineApi, capsys: pytest.CaptureFixture[str]) -> None:
    fake.kill_is_confirmed = False
    await started(fake)

    outcome, _ = await followed(fake, signal.SIGINT, signal.SIGINT)

    assert (outcome.view.phase, outcome.left_by) == (Phase.RUNNING, signal.SIGINT)
    assert running.conclude(outcome, None, "text") == 130
    assert "left running; airscrew run --resume goes on with it" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_end_leaves_it_running_at_once(fake: FakeEngineApi, number: signal.Signals) -> None:
    await started(fake)

    outcome, _ = await followed(fake, number)

    assert outcome.left_by is number
    assert running.conclude(outcome, None, "text") == 143
    assert not [call for call in fake.calls if call[0] == "kill"]


async def test_a_task_that_succeeds_while_it_is_killed_has_succeeded(fake: FakeEngineApi) -> None:
    fake.kill_is_confirmed = False
    fake.script = [SUCCESS]
    await fake.submit(REQUEST)

    outcome, _ = await followed(fake, signal.SIGINT)

    assert outcome.view.phase is Phase.SUCCESS


async def test_a_kill_that_is_refused_is_the_commands_error(fake: FakeEngineApi) -> None:
    fake.refuse["kill"] = ApiError("full", "no room for the request")
    await started(fake)

    with pytest.raises(ApiError, match="no room"):
        await followed(fake, signal.SIGINT)


async def test_the_logs_of_all_attempts_are_shown(fake: FakeEngineApi) -> None:
    fake.script = [RUNNING, {"attempt": 1, "phase": Phase.QUEUED}, SUCCESS]
    fake.log["default/a"] = bytearray(b"hello\n")
    await fake.submit(REQUEST)

    await followed(fake)

    asked = [argument for call, argument in fake.calls if call == "logs"]
    assert ("default/a", 0, True) in asked
    assert ("default/a", 1, True) in asked


async def test_what_was_told_of_a_log_is_not_told_again_on_the_next_engine(fake: FakeEngineApi) -> None:
    told: dict[int, int] = {}
    fake.log["default/a"] = bytearray(b"one\n")
    await fake.submit(REQUEST)
    fake.refuse["watch"] = ApiError("unavailable", "it stops")
    stream = io.StringIO()
    with pytest.raises(ApiError, match="it stops"):
        await follow(fake, "default/a", PlainReporter(stream), Keyboard(), told=told)

    del fake.refuse["watch"]
    fake.log["default/a"] += b"two\n"
    fake.script = []
    await fake.change("default/a", **SUCCESS)
    await follow(fake, "default/a", PlainReporter(stream), Keyboard(), told=told)

    assert stream.getvalue().count("one\n") <= 1
    assert stream.getvalue().count("two\n") == 1


@asynccontextmanager
async def a_holder(fake: FakeEngineApi, app: App) -> AsyncIterator[None]:
    """Another process that is the store's engine."""
    async with serving(fake, socket_beside(app.settings().store_file), INFO):
        yield


async def test_an_engine_that_holds_the_store_is_talked_to(fake: FakeEngineApi, app: App, opened: Opened) -> None:
    other = FakeEngineApi()
    await other.submit(REQUEST)

    async with a_holder(other, app):
        async with session.working(app, app.settings(), WorkScope.only()) as found:
            view = await found.api.get("default/a")
        async with session.looking(app) as api:
            looked = await api.get("default/a")

    assert (found.is_own, view.execution, looked) == (False, "default/a", view)
    assert (opened.engines, opened.views) == ([], [])


async def test_without_an_engine_looking_opens_none(app: App, opened: Opened) -> None:
    async with session.looking(app):
        pass

    assert (len(opened.views), opened.engines) == (1, [])


async def test_an_engine_that_is_just_starting_is_waited_for(app: App, opened: Opened) -> None:
    opened.busy = [StoreBusyError("held"), StoreBusyError("held")]

    async with session.working(app, app.settings(), WorkScope.only()) as found:
        assert found.is_own

    assert len(opened.engines) == 1


async def test_a_holder_that_never_answers_is_given_up(
    app: App, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BUSY_SECONDS", 0.0)
    opened.busy = [StoreBusyError("held by another process")] * 3

    with pytest.raises(StoreBusyError, match="held by another"):
        async with session.working(app, app.settings(), WorkScope.only()):
            pass


async def test_a_server_that_is_named_is_used_and_no_other(app: App, opened: Opened) -> None:
    app.reach["server"] = "127.0.0.1:1"
    home = app.settings().home_path
    home.mkdir(parents=True)
    (home / "token").write_text("t\n")

    with pytest.raises(ApiError, match="no engine answers"):
        async with session.working(app, app.settings(), WorkScope.only()):
            pass

    assert opened.engines == []


class GoingAway(FakeEngineApi):
    """Stops answering in the middle of the first watch."""

    @override
    async def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        yield await self.get(execution)
        raise ApiError("unavailable", "the engine is shutting down")


async def test_when_the_engine_goes_away_our_own_adopts_the_execution(
    fake: FakeEngineApi, app: App, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = GoingAway()
    fake.script = [SUCCESS]
    await fake.submit(REQUEST)
    stop = asyncio.Event()
    up = asyncio.Event()

    async def hold() -> None:
        async with a_holder(holder, app):
            up.set()
            await stop.wait()

    async def begin(found: session.Session) -> str:
        execution = (await found.api.submit(REQUEST)).execution
        stop.set()
        return execution

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        await up.wait()
        code = await running.drive(app, app.settings(), WorkScope.only(), running.RunOptions(), begin)

    assert code == 0
    assert [work.executions for _, work in opened.engines] == [frozenset({"default/a"})]
    assert "the engine went away; going on without it" in capsys.readouterr().err


async def test_when_our_own_engine_fails_that_is_the_end(fake: FakeEngineApi, app: App) -> None:
    fake.refuse["watch"] = ApiError("unavailable", "the store is gone")

    async def begin(found: session.Session) -> str:
        return (await found.api.submit(REQUEST)).execution

    with pytest.raises(ApiError, match="the store is gone"):
        await running.drive(app, app.settings(), WorkScope.only(), running.RunOptions(), begin)
