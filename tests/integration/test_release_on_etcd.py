"""Letting go of an installation on etcd: engines are waited for, and no key of it is left where that is wanted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from tests.support.etcd import Etcd

from airscrew.engine.clock import SystemClock
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.manager import open_engine
from airscrew.engine.release import Gone, Letting, release
from airscrew.state.errors import StoreBusyError
from airscrew.state.urls import open_store


async def let_go(settings: EngineSettings, letting: Letting) -> Gone:
    return await release(settings, letting, clock=SystemClock(), random=Random(1))


async def names(url: str) -> list[str]:
    async with open_store(url) as store:
        return [item.key for item in (await store.range("!", "~")).items]


async def test_no_key_is_left_of_an_installation_that_is_forgotten(etcd: Etcd, tmp_path: Path) -> None:
    ours, theirs = etcd.new_url(), etcd.new_url()
    settings = EngineSettings(home=str(tmp_path / "ours"), store=ours, lease_seconds=3)
    other = EngineSettings(home=str(tmp_path / "theirs"), store=theirs, lease_seconds=3)
    for each in (settings, other):
        async with open_engine(each, work=WorkScope.everything(), serve_socket=False):
            pass
    kept = await names(theirs)

    assert (await let_go(settings, Letting(forget=True))).forgot

    assert await names(ours) == []
    assert await names(theirs) == kept


async def test_members_that_share_the_store_are_waited_for(etcd: Etcd, tmp_path: Path) -> None:
    settings = EngineSettings(home=str(tmp_path / "home"), store=etcd.new_url(), lease_seconds=3)
    engine = open_engine(settings, work=WorkScope.everything(), serve_socket=False)
    async with asyncio.TaskGroup() as group:
        async with engine:
            with pytest.raises(StoreBusyError, match="in use by airscrew engines"):
                await let_go(settings, Letting())
            waits = group.create_task(let_go(settings, Letting(wait_seconds=60.0)))
            await asyncio.sleep(0)
        assert not waits.done()

    assert waits.result() == Gone()
