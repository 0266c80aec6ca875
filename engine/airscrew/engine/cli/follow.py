"""
Following an execution to its end: its phases, its log, and what the keyboard says.

Ctrl-C asks that it is killed and waits until it is gone; a second one leaves it running. SIGTERM and SIGHUP leave it
running at once. Nobody is told that it is dead before the engine has said so.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airscrew.engine.api.model import ApiError
from airscrew.engine.cli.exits import leaf

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.cli.progress import Reporter

LOG_SECONDS = 2.0
"""How long the rest of a log is waited for once its execution is over."""

TICK_SECONDS = 0.1

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How following an execution ended.

    Attributes:
        view: The last view of it.
        killed: Whether we asked for its end.
        left_by: The signal for which it was left running; None when it is over.
    """

    view: ExecutionView
    killed: bool = False
    left_by: signal.Signals | None = None


@asynccontextmanager
async def signals() -> AsyncGenerator[asyncio.Queue[signal.Signals]]:
    """Take Ctrl-C, SIGTERM and SIGHUP as long as the context is open; only the main thread can."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[signal.Signals]()
    taken: list[signal.Signals] = []
    try:
        for number in _SIGNALS:
            with suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, queue.put_nowait, number)
                taken.append(number)
        yield queue
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


async def follow(
    api: EngineApi,
    execution: str,
    reporter: Reporter,
    keyboard: asyncio.Queue[signal.Signals],
    *,
    with_logs: bool = True,
    told: dict[int, int] | None = None,
) -> Outcome:
    """
    Follow an execution until it is over, left, or quarantined: that waits for people, and so must not we.

    Args:
        api: The engine that has it.
        execution: ``namespace/name``.
        reporter: Told how it goes.
        keyboard: What the keyboard says.
        with_logs: Whether the reporter is told its log too.
        told: How many bytes of each attempt's log were told already; kept up to date, for the next engine.

    Raises:
        ApiError: The engine refused, or is gone (``unavailable``): the execution may be followed elsewhere.
    """
    try:
        follower = _Follower(api, execution, reporter, {} if told is None else told)
        return await follower.follow(keyboard, with_logs=with_logs)
    except BaseExceptionGroup as group:
        raise leaf(group) from None


class _Follower:
    def __init__(self, api: EngineApi, execution: str, reporter: Reporter, told: dict[int, int]) -> None:
        self._api = api
        self._execution = execution
        self._reporter = reporter
        self._told = told
        self._view: ExecutionView | None = None
        self._moved = asyncio.Event()
        self._killed = False

    async def follow(self, keyboard: asyncio.Queue[signal.Signals], *, with_logs: bool) -> Outcome:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch())
            obeyer = group.create_task(self._obey(keyboard, group))
            others = [group.create_task(self._tick())]
            tail = group.create_task(self._tail()) if with_logs else None
            await asyncio.wait({watcher, obeyer}, return_when=asyncio.FIRST_COMPLETED)
            is_over = self._view is not None and self._view.is_over
            if tail is not None and is_over and watcher.done() and watcher.exception() is None:
                await asyncio.wait({tail}, timeout=LOG_SECONDS)
            left_by = obeyer.result() if obeyer.done() and not obeyer.cancelled() else None
            for task in (watcher, obeyer, tail, *others):
                if task is not None:
                    task.cancel()
        return await self._outcome(left_by)

    async def _outcome(self, left_by: signal.Signals | None) -> Outcome:
        view = self._view or await self._api.get(self._execution)
        return Outcome(view=view, killed=self._killed, left_by=None if view.is_over else left_by)

    async def _watch(self) -> None:
        async for view in self._api.watch(self._execution):
            self._view = view
            self._reporter.phase(view)
            self._moved.set()
            if view.is_over or (view.quarantined and not self._killed):
                return
        raise ApiError("unavailable", f"the watch of {self._execution} ended before it was over")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._reporter.tick()

    async def _tail(self) -> None:
        """Tell the log of each attempt; an execution without one is none the worse."""
        attempt = 0
        while True:
            with suppress(ApiError):
                await self._tail_attempt(attempt)
            while self._view is None or self._view.attempt <= attempt:
                if self._view is not None and self._view.is_over:
                    return
                self._moved.clear()
                await self._moved.wait()
            attempt += 1

    async def _tail_attempt(self, attempt: int) -> None:
        skip = self._told.setdefault(attempt, 0)
        async for chunk in self._api.logs(self._execution, attempt=attempt, follow=True):
            data = chunk.data[skip:]
            skip -= min(skip, len(chunk.data))
            self._told[attempt] += len(data)
            self._reporter.log(data)

    async def _obey(self, keyboard: asyncio.Queue[signal.Signals], group: asyncio.TaskGroup) -> signal.Signals:
        while True:
            number = await keyboard.get()
            if number is not signal.SIGINT or self._killed:
                return number
            self._killed = True
            self._reporter.note(f"killing {self._execution}; Ctrl-C again leaves it running")
            group.create_task(self._kill())

    async def _kill(self) -> None:
        await self._api.kill(self._execution, "Ctrl-C at the terminal")
