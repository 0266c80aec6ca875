"""
What an executor has opened, and the loop that it was opened on: there it is closed again.

An executor may be moved to a loop of its own, and is then initialised anew there.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack


class Opened:
    """Holds what is open; nothing at first."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None

    def hold(self, stack: AsyncExitStack) -> None:
        """Take over what a stack holds, which was opened on the running loop."""
        self._stack, self._loop = stack.pop_all(), asyncio.get_running_loop()

    async def close(self) -> None:
        """Close it, on the loop that it was opened on."""
        stack, loop = self._stack, self._loop
        self._stack, self._loop = AsyncExitStack(), None
        if loop is None or loop is asyncio.get_running_loop():
            await stack.aclose()
        elif not loop.is_closed():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stack.aclose(), loop))
