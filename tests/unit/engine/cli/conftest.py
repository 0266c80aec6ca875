"""The command line over a fake engine: what it prints, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.fake_engine import NOW, FakeEngineApi

from airscrew.engine.api.port import EngineApi
from airscrew.engine.cli.app import App
from airscrew.engine.cli.root import run
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.vitals import Answer, Instruments

AN_HOUR_LATER = NOW + 3600.0


@dataclass
class Opened:
    """What was opened, in order."""

    engines: list[tuple[EngineSettings, WorkScope]] = field(default_factory=list)
    views: list[EngineSettings] = field(default_factory=list)
    busy: list[Exception] = field(default_factory=list)
    busy_views: list[Exception] = field(default_factory=list)
    instruments: Instruments | None = None
    at_the_end: Answer | None = None


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def fake() -> FakeEngineApi:
    return FakeEngineApi()


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def app(fake: FakeEngineApi, opened: Opened, tmp_path: Path) -> App:
    @asynccontextmanager
    async def open_engine(
        settings: EngineSettings, *, work: WorkScope, serve_socket: bool = True, instruments: Instruments | None = None
    ) -> AsyncIterator[EngineApi]:
        assert serve_socket
        opened.instruments = instruments
        if opened.busy:
            raise opened.busy.pop(0)
        opened.engines.append((settings, work))
        yield fake
        opened.at_the_end = instruments.vitals.ready() if instruments else None

    @asynccontextmanager
    async def open_viewer(settings: EngineSettings) -> AsyncIterator[EngineApi]:
        if opened.busy_views:
            raise opened.busy_views.pop(0)
        if opened.views:
            await fake.step()
        opened.views.append(settings)
        yield fake

    environment = {"HOME": str(tmp_path), "AIRSCREW_HOME": str(tmp_path / "home")}
    return App(open_engine=open_engine, open_viewer=open_viewer, environment=environment, now=lambda: AN_HOUR_LATER)


@pytest.fixture
def airscrew(app: App, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def invoke(*arguments: object) -> Result:
        code = run([str(argument) for argument in arguments], app)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return invoke
