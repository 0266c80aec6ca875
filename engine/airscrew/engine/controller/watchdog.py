"""
The watchdog: which plugin blocks the loop, for how long, and where in its code.

Every step of a plugin's coroutine on the engine's loop is timed; a thread looks now and then whether one takes too
long, and notes the stack while it does. Costs well under a microsecond a step. Time in which the machine had no
processor for the loop is nobody's offence.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from airscrew.engine.executor import AnyCoroutine

T = TypeVar("T")

LIMIT_SECONDS = 0.25
"""A step that holds the loop for longer is an offence."""

LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """
    One time that a plugin blocked the loop.

    Attributes:
        executor: Whose code it was.
        seconds: For how long.
        stack: Where it was when the watchdog looked; empty when it did not come to look.
    """

    executor: str
    seconds: float
    stack: str


@dataclass(slots=True)
class _Step:
    executor: str = ""
    since: float = 0.0
    stack: str = ""


def starved_seconds(thread: int) -> float:
    """Return how long a thread has waited for a processor in its life; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclass(slots=True)
class Watchdog:
    """
    Watches the loop of the thread that starts it.

    Attributes:
        report: Called on the loop's thread with each offence, once the step is over.
        limit: Seconds that a step may take.
        starved: Says how long a thread, by its native id, has waited for a processor.
        held: How many seconds each executor's code has had the loop.
    """

    report: Callable[[Offence], None]
    limit: float = LIMIT_SECONDS
    starved: Callable[[int], float] = starved_seconds
    held: dict[str, float] = field(default_factory=dict[str, float])
    _watched: int = field(default_factory=threading.get_native_id)
    _starved_before: float = 0.0
    _step: _Step = field(default_factory=_Step)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        """Begin with what the thread has waited until now."""
        self._starved_before = self.starved(self._watched)

    def __enter__(self) -> Watchdog:
        """Begin to watch."""
        watched = threading.get_ident()
        self._watched = threading.get_native_id()
        self._starved_before = self.starved(self._watched)
        self._thread = threading.Thread(target=self._watch, args=(watched,), name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def begin(self, executor: str) -> None:
        """Note that a plugin has the loop now."""
        step = self._step
        step.since = time.monotonic()
        step.executor = executor

    def end(self) -> None:
        """Note that it gave it back."""
        step = self._step
        seconds = time.monotonic() - step.since
        executor, step.executor = step.executor, ""
        self.held[executor] = self.held.get(executor, 0.0) + seconds
        stack, step.stack = step.stack, ""
        if seconds > self.limit and seconds - self._starved_since() > self.limit:
            self.report(Offence(executor=executor, seconds=seconds, stack=stack))

    def _starved_since(self) -> float:
        """Return how long the loop has waited for a processor since the last look between two steps: at most that."""
        return max(self.starved(self._watched) - self._starved_before, 0.0)

    def _watch(self, watched: int) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            step = self._step
            if not step.executor:
                self._starved_before = self.starved(self._watched)
            if step.executor and not step.stack and time.monotonic() - step.since > self.limit:
                frame = sys._current_frames().get(watched)  # pyright: ignore[reportPrivateUsage]  # no other way
                step.stack = "".join(traceback.format_stack(frame)[-6:]) if frame is not None else ""


class Timed(Generic[T]):
    """
    Drives a coroutine step by step, and times each.

    The first step is the caller's, by ``begin``: most calls of executors never wait, and need no timer then. The rest
    is awaited.
    """

    __slots__ = ("_coroutine", "_executor", "_waiting", "_watchdog", "answer")

    def __init__(self, watchdog: Watchdog | None, executor: str, coroutine: AnyCoroutine[T]) -> None:
        self._watchdog = watchdog
        self._executor = executor
        self._coroutine = coroutine
        self._waiting: Any = None
        self.answer: T | None = None

    def begin(self) -> bool:
        """
        Take the first step; True when it was the only one, and ``answer`` is there.

        Raises:
            BaseException: Whatever the coroutine raised.
        """
        return self._step(self._coroutine.send, None)

    def __await__(self) -> Generator[Any, Any, T]:
        """Take the steps after the first one, as ``await`` would."""
        coroutine = self._coroutine
        is_over = False
        while not is_over:
            try:
                value = yield self._waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on into the coroutine, whatever it is
                is_over = self._step(coroutine.throw, error)
            else:
                is_over = self._step(coroutine.send, value)
        return cast("T", self.answer)

    def _step(self, go_on: Callable[[Any], Any], value: object) -> bool:
        watchdog = self._watchdog
        if watchdog is not None:
            watchdog.begin(self._executor)
        try:
            self._waiting = go_on(value)
        except StopIteration as done:
            self.answer = done.value
            return True
        finally:
            if watchdog is not None:
                watchdog.end()
        return False
