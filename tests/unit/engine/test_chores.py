"""
What an engine does beside its loop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.whole_engine import NeverBooted
from typing_extensions import override

from airscrew.engine.chores import FileStamp, Stamp, doing_chores
from airscrew.engine.clock import LoopClock
from airscrew.engine.config import Retention
from airscrew.engine.core import Core
from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.memory import MemoryStore

pytestmark = pytest.mark.virtual_time
HOUR = 3600.0


@dataclass
class Memory(Stamp):
    """A stamp that a test has set."""

    since: float | None = None
    renewed: int = 0

    @override
    def age(self) -> float | None:
        return self.since

    @override
    def renew(self) -> None:
        self.renewed += 1


@dataclass
class Pruner:
    """Takes note of what it was asked."""

    is_away: bool = False
    asked: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    async def collect(self, *, ended_before: float, keep: int) -> int:
        self.asked.append((ended_before, keep))
        if self.is_away:
            raise StoreUnavailableError("away, on purpose")
        return 1


async def prune_for(seconds: float, stamp: Stamp, pruner: Pruner, *, leads: bool = True, age: float = 4 * HOUR) -> None:
    engine = SimpleNamespace(
        leadership=SimpleNamespace(is_held=leads),
        clock=LoopClock(),
        api=SimpleNamespace(pruner=pruner),
        controller=SimpleNamespace(ready=0),
    )
    retention, core = Retention(finished_age=age, keep=7), cast("Core", cast("Any", engine))
    async with doing_chores(core, MemoryStore(), retention, stamp=stamp, boot=NeverBooted()):
        await elapse(seconds)


class TestRetention:
    async def test_is_seen_to_at_once_and_then_once_an_hour(self) -> None:
        stamp, pruner = Memory(), Pruner()
        await prune_for(2 * HOUR + 1, stamp, pruner)

        assert [keep for _, keep in pruner.asked] == [7, 7, 7]
        first, *_, last = [before for before, _ in pruner.asked]
        assert last - first == pytest.approx(2 * HOUR)
        assert stamp.renewed == 3

    @pytest.mark.parametrize(("since", "times"), [(None, 1), (HOUR + 1, 1), (HOUR - 1, 0), (-1.0, 1)])
    async def test_is_due_when_nobody_did_for_an_hour_or_the_clock_went_back(
        self, since: float | None, times: int
    ) -> None:
        pruner = Pruner()
        await prune_for(1, Memory(since), pruner)

        assert len(pruner.asked) == times

    async def test_of_minutes_is_looked_at_once_a_minute(self) -> None:
        pruner = Pruner()
        await prune_for(121, Memory(), pruner, age=30.0)

        assert len(pruner.asked) == 3

    async def test_is_the_leaders_and_waits_for_a_store_that_is_away(self) -> None:
        stamp, follower, troubled = Memory(), Pruner(), Pruner(is_away=True)
        await prune_for(HOUR + 1, stamp, follower, leads=False)
        await prune_for(HOUR + 1, stamp, troubled)

        assert follower.asked == []
        assert len(troubled.asked) == 2
        assert stamp.renewed == 0

    async def test_for_ever_forgets_nothing(self) -> None:
        pruner = Pruner()
        await prune_for(HOUR, Memory(), pruner, age=0.0)

        assert pruner.asked == []


def test_a_stamp_is_as_old_as_its_file(tmp_path: Path) -> None:
    stamp = FileStamp(tmp_path / "pruned", lambda: 5000.0)
    assert stamp.age() is None

    stamp.renew()
    os.utime(stamp.path, (4000.0, 4000.0))

    assert stamp.age() == 1000.0
