"""
Reaching the engine's loop from any thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def call_inside(loop: asyncio.AbstractEventLoop | None, function: Callable[[T], None], argument: T) -> None:
    """Call a function on a loop: at once when this is its thread, and not at all when it is not there or closed."""
    if loop is None:
        return
    try:
        inside = asyncio.get_running_loop() is loop
    except RuntimeError:
        inside = False
    if inside:
        function(argument)
    else:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function, argument)
