"""
What an engine does beside its loop: the anchor of its time, what is kept of what is over, how far it has begun.

Guarantees: the first two are the leader's alone; a store that is away stops none of them; none of them survives
``doing_chores``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

from airscrew.engine.config import Retention
from airscrew.engine.core import Core
from airscrew.engine.timebase import Anchor, BootClock, write_anchor
from airscrew.state.errors import StoreError

if TYPE_CHECKING:
    from airscrew.state.store import Store

progress = logging.getLogger("airscrew.progress")
progress.setLevel(logging.INFO)  # an operator who waits is told, whatever the log's level is

ANCHOR_SECONDS = 60.0
PROGRESS_SECONDS = 2.0
TAKEN_UP_SHARE = 0.01
"""So few of what was found at the start are told from what has come since no more."""

RETENTION_SECONDS = 3600.0
RETENTION_LEAST_SECONDS = 60.0
"""What is kept for minutes only is looked for more often than once an hour, and no more often than this."""


class Stamp(Protocol):
    """Remembers when something was done last, also over restarts."""

    def age(self) -> float | None:
        """Return how many seconds ago it was done; None when it never was, negative when the clock went back."""
        ...

    def renew(self) -> None:
        """It is done now."""
        ...


@dataclass(frozen=True, slots=True)
class FileStamp(Stamp):
    """
    The time of a file.

    Attributes:
        path: The file, which need not be there.
        wall: The clock that files have their time from, Unix seconds.
    """

    path: Path
    wall: Callable[[], float]

    @override
    def age(self) -> float | None:
        return self.wall() - self.path.stat().st_mtime if self.path.exists() else None

    @override
    def renew(self) -> None:
        self.path.touch()


@asynccontextmanager
async def doing_chores(
    core: Core, store: Store, retention: Retention, *, stamp: Stamp, boot: BootClock
) -> AsyncIterator[asyncio.TaskGroup]:
    """
    Do the chores as long as the engine works.

    Args:
        core: The engine.
        store: Its store.
        retention: What is kept of what is over.
        stamp: When that was last seen to.
        boot: The machine's own time.

    Yields:
        The group that they are tasks of: what else is done beside the loop may join it, and is to end by itself.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_keep_anchor(core, store, boot), name="anchor"),
            group.create_task(_keep_retention(core, retention, stamp), name="retention"),
            group.create_task(_tell_what_is_left(core), name="progress"),
        ]
        try:
            yield group
        finally:
            for task in tasks:
                task.cancel()


async def _tell_what_is_left(core: Core) -> None:
    """Say now and then how many of those that were found unfinished still wait for their first turn."""
    found = core.controller.ready
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        left = core.controller.ready
        if left <= found * TAKEN_UP_SHARE:
            return
        progress.info("taking up what is unfinished", extra={"left": left, "of": found})


async def _keep_anchor(core: Core, store: Store, boot: BootClock) -> None:
    """Write down now and then how the engine's time stands to the machine's, for after a restart."""
    while True:
        await asyncio.sleep(ANCHOR_SECONDS)
        if not core.leadership.is_held:
            continue
        with suppress(StoreError):
            anchor = Anchor(time=core.clock.now(), boot_id=boot.boot_id(), uptime=boot.uptime())
            await write_anchor(store, anchor)


async def _keep_retention(core: Core, retention: Retention, stamp: Stamp) -> None:
    """Prune now if nobody did for a while: a home that only short runs use is kept small too."""
    age = retention.finished_age
    pause = min(max(age / 4, RETENTION_LEAST_SECONDS), RETENTION_SECONDS)
    while age > 0:
        since = stamp.age()
        is_due = since is None or not 0 <= since < pause
        if is_due and core.leadership.is_held:
            with suppress(StoreError):
                await core.api.pruner.collect(ended_before=core.clock.now() - age, keep=retention.keep)
                stamp.renew()
        await asyncio.sleep(pause)
