"""What an engine still holds once an execution is over: its end shows before its job is gone and struck off."""

from __future__ import annotations

import asyncio

from airscrew.engine.api.port import EngineApi


async def nothing_is_left(api: EngineApi, seconds: float = 30.0) -> None:
    """Wait until no open ledger entry of a finished execution is left.

    Raises:
        AssertionError: Some are left after so many seconds; it names them.
    """
    left = await api.leaks()
    try:
        async with asyncio.timeout(seconds):
            while left:
                await asyncio.sleep(0.05)
                left = await api.leaks()
    except TimeoutError:
        raise AssertionError(f"left behind for {seconds:.0f} s: {left}") from None
