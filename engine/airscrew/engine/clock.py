"""
The time, as it is passed to whatever needs it.

Guarantees:

1. ``monotonic()`` never goes back within the life of a process; durations, due times and deadlines are
   counted by it.
2. ``now()`` is the wall clock: it may jump either way at any moment, and is only for what people or other
   processes read.
3. A clock only tells the time. Waiting is done with ``asyncio.sleep`` and ``asyncio.timeout``, so that the
   running loop governs it; under a virtual-time loop (``airscrew.engine.testing.virtual_time``) a
   ``LoopClock`` and all waiting agree.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    """Tells the wall time and the monotonic time."""

    def now(self) -> float:
        """Return the wall time in seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...


class SystemClock(Clock):
    """The machine's clocks."""

    @override
    def now(self) -> float:
        return time.time()

    @override
    def monotonic(self) -> float:
        return time.monotonic()


class LoopClock(Clock):
    """
    The running loop's time, virtual when the loop's is.

    ``monotonic()`` is the loop's ``time()``; ``now()`` is that plus the epoch and the wall offset. Both need
    a running loop.

    Attributes:
        epoch: The wall time at the loop's time 0.
        wall_offset: Added to the wall time alone; set it to step the wall clock under a test.
    """

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self.epoch = epoch
        self.wall_offset = 0.0

    @override
    def now(self) -> float:
        return self.epoch + self.wall_offset + asyncio.get_running_loop().time()

    @override
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
