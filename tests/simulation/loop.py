"""
A loop for simulations: virtual time, one seeded source of order, and lives that end in the middle of anything.

Guarantees:

1. Deterministic: the same seed gives the same run, callback by callback, whatever the hash seed, the memory layout
   or the machine.
2. Any order of ready callbacks comes up for some seed.
3. The time moves only when nothing is ready, and then to the next timer.
4. A life that is dead runs no callback any more, not even a ``finally``: that is what SIGKILL does. Whatever
   belongs to a life carries it in its context; what belongs to none (stores, services, users) goes on. One that
   ends in the middle of a callback runs on to its next await, which changes nothing: whoever is outside waits first.
5. A life that is paused runs nothing, and when it is resumed all that has become ready meanwhile, in any order, its
   timers included: that is what SIGSTOP does, or a machine that is migrated.

No files, no threads: ``run_in_executor`` calls the function on the spot.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.crash_sites import TraceFunction, waiting_at

STEP_LIMIT = 600_000
CLOSING_TRIES = 20


class SimulationStuckError(RuntimeError):
    """The run goes round in a circle, or nothing can ever happen any more."""


@dataclass(slots=True, eq=False, kw_only=True)
class Life:
    """
    One life of a process.

    Attributes:
        number: From 1.
        crash_at_step: The callback of this life that is not run any more; 0 for none.
        steps: How many callbacks it has run.
        dead: Whether it is over.
        is_paused: Whether it stands still: nothing of it runs until it is resumed.
        held: What has become ready of it meanwhile.
        killed: Whether it ended in the middle of something.
        crash_at_wait: The await at which it waits at last; empty for none.
        trace: Watches its code for an await that is its last.
        visits_left: At which visit of either it ends.
        on_crash: Called when it ends there or at ``crash_at_step``.
        tasks: Its tasks, done ones included.
    """

    number: int
    crash_at_step: int = 0
    crash_at_wait: str = ""
    trace: TraceFunction | None = None
    visits_left: int = 0
    steps: int = 0
    dead: bool = False
    is_paused: bool = False
    held: list[asyncio.Handle] = field(default_factory=list)
    killed: bool = False
    on_crash: Callable[[], None] = lambda: None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def visit(self) -> None:
        """Count a visit of its last await."""
        self.visits_left -= 1
        if not self.visits_left and not self.dead:
            self.on_crash()


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class _Task(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks have the same order in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """
    The loop; see the module's guarantees.

    Args:
        random: Picks the next callback among those that are ready.
    """

    _ready: Any
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._now = 0.0
        self._pick = random.random
        self._pool: list[asyncio.Handle] = []
        self._buried = False
        self._tasks_made = 0
        self._strays: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.trouble: list[str] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        result = self.create_future()
        try:
            result.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            result.set_exception(error)
        return result

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._buried:
            self._pool.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _make_task(self, _: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
        task = _Task(coro, loop=self, **kwargs)
        self._tasks_made += 1
        task.number = self._tasks_made
        context = kwargs.get("context")
        life = LIFE.get() if context is None else context.get(LIFE)
        (self._strays if life is None else life.tasks).append(task)
        return task

    def _run_once(self) -> None:
        pool, pick = self._pool, self._pick
        if not pool:
            self._jump()
        while pool:
            place = int(pick() * len(pool))
            handle = pool[place]
            pool[place] = pool[-1]
            pool.pop()
            if handle._cancelled:
                continue
            life: Life | None = handle._context.get(LIFE)  # type: ignore[attr-defined]
            if life is not None:
                if life.dead:
                    continue
                if life.is_paused:
                    life.held.append(handle)
                    continue
                life.steps += 1
                if life.steps == life.crash_at_step:
                    life.on_crash()
                    continue
            self.steps += 1
            if self.steps > STEP_LIMIT:
                raise SimulationStuckError(f"no end after {self.steps} callbacks, at {self._now:.1f} s")
            if life is None or life.trace is None:
                handle._run()
            else:
                _run_traced(handle, life.trace)
            if life is not None and life.crash_at_wait and not life.dead:
                _look_where_it_waits(life, handle)
            if self._stopping:  # type: ignore[attr-defined]
                return

    def resume(self, life: Life) -> None:
        """Let a life go on that stood still."""
        life.is_paused = False
        self._pool += life.held
        life.held.clear()

    def _jump(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not scheduled:
            raise SimulationStuckError(f"nothing is ready and no timer is set, at {self._now:.1f} s")
        self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            if not handle._cancelled:
                self._pool.append(handle)

    def _write_to_self(self) -> None:
        pass

    def _process_events(self, event_list: object) -> None:
        pass

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what nobody caught: it is a defect of somebody."""
        error = context.get("exception")
        of = context.get("task") or context.get("future")
        name = getattr(getattr(of, "get_coro", lambda: None)(), "__qualname__", "")
        self.trouble.append(f"{context.get('message')}: {type(error).__name__}: {error} {name}".rstrip())

    def bury(self, lives: list[Life]) -> None:
        """Let go of all that still waits, without running any of it."""
        self._buried = True
        self._pool.clear()
        self._scheduled.clear()
        for life in lives:
            _bury_tasks(life.tasks, quiet=life.killed)
        _bury_tasks(self._strays, quiet=False)
        self._buried = True
        with suppress(Exception):
            self.close()


def _run_traced(handle: asyncio.Handle, trace: TraceFunction) -> None:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        handle._run()
    finally:
        sys.settrace(before)


def _look_where_it_waits(life: Life, handle: asyncio.Handle) -> None:
    """Count a visit when the task that has just run waits at the last await of its life."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    if isinstance(task, asyncio.Task) and life.crash_at_wait in waiting_at([task]):
        life.visit()


def _bury_tasks(tasks: list[asyncio.Task[Any]], *, quiet: bool) -> None:
    for task in tasks:
        if not task.done():
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _close(task.get_coro())
        elif quiet:
            task._log_traceback = False  # type: ignore[attr-defined]  # who would have looked at it was killed
    tasks.clear()


def _close(coroutine: Any) -> None:
    """Throw ``GeneratorExit`` into a coroutine until it is over, whatever it awaits on the way."""
    for _ in range(CLOSING_TRIES):
        try:
            coroutine.close()
        except RuntimeError:
            continue
        except BaseException:  # noqa: BLE001 - what dead code raises is nobody's concern
            return
        return
