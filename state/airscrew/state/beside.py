"""
Loops beside a block: they begin with it and are cancelled at its end.

An error of the block comes out as it is, and so does one of a loop, which cancels the block: a task group alone would
wrap both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


class Beside:
    """What runs beside a block."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run something until it is done or the block ends."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def running_beside(**loops: Coroutine[object, object, None]) -> AsyncIterator[Beside]:
    """Run loops, by their names, until the block ends; more of them may be spawned."""
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            beside = Beside(group)
            for name, loop in loops.items():
                beside.spawn(loop, name)
            try:
                yield beside
            except Exception as error:  # noqa: BLE001  # raised again below, as it is
                failure = error
            finally:
                beside.cancel()
    except ExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from failure
        raise
    if failure is not None:
        raise failure
