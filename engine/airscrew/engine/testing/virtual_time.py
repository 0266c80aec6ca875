"""
An event loop whose time is virtual: a test that sleeps for an hour takes a millisecond.

Guarantees:

1. When nothing is ready to run, the time jumps to the next timer, exactly; it never moves otherwise.
2. Real input and output that is ready is served before any jump.
3. The time stands still while work is outstanding in threads (``run_in_executor``, ``asyncio.to_thread``,
   name look-ups) or inside ``external_work()``; the loop then waits in real time, at most
   ``patience_seconds``.
4. A deadlock (nothing ready, no timer, nothing external) raises ``DeadlockError`` instead of hanging, and
   says what each task waits for. When sockets or pipes are being watched, they first get
   ``IO_PATIENCE_SECONDS`` of real time.
5. Timers without end raise ``VirtualTimeLimitError`` once the virtual time passes ``limit_seconds``.

What the loop cannot see it does not wait for: a child process, a thread started by hand or a server outside
the process needs ``with loop.external_work():`` around the wait for it. A callback that never yields, and a
task that only ever does ``sleep(0)``, hang here as they do everywhere.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import selectors
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack, override

Events = list[tuple[selectors.SelectorKey, int]]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEFAULT_LIMIT_SECONDS = 7 * 24 * 3600.0
"""How far the virtual time may go when nothing else is said."""

PATIENCE_SECONDS = 60.0
"""How long, in real seconds, the loop waits for outstanding external work."""

IO_PATIENCE_SECONDS = 1.0
"""How long, in real seconds, a loop with nothing else to do waits for the sockets that it watches."""


class VirtualTimeError(RuntimeError):
    """The root of what a virtual-time loop raises out of its run."""


class DeadlockError(VirtualTimeError):
    """Every task waits and nothing can ever wake one."""


class VirtualTimeLimitError(VirtualTimeError):
    """The virtual time passed its limit: some timer is set again and again."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """
    An asyncio loop on virtual time, starting at 0; see the module's guarantees.

    Args:
        limit_seconds: How far the time may go. After the error the limit begins anew, so that cleaning up can
            use timers.
        patience_seconds: How long in real seconds to wait for external work before giving up with an error.
    """

    _scheduled: list[asyncio.TimerHandle]

    def __init__(
        self, *, limit_seconds: float = DEFAULT_LIMIT_SECONDS, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._virtual_now = 0.0
        self._limit_seconds = limit_seconds
        self._deadline = limit_seconds
        self._patience_seconds = patience_seconds
        self._external: set[object] = set()
        self._executor: concurrent.futures.Executor | None = None
        super().__init__(_JumpingSelector(self._idle))

    @override
    def time(self) -> float:
        return self._virtual_now

    @contextmanager
    def external_work(self) -> Generator[None]:
        """Keep the time still while something that the loop cannot see is on its way."""
        token = object()
        self._external.add(token)
        try:
            yield
        finally:
            self._release(token)

    @override
    def run_in_executor(
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        work = (executor or self._own_executor()).submit(func, *args)
        token = object()
        self._external.add(token)
        # The order matters: the result must be on its way to the loop before the time may move.
        result = asyncio.wrap_future(work, loop=self)
        work.add_done_callback(lambda _: self._release(token))
        return result

    @override
    async def shutdown_default_executor(self, *args: float | None) -> None:
        with self.external_work():
            await super().shutdown_default_executor(*args)

    def _own_executor(self) -> concurrent.futures.Executor:
        if self._executor is not None:
            return self._executor
        executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="virtual-time")
        self.set_default_executor(executor)
        return executor

    @override
    def set_default_executor(self, executor: concurrent.futures.ThreadPoolExecutor) -> None:  # type: ignore[override]
        super().set_default_executor(executor)
        self._executor = executor

    def _release(self, token: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody's time can move any more
            self.call_soon_threadsafe(self._external.discard, token)

    def _idle(self, timeout: float | None, selector: _JumpingSelector) -> Events:
        """
        Wait or jump; called when nothing is ready, neither callbacks nor files.

        Raises:
            DeadlockError: Nothing can ever happen.
            VirtualTimeLimitError: The next timer lies beyond the limit.
        """
        if timeout is not None and not self._external:
            self._jump(timeout)
            return []
        if self._external:
            patience = self._patience_seconds
        else:
            patience = IO_PATIENCE_SECONDS if selector.watches_files() else 0.0
        events = selector.wait(patience)
        if not events:
            raise DeadlockError(self._describe_deadlock())
        return events

    def _jump(self, timeout: float) -> None:
        target = self._virtual_now + timeout
        if self._scheduled:
            target = min(target, self._scheduled[0].when())  # the sum may miss it by a rounding
        if target > self._deadline:
            self._deadline = self._virtual_now + self._limit_seconds
            raise VirtualTimeLimitError(
                f"the virtual time passed its limit of {self._limit_seconds:g} s;"
                f" raise limit_seconds, or end what sets timers for ever:\n{self._describe_tasks()}"
            )
        self._virtual_now = max(self._virtual_now, target)

    def _describe_deadlock(self) -> str:
        if self._external:
            what = f"external work did not end within {self._patience_seconds:g} real seconds"
        else:
            what = "deadlock: no timer is set, nothing is ready, and nothing external is on its way"
        return f"{what}; tasks:\n{self._describe_tasks()}"

    def _describe_tasks(self) -> str:
        return "\n".join(sorted(_describe(task) for task in asyncio.all_tasks(self))) or "  (none)"


def _describe(task: asyncio.Task[object]) -> str:
    frames = task.get_stack()
    where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "its beginning"
    return f"  {task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')} at {where}"


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that never waits on its own: it asks the loop what to do."""

    def __init__(self, idle: Callable[[float | None, _JumpingSelector], Events]) -> None:
        super().__init__()
        self._idle = idle

    @override
    def select(self, timeout: float | None = None) -> Events:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._idle(timeout, self)

    def wait(self, seconds: float) -> Events:
        """Wait for files in real time."""
        return super().select(seconds)

    def watches_files(self) -> bool:
        """Say whether anything but the loop's own pipe is watched."""
        return len(self.get_map()) > 1


async def elapse(seconds: float) -> None:
    """
    Let virtual time pass; what is due within it happens.

    Args:
        seconds: How much of it.

    Raises:
        RuntimeError: The running loop's time is real: the test lacks its ``virtual_time`` mark, and would wait.
    """
    if not isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        raise RuntimeError("only the time of a VirtualTimeLoop can elapse: mark the test with virtual_time")
    await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[object, object, T], *, limit_seconds: float = DEFAULT_LIMIT_SECONDS) -> T:
    """
    Run a coroutine to its end on a new virtual-time loop, as ``asyncio.run`` does on a real one.

    Args:
        main: The coroutine.
        limit_seconds: How far the virtual time may go.

    Raises:
        DeadlockError: Nothing could ever wake the coroutine.
        VirtualTimeLimitError: The time passed the limit.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(limit_seconds=limit_seconds)) as runner:
        return runner.run(main)
