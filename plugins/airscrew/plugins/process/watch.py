"""
Wakes the owner of an attempt when a process ends, within a millisecond and without a thread.

Each watched process costs one descriptor (pidfd) in the running loop's selector. What is missed here, because the
kernel has no pidfds or descriptors run out, is found by the periodic check.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from airscrew.plugins.process.processes import ProcessName, open_process, reap


class ExitWatch:
    """The processes that are watched, one an attempt."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[asyncio.AbstractEventLoop, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def watch(self, key: str, process: ProcessName, wake: Callable[[], None]) -> bool:
        """
        Have ``wake`` called once when the process ends. A second watch of one key changes nothing.

        Returns:
            Whether that will happen: False when the process is gone already, or cannot be watched.
        """
        if key in self._open:
            return True
        loop = asyncio.get_running_loop()
        try:
            descriptor = open_process(process)
            if descriptor is None:
                return False
            loop.add_reader(descriptor, self._ended, key, process.pid, wake)
        except (OSError, NotImplementedError):
            return False
        self._open[key] = (loop, descriptor)
        return True

    def forget(self, key: str) -> None:
        """Stop watching for an attempt."""
        loop, descriptor = self._open.pop(key, (None, -1))
        if loop is not None:
            if not loop.is_closed():
                loop.remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Stop watching at all."""
        for key in list(self._open):
            self.forget(key)

    def _ended(self, key: str, pid: int, wake: Callable[[], None]) -> None:
        self.forget(key)
        reap(pid)  # an engine that is process 1, or a subreaper, is the parent of supervisors
        wake()
