"""
One sync call: what it was asked, and what came of it.

Guarantee: whatever the sync function does (raise anything, answer nonsense, be cancelled inside, run past its
deadline), the call ends in answers or in one error, and only a cancellation from outside and what must end
the process passes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Generic

from airscrew.engine.cache.items import Batch, ItemId, ItemT, SyncFunc, SyncResult
from airscrew.engine.cache.schedule import Entry
from airscrew.engine.errors import EngineError


class SyncError(EngineError):
    """A sync function did not keep its contract."""


class Flight(Generic[ItemT]):
    """
    A batch on its way.

    Attributes:
        entries: Its items, each with the version that was asked for.
        batch: What the sync function is given.
        started_at: When it began.
    """

    __slots__ = ("batch", "entries", "started_at")

    def __init__(self, entries: Sequence[Entry[ItemT]], started_at: float) -> None:
        self.entries = [(entry, entry.version) for entry in entries]
        self.batch: Batch[ItemT] = [entry.snapshot() for entry in entries]
        self.started_at = started_at

    async def ask(
        self, sync: SyncFunc[ItemT], deadline_seconds: float
    ) -> Mapping[ItemId, SyncResult[ItemT]] | BaseException:
        """Make the call; return its answers, or the error that it ended in."""
        try:
            return await self._ask(sync, deadline_seconds)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # something inside the sync function was cancelled, not this call
        except BaseException as error:  # noqa: BLE001 - a wall: around a cache sync batch
            return error

    async def _ask(self, sync: SyncFunc[ItemT], deadline_seconds: float) -> Mapping[ItemId, SyncResult[ItemT]]:
        deadline = asyncio.timeout(deadline_seconds)
        try:
            async with deadline:
                answers = await sync(self.batch)
        except TimeoutError:
            if deadline.expired():
                raise SyncError(f"the sync call did not end within {deadline_seconds:g} s") from None
            raise
        return {answer.id: answer for answer in answers}
