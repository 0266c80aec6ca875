"""``--detach``: which engine is started, and what is said when it does not come up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support.fake_engine import FakeEngineApi

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import socket_beside
from airscrew.engine.api.model import ApiError
from airscrew.engine.api.server import serving
from airscrew.engine.cli import daemon
from airscrew.engine.cli.app import App

INFO = ServerInfo(version="1", pid=2, started_at=3.0)


def test_the_engine_in_the_background_is_this_one_with_the_same_settings(app: App, tmp_path: Path) -> None:
    app.reach["config"] = str(tmp_path / "c.yaml")
    settings = replace(app_settings(app, tmp_path), process_executor=True)

    assert daemon.command(app, settings) == [
        sys.executable, "-m", "airscrew.engine.cli", "--home", str(tmp_path / "home"),
        "--config", str(tmp_path / "c.yaml"), "serve", "--until-idle", "--process",
    ]  # fmt: skip


def app_settings(app: App, tmp_path: Path):
    (tmp_path / "c.yaml").write_text("")
    return app.settings()


async def test_an_engine_that_answers_is_enough(app: App, fake: FakeEngineApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "command", lambda app, settings: ["/bin/false"])

    async with serving(fake, socket_beside(app.settings().store_file), INFO):
        await daemon.ensure_engine(app, app.settings())

    assert not (app.settings().home_path / "serve.log").exists()


async def test_an_engine_that_ends_at_once_is_reported_with_its_last_words(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; sys.exit('airscrew: error: the disk is on fire')"
    monkeypatch.setattr(daemon, "command", lambda app, settings: [sys.executable, "-c", program])

    with pytest.raises(ApiError, match=r"does not answer: the disk is on fire \(.*serve\.log\)"):
        await daemon.ensure_engine(app, app.settings())
