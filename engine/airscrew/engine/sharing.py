"""
An engine among several: its shards are worked on by the controller, and the leader does the chores of all.

Guarantees: a shard is given away only when its turns have come to their end, and the chores only when they have
stopped; whoever leaves gives the chores away last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from typing_extensions import override

from airscrew.engine.controller.controller import Controller
from airscrew.engine.timebase import EngineClock
from airscrew.state.beside import running_beside
from airscrew.state.members import LEADER, Held


@dataclass(slots=True)
class Leadership:
    """
    Whether this engine does the chores of all, and the chores while it does.

    Attributes:
        chore: Runs until it is cancelled.
        flush: Brings a chore to a good end.
    """

    chore: Callable[[], Coroutine[object, object, None]]
    flush: Callable[[], Awaitable[object]]
    _leads: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_held(self) -> bool:
        """Whether this engine leads."""
        return self._leads.is_set()

    def begin(self) -> None:
        """Lead."""
        self._over.clear()
        self._leads.set()

    def stop(self) -> None:
        """Lead no more, at once."""
        self._leads.clear()
        self._over.set()

    async def give_up(self) -> None:
        """Lead no more, when the chores have come to a good end."""
        if self.is_held:
            await self.flush()
        self.stop()
        await self._idle.wait()

    async def run(self) -> None:
        """Do the chores whenever this engine leads, until cancelled."""
        self._idle.set()
        while True:
            await self._leads.wait()
            self._idle.clear()
            async with running_beside(chore=self.chore()):
                await self._over.wait()
            self._idle.set()


@dataclass(slots=True)
class ShardWork(Held):
    """
    What this engine does with its units.

    Attributes:
        controller: Works on shards.
        leadership: Does the chores.
        clock: The engine's time.
    """

    controller: Controller
    leadership: Leadership
    clock: EngineClock
    is_leaving: bool = False
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def gained(self, unit: str, *, given: bool) -> None:
        del given  # the records say what is unknown, and whoever was at work without knowing leaves word of it
        if unit == LEADER:
            self.leadership.begin()
        else:
            await self.controller.open_shard(int(unit, 16))

    @override
    async def let_go(self, unit: str) -> None:
        if unit != LEADER:
            await self.controller.close_shard(int(unit, 16))
            return
        while self.is_leaving and self.controller.shards.count:
            self._left.clear()
            await self._left.wait()
        await self.leadership.give_up()

    @override
    def lost(self, unit: str) -> None:
        if unit == LEADER:
            self.leadership.stop()
        else:
            self.controller.drop_shard(int(unit, 16))
        self._left.set()

    @override
    def told_time(self, time: float) -> None:
        self.clock.advance_to(time)
