"""
Threads for calls that may never return.

Guarantee: a thread that hangs keeps neither a place in a queue nor the process from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from typing_extensions import override

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """
    A thread of its own for each call; whoever submits sees to it that there are not too many.

    Args:
        name: Names the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._busy = 0

    @property
    def busy(self) -> int:
        """How many calls have not returned, those that nobody waits for any more included."""
        return self._busy

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    _settle(future, lambda: fn(*args, **kwargs))
            finally:
                self._count(-1)

        self._count(+1)
        threading.Thread(target=work, name=self._name, daemon=True).start()
        return future

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change


def _settle(future: Future[T], ask: Callable[[], T]) -> None:
    try:
        result = ask()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        future.set_exception(error)
    else:
        future.set_result(result)
