"""
Where the blocking part of the store runs: a thread of its own, or the loop itself in simulation.

One job runs at a time, and each is answered on the loop. Here, and only here, the store meets a thread.

The thread needs the interpreter's lock (GIL) for a moment before and after each job. A loop that always has
something ready gives the lock up for a microsecond per turn, too short for another thread to wake up and take
it, and CPython's five-millisecond hand-over starts anew each time: the thread was seen to starve for seconds.
So while a job is out, the loop lends the lock: about every half a millisecond it sleeps for a few microseconds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol, final

Job = Callable[[], None]
Done = Callable[[Exception | None], None]


class Runner(Protocol):
    """Runs one job at a time."""

    def submit(self, job: Job, done: Done) -> None:
        """Run a job, then call ``done`` on the loop with what it raised. Never called while one is out."""
        ...

    def stop(self, last: Job) -> None:
        """Run the last job after the one that is out, and return when it is over."""
        ...


@final
class InlineRunner:
    """Runs jobs on the loop, in a fixed order: for simulation."""

    def submit(self, job: Job, done: Done) -> None:
        """Run the job now and answer in the loop's next turn."""
        asyncio.get_running_loop().call_soon(done, _run(job))

    def stop(self, last: Job) -> None:
        """Run the last job."""
        last()


@final
class ThreadRunner:
    """Runs jobs on one thread, from its making until ``stop``."""

    _LEND_EVERY_SECONDS = 0.0005
    _LEND_SECONDS = 1e-6

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._out = False
        self._lending = False
        # A daemon: when the process ends without closing the store, nothing acknowledged is lost.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Hand the job to the thread."""
        self._out = True
        self._jobs.put((job, done))
        if not self._lending:
            self._lending = True
            self._loop.call_later(self._LEND_EVERY_SECONDS, self._lend)

    def stop(self, last: Job) -> None:
        """Hand over the last job and wait for the thread to end."""
        self._jobs.put((last, _ignore))
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            error = _run(job)
            try:
                self._loop.call_soon_threadsafe(self._finish, done, error)
            except RuntimeError:
                return  # the loop was closed without closing the store: nobody waits for the answer

    def _finish(self, done: Done, error: Exception | None) -> None:
        self._out = False
        done(error)

    def _lend(self) -> None:
        """Let the thread have the interpreter, as long as a job is out."""
        self._lending = self._out
        if self._out:
            time.sleep(self._LEND_SECONDS)
            self._loop.call_later(self._LEND_EVERY_SECONDS, self._lend)


def _run(job: Job) -> Exception | None:
    try:
        job()
    except Exception as error:  # noqa: BLE001  # not swallowed: handed to the loop, as an executor's future does
        return error
    return None


def _ignore(_: Exception | None) -> None:
    """Nobody asks how the last job ended."""
