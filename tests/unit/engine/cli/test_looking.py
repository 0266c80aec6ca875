"""Looking at an execution while engines come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.support.fake_engine import RUNNING, SUCCESS, FakeEngineApi
from tests.unit.engine.cli.conftest import Opened
from typing_extensions import override

from airscrew.engine.api.model import ApiError, ExecutionView, LogChunk, SubmitRequest
from airscrew.engine.cli import looking
from airscrew.engine.cli.app import App
from airscrew.engine.cli.session import Session, sight
from airscrew.state.errors import StoreBusyError

pytestmark = pytest.mark.virtual_time(limit_seconds=60)
GONE = ApiError("unavailable", "the engine is shutting down")


class LeavingEngine(FakeEngineApi):
    """Its streams end as those of an engine that stops."""

    @override
    async def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> AsyncIterator[LogChunk]:
        async for chunk in super().logs(execution, attempt=attempt):
            yield chunk
        if follow:
            raise GONE

    @override
    async def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        yield self.views[execution]
        raise GONE


@pytest.fixture
async def api() -> FakeEngineApi:
    api = LeavingEngine()
    await api.submit(SubmitRequest(name="a", template=b"t"))
    await api.change("default/a", **RUNNING)
    return api


def reach(monkeypatch: pytest.MonkeyPatch, sessions: Sequence[Session], api: FakeEngineApi) -> list[str]:
    """Let each look reach the next of some engines; with the last one the execution is over. Gives the notes."""
    left = list(sessions)

    @asynccontextmanager
    async def next_one(_app: App) -> AsyncIterator[Session]:
        session = left.pop(0)
        if not left:
            await api.write_log("default/a", b"two\n")
            await api.change("default/a", **SUCCESS)
        yield session

    monkeypatch.setattr(looking, "sight", next_one)
    return []


async def test_a_log_goes_on_where_it_stopped_when_the_engine_leaves(
    app: App, api: FakeEngineApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = reach(monkeypatch, [Session(api=api), Session(api=api), Session(api=api, is_idle=True)], api)
    await api.write_log("default/a", b"one\n")

    read = [data async for data in looking.log(app, "default/a", None, notes.append)]

    assert b"".join(read) == b"one\ntwo\n"
    assert notes == []


async def test_a_watch_goes_on_with_the_next_engine(
    app: App, api: FakeEngineApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = reach(monkeypatch, [Session(api=api), Session(api=api, is_idle=True)], api)

    seen = [view.phase.title async for view in looking.views(app, "default/a", notes.append)]

    assert seen == ["Running", "Success"]


async def test_who_looks_where_no_engine_works_is_told_once(
    app: App, api: FakeEngineApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = reach(monkeypatch, [Session(api=api, is_idle=True)] * 3, api)

    assert [view.phase.title async for view in looking.views(app, "default/a", notes.append)] == ["Running", "Success"]

    assert len(notes) == 1
    assert "airscrew run --resume" in notes[0]


async def test_a_server_that_was_named_and_goes_away_is_an_error(
    app: App, api: FakeEngineApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.reach["server"] = "127.0.0.1:1"
    notes = reach(monkeypatch, [Session(api=api), Session(api=api)], api)

    with pytest.raises(ApiError, match="shutting down"):
        _ = [view async for view in looking.views(app, "default/a", notes.append)]


async def test_a_look_waits_for_an_engine_that_just_starts_or_stops(app: App, opened: Opened) -> None:
    opened.busy_views = [StoreBusyError("held"), StoreBusyError("held")]

    async with sight(app) as session:
        assert session.is_idle

    assert len(opened.views) == 1
