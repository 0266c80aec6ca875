"""
What an engine does beside its loop: the anchor of its time, what is kept of what is over, how far it has begun.

Guarantees: the first two are the leader's alone; a store that is away stops none of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airscrew.engine.config import EngineSettings
from airscrew.engine.core import Core
from airscrew.engine.timebase import Anchor, LinuxBootClock, write_anchor
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


async def tell_what_is_left(core: Core) -> None:
    """Say now and then how many of those that were found unfinished still wait for their first turn."""
    found = core.controller.ready
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        left = core.controller.ready
        if left <= found * TAKEN_UP_SHARE:
            return
        progress.info("taking up what is unfinished", extra={"left": left, "of": found})


async def keep_anchor(core: Core, store: Store) -> None:
    """Write down now and then how the engine's time stands to the machine's, for after a restart."""
    boot = LinuxBootClock()
    while True:
        await asyncio.sleep(ANCHOR_SECONDS)
        if not core.leadership.is_held:
            continue
        with suppress(StoreError):
            anchor = Anchor(time=core.clock.now(), boot_id=boot.boot_id(), uptime=boot.uptime())
            await write_anchor(store, anchor)


async def keep_retention(core: Core, settings: EngineSettings) -> None:
    """Prune now if nobody did for a while: a home that only short runs use is kept small too."""
    age, stamp = settings.retention.finished_age, settings.home_path / "pruned"
    pause = min(max(age / 4, RETENTION_LEAST_SECONDS), RETENTION_SECONDS)
    while age > 0:
        is_due = not stamp.exists() or not 0 <= time.time() - stamp.stat().st_mtime < pause
        if is_due and core.leadership.is_held:
            with suppress(StoreError):
                await core.api.pruner.collect(ended_before=core.clock.now() - age, keep=settings.retention.keep)
                stamp.touch()
        await asyncio.sleep(pause)
