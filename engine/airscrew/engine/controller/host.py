"""
Where an executor's code runs: on the engine's loop, in a thread, or on a loop of its own.

A plain function runs in a thread; a coroutine on the engine's loop, and on one of its own once it blocked that.
Guarantees: a call ends within its timeout, however its code behaves, unless it blocks the engine's loop itself;
whatever it raises, ``SystemExit`` included, comes out as an ``Exception``, unless the engine itself cancelled the
call. After its first offence an executor is initialised anew on a thread and loop of its own, and stays there; all its
executions are looked at then, for what it followed is forgotten.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from typing_extensions import TypeIs

from airscrew.engine.controller.isolation import LoopThread, from_afar
from airscrew.engine.controller.watchdog import Offence, Timed, Watchdog
from airscrew.engine.errors import plugin_wall
from airscrew.engine.executor import AnyContext, AnyCoroutine, AnyExecutor, Gone, Setup, StillThere, TaskContext

log = logging.getLogger("airscrew.host")

KILL_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between the kills of a job that no record will tell of."""

MOVE_SECONDS = 30.0
"""How long the calls under way may take before an offender is moved."""


@dataclass(slots=True)
class Host:
    """
    Runs one executor's calls.

    Attributes:
        executor: The executor.
        threads: For its plain functions.
        watchdog: Times what it does on the engine's loop; None to time nothing.
        setup: What it is initialised with when it is moved.
        on_moved: Called once it runs on a loop of its own, where it knows of no job yet.
        offence: The last time that it blocked the loop.
    """

    executor: AnyExecutor
    threads: ThreadPoolExecutor
    watchdog: Watchdog | None = None
    setup: Setup | None = None
    on_moved: Callable[[], None] = field(default=lambda: None)
    offence: Offence | None = None
    _own: LoopThread | None = None
    _move: asyncio.Lock = field(default_factory=asyncio.Lock)
    _calls: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_isolated(self) -> bool:
        """Whether it runs on a loop of its own."""
        return self._own is not None

    async def call(self, method: str, *arguments: object) -> object:
        """
        Call a method of the executor and return what it returns.

        Raises:
            TimeoutError: It took longer than the executor declares.
            Exception: Whatever it raised.
        """
        seconds = self.executor.start_timeout if method == "start_task" else self.executor.call_timeout
        if self.offence is not None and self._own is None:
            await self._isolate()
        function = getattr(self.executor, method)
        what = f"{method} of {self.executor.id}"
        if self._own is None and inspect.iscoroutinefunction(function):
            return await self._on_the_loop(function(*arguments), what, seconds)
        return await _within(seconds, what, self._elsewhere(function, what, arguments))

    async def kill_until_gone(
        self, context: AnyContext, state: object, reason: str, may_go_on: Callable[[], bool] = lambda: True
    ) -> bool:
        """
        Kill a job that no record will ever tell of; after a while give up and say so: its outcome is unknown then.

        Args:
            context: Of the attempt.
            state: The job's.
            reason: For people.
            may_go_on: Asked before each call: it may be another engine's by now.
        """
        for pause in KILL_PAUSES:
            if not may_go_on():
                return False
            try:
                answer = await self.call("kill_task", context, state, reason)
            except Exception:  # noqa: BLE001 - the wall around an executor's call: it is called again
                answer = None
            if isinstance(answer, Gone):
                return True
            state = cast("StillThere[object]", answer).state if isinstance(answer, StillThere) else state
            await asyncio.sleep(pause)
        return False

    def close(self) -> None:
        """End its threads, and the loop of its own when it has one; a call that hangs is left behind."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self._own is not None:
            self._own.close()

    async def _on_the_loop(self, coroutine: AnyCoroutine[object], what: str, seconds: float) -> object:
        """Run a coroutine on the engine's loop: a timer is set only for one that waits."""
        timed, began = Timed(self.watchdog, self.executor.id, coroutine), asyncio.get_running_loop().time()
        self._calls += 1
        try:
            with plugin_wall(what):
                is_over = timed.begin()
            return timed.answer if is_over else await _within(seconds, what, timed, began)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _elsewhere(self, function: Any, what: str, arguments: tuple[object, ...]) -> object:  # noqa: ANN401 - a stranger's method
        """Run a plain function in a thread, and a coroutine on the loop of its own that the executor was moved to."""
        home = asyncio.get_running_loop()
        if self._own is None or not inspect.iscoroutinefunction(function):
            answer = await home.run_in_executor(self.threads, partial(function, *arguments))
            return await answer if inspect.isawaitable(answer) else answer
        moved = [_moved(one, home) for one in arguments]
        return await asyncio.wrap_future(self._own.submit(_contained(what, function(*moved))))

    async def _isolate(self) -> None:
        async with self._move:
            if self._own is not None:
                return
            await self._wait_until_idle()
            own = LoopThread(f"executor-{self.executor.id}")
            try:
                await asyncio.wrap_future(own.submit(_contained("initialize", self._initialise())))
            except Exception as error:  # noqa: BLE001 - the wall around an executor's call: it stays where it was
                own.close()
                self.offence = None
                fields = {"executor": self.executor.id, "error": f"{type(error).__name__}: {error}"}
                log.warning("an executor could not be moved to a loop of its own", extra=fields)
                return
            self._own = own
            log.warning("an executor was moved to a loop of its own", extra={"executor": self.executor.id})
            self.on_moved()

    async def _initialise(self) -> None:
        if self.setup is not None:
            made = self.executor.initialize(self.setup)
            if inspect.isawaitable(made):
                await made

    async def _wait_until_idle(self) -> None:
        """Let the calls under way return: they use what is made anew."""
        try:
            async with asyncio.timeout(MOVE_SECONDS):
                while self._calls:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("calls under way did not return", extra={"executor": self.executor.id, "calls": self._calls})


async def _within(seconds: float, what: str, answer: Awaitable[object], began: float | None = None) -> object:
    """
    Wait for an executor's answer as long as it may take, counted from when its call began.

    Raises:
        TimeoutError: It took longer.
        Exception: Whatever the call raised.
    """
    limit = asyncio.timeout(seconds) if began is None else asyncio.timeout_at(began + seconds)
    try:
        with plugin_wall(what):
            async with limit:
                return await answer
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"{what} gave no answer in {seconds:g} s") from error
        raise


async def _contained(what: str, coroutine: AnyCoroutine[object]) -> object:
    """Keep what would end the loop that a coroutine runs on from reaching it."""
    with plugin_wall(what):
        return await coroutine


def _moved(argument: object, home: asyncio.AbstractEventLoop) -> object:
    """Make a context usable on another loop; anything else is as it is."""
    return from_afar(argument, home) if is_context(argument) else argument


def is_context(argument: object) -> TypeIs[AnyContext]:
    """Tell whether an argument is a context."""
    return isinstance(argument, TaskContext)
