"""
The engine's time: one time base that never runs backwards, within a life and across lives.

Guarantees:

1. Within a life it follows the monotonic clock: stepping the wall clock changes nothing, no deadline fires early and
   none later than its length.
2. On the same boot of a machine it goes on exactly across lives: the anchor in the store names the boot, and the
   boot clock says how long the engine was away.
3. On another boot it goes on at the wall clock, but never before the last time that was recorded.

So durations are right whatever happens to the wall clock; what people read is the wall time as it was at the anchor.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import msgspec
from typing_extensions import override

from airscrew.engine.clock import Clock
from airscrew.state import keys
from airscrew.state.store import Compare, Put, Store


class BootClock(Protocol):
    """Tells how long the machine is up, suspended or not."""

    def boot_id(self) -> str:
        """Return what names this boot; empty when nothing does."""
        ...

    def uptime(self) -> float:
        """Return seconds since the boot."""
        ...


class LinuxBootClock(BootClock):
    """Linux's boot id and CLOCK_BOOTTIME."""

    @override
    def boot_id(self) -> str:
        """Return the kernel's random id of this boot."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    @override
    def uptime(self) -> float:
        """Return seconds since the boot, suspension included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """
    A point at which engine time and boot clock were read together.

    Attributes:
        time: The engine's time, Unix seconds.
        boot_id: The boot.
        uptime: Seconds since that boot.
    """

    time: float
    boot_id: str
    uptime: float


class EngineClock(Clock):
    """A clock whose wall time is the engine's."""

    def __init__(self, clock: Clock, start: float) -> None:
        self._clock = clock
        self._offset = start - clock.monotonic()

    @override
    def now(self) -> float:
        """Return the engine's time in Unix seconds."""
        return self._clock.monotonic() + self._offset

    @override
    def monotonic(self) -> float:
        """Return the underlying monotonic time."""
        return self._clock.monotonic()

    def advance_to(self, time: float) -> None:
        """Go on at a later time that another engine of the store has; an earlier one changes nothing."""
        self._offset = max(self._offset, time - self._clock.monotonic())


def resume_time(anchor: Anchor | None, *, wall: float, boot_id: str, uptime: float) -> float:
    """Decide where the engine's time goes on."""
    if anchor is None:
        return wall
    if anchor.boot_id and anchor.boot_id == boot_id and uptime >= anchor.uptime:
        return anchor.time + (uptime - anchor.uptime)
    return max(wall, anchor.time)


async def open_timebase(store: Store, clock: Clock, boot: BootClock) -> EngineClock:
    """
    Go on with the store's time base, and write the new anchor.

    Called once in a life, by the one process that is the store's engine.
    """
    found = await store.get(keys.TIME)
    anchor = None if found is None else msgspec.json.decode(found.value, type=Anchor)
    boot_id, uptime = boot.boot_id(), boot.uptime()
    start = resume_time(anchor, wall=clock.now(), boot_id=boot_id, uptime=uptime)
    resumed = EngineClock(clock, start)  # it goes while the anchor is written: that may take a while
    await write_anchor(store, Anchor(time=start, boot_id=boot_id, uptime=uptime))
    return resumed


async def write_anchor(store: Store, anchor: Anchor) -> None:
    """Write an anchor: at the begin of a life, now and then, and at its end."""
    await store.txn([], [Put(keys.TIME, msgspec.json.encode(anchor))])


async def next_life(store: Store) -> int:
    """Count a new life of the engine and return its number: it names what this life writes."""
    while True:
        found = await store.get(keys.LIFE)
        life = 1 if found is None else int(found.value) + 1
        revision = 0 if found is None else found.mod_revision
        result = await store.txn([Compare(keys.LIFE, revision)], [Put(keys.LIFE, str(life).encode())])
        if result.succeeded:
            return life
