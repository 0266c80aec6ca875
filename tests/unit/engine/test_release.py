"""Letting go of an installation: in whose absence, in which order, and what is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from tests.support.scripted import Scripted
from typing_extensions import override

from airscrew.engine.clock import SystemClock
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.executor import Released, Setup
from airscrew.engine.manager import open_engine
from airscrew.engine.registry import Registry
from airscrew.engine.release import Gone, Letting, StillHeldError, release
from airscrew.state import keys
from airscrew.state.errors import StoreBusyError
from airscrew.state.lock import EngineLock
from airscrew.state.urls import open_store

KEEPING = Letting()


class Holding(Scripted):
    """Holds three things of an installation."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__()
        self.problem = problem
        self.asked: list[tuple[str, bool]] = []
        self.installation = ""

    @override
    def initialize(self, setup: Setup) -> None:
        self.installation = setup.installation

    @override
    def release(self, *, delete: bool) -> Released:
        self.asked.append((self.installation, delete))
        if self.problem is not None:
            raise self.problem
        return Released(objects=3, deleted=3 if delete else 0)


async def let_go(home: Path, executor: Holding, letting: Letting = KEEPING) -> Gone:
    registry = Registry()
    registry.register(executor)
    settings = EngineSettings(home=str(home))
    return await release(settings, letting, clock=SystemClock(), random=Random(1), registry=registry)


async def stored(home: Path) -> dict[str, bytes]:
    settings = EngineSettings(home=str(home))
    with EngineLock(settings.store_file) as lock:
        async with open_store(settings.store_url, lock=lock) as store:
            return {item.key: item.value for item in (await store.range("!", "~")).items}


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """An engine was here."""
    settings = EngineSettings(home=str(tmp_path / "home"))
    async with open_engine(settings, work=WorkScope.only(), serve_socket=False):
        pass
    return settings.home_path


async def test_each_executor_lets_go_of_what_carries_the_installation(home: Path) -> None:
    executor = Holding()
    installation = (await stored(home))[keys.INSTALLATION].decode()

    gone = await let_go(home, executor)

    assert gone == Gone(executors={"scripted": Released(objects=3)})
    assert executor.asked == [(installation, False)]


async def test_jobs_are_deleted_when_that_is_wanted(home: Path) -> None:
    gone = await let_go(home, Holding(), Letting(delete=True))

    assert gone.executors == {"scripted": Released(objects=3, deleted=3)}


async def test_the_state_is_kept_unless_it_is_to_be_forgotten(home: Path) -> None:
    before = await stored(home)

    await let_go(home, Holding())
    assert await stored(home) == before

    assert (await let_go(home, Holding(), Letting(forget=True))).forgot
    assert await stored(home) == {}


async def test_nothing_is_forgotten_while_something_is_held(home: Path) -> None:
    before = await stored(home)

    with pytest.raises(StillHeldError, match="scripted still holds something: no rights"):
        await let_go(home, Holding(OSError("no rights")), Letting(forget=True))

    assert await stored(home) == before


async def test_an_engine_at_work_is_not_disturbed(home: Path) -> None:
    executor = Holding()
    async with open_engine(EngineSettings(home=str(home)), work=WorkScope.everything(), serve_socket=False):
        with pytest.raises(StoreBusyError):
            await let_go(home, executor)

    assert executor.asked == []


async def test_an_engine_that_ends_is_waited_for(home: Path) -> None:
    executor = Holding()
    engine = open_engine(EngineSettings(home=str(home)), work=WorkScope.everything(), serve_socket=False)
    async with asyncio.TaskGroup() as group, engine:
        waits = group.create_task(let_go(home, executor, Letting(wait_seconds=60.0)))
        await asyncio.sleep(0)
        assert executor.asked == []

    assert waits.result().executors == {"scripted": Released(objects=3)}


async def test_a_store_that_never_was_holds_nothing(tmp_path: Path) -> None:
    assert await let_go(tmp_path / "nowhere", Holding()) == Gone()
    assert not (tmp_path / "nowhere").exists()
