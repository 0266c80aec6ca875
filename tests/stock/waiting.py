"""
Waiting for what happens at a vendor or is told of a job there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from airscrew.engine.testing.attempt import Attempt

LIMIT = 60.0
RAISES = (
    "the connector raises at it, so that it looks like an outage: told as the reason, and the job is looked at again"
)
"""What the table says of many cases, and ``reason_with`` shows."""


async def until(condition: Callable[[], object], why: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, why
        await asyncio.sleep(0.05)


async def reason_with(attempt: Attempt[Any], words: str) -> str:
    """Check until the reason has these words."""
    end = time.monotonic() + LIMIT
    while words not in (status := await attempt.check()).reason:
        assert not status.phase.is_terminal, status.reason
        assert time.monotonic() < end, status.reason
        await attempt.pause(0.1)
    return status.reason
