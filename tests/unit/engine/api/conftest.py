"""One engine, held three ways: itself, through a Unix socket, and through a port with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeEngineApi

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress, UnixAddress
from airscrew.engine.api.client import connect
from airscrew.engine.api.port import EngineApi
from airscrew.engine.api.server import serving

INFO = ServerInfo(version="1.2.3", pid=42, started_at=7.0, home="/home")


@pytest.fixture
def fake() -> FakeEngineApi:
    return FakeEngineApi()


@pytest.fixture(params=["direct", "unix", "port"])
async def api(request: pytest.FixtureRequest, fake: FakeEngineApi, tmp_path: Path) -> AsyncIterator[EngineApi]:
    if request.param == "direct":
        yield fake
        return
    address = UnixAddress(tmp_path / "run" / "e.sock") if request.param == "unix" else TcpAddress("127.0.0.1", 0)
    token = tmp_path / "token"
    async with serving(fake, address, INFO, token_file=token) as bound, connect(bound, token) as client:
        yield client
