"""
The watchdog: which plugin blocks the loop, for how long, and where in its code.

Every step of a plugin's coroutine on the engine's loop is timed; a thread looks now and then whether one takes too
long, and
notes the stack while it does. Costs well under a microsecond a step. Time in which the machine had no processor for the
loop is nobody's offence.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

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

    def timed(self, executor: str, coroutine: AnyCoroutine[T]) -> Timed[T]:
        """Wrap a plugin's coroutine so that its steps are timed."""
        return Timed(self, executor, coroutine)

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
    """Awaits a coroutine step by step, and times each."""

    __slots__ = ("_coroutine", "_executor", "_watchdog")

    def __init__(self, watchdog: Watchdog, executor: str, coroutine: AnyCoroutine[T]) -> None:
        self._watchdog = watchdog
        self._executor = executor
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        """Drive the coroutine as ``await`` would."""
        watchdog, coroutine = self._watchdog, self._coroutine
        send: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731 - what is thrown in comes the same way
        while True:
            watchdog.begin(self._executor)
            try:
                waiting = send()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # a coroutine's own type says what it is
            finally:
                watchdog.end()
            try:
                value = yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on into the coroutine, whatever it is
                send = _thrower(coroutine, error)
            else:
                send = _sender(coroutine, value)


def _sender(coroutine: AnyCoroutine[T], value: object) -> Callable[[], Any]:
    return lambda: coroutine.send(value)


def _thrower(coroutine: AnyCoroutine[T], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)
