"""
The book of leases: when each one ends.

The times live in memory alone. After a restart every lease begins its time anew, as etcd does when its
leader changes: an owner that could not be heard while the store was down gets its full time to speak.
So the clock may be a monotonic one, and a step of the wall clock ends nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from airscrew.state.errors import LeaseOverError


class LeaseBook:
    """
    Which leases live, and which are due to end.

    Attributes:
        next_due: When the first of them may end, by the clock; infinity without leases. Too early is
            possible (a lease was kept alive since); too late is not.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seconds: dict[int, float] = {}
        self._ends: dict[int, float] = {}
        self.next_due = math.inf

    def __contains__(self, lease: object) -> bool:
        return lease in self._seconds

    def begin(self, lease: int, seconds: float) -> None:
        """Begin a lease, or its time anew."""
        self._seconds[lease] = seconds
        self._ends[lease] = end = self._now() + seconds
        self.next_due = min(self.next_due, end)

    def begin_all(self, leases: Iterable[tuple[int, float]]) -> None:
        """Forget what was, and begin these anew."""
        self._seconds.clear()
        self._ends.clear()
        self.next_due = math.inf
        for lease, seconds in leases:
            self.begin(lease, seconds)

    def keep_alive(self, lease: int) -> float:
        """Begin a living lease's time anew; raise ``LeaseOverError`` for one that ended."""
        if lease not in self._seconds or self.is_due(lease):
            raise LeaseOverError(lease)
        self.begin(lease, self._seconds[lease])
        return self._seconds[lease]

    def end(self, lease: int) -> None:
        """Strike a lease off."""
        self._seconds.pop(lease, None)
        self._ends.pop(lease, None)
        if not self._ends:
            self.next_due = math.inf

    def defer(self, lease: int, seconds: float = 1.0) -> None:
        """Look at a lease again that was due and could not be ended."""
        if lease in self._ends:
            self._ends[lease] = end = self._now() + seconds
            self.next_due = min(self.next_due, end)

    def is_due(self, lease: int) -> bool:
        """Tell whether a living lease's time is over."""
        return self._ends.get(lease, math.inf) <= self._now()

    def due(self) -> list[int]:
        """Return the leases whose time is over, and look up when the next one's is."""
        now = self._now()
        due = [lease for lease, end in self._ends.items() if end <= now]
        self.next_due = min((end for end in self._ends.values() if end > now), default=math.inf)
        return due

    def seconds_left(self) -> float:
        """Return the time until a lease may be due: 0 when one is."""
        return max(0.0, self.next_due - self._now())


class LeaseTimer:
    """
    Calls when a lease may be due, so that leases end while nobody asks the store anything.

    A clock that stands still, as a test's may, only makes it call again later.
    """

    _SHORTEST_SECONDS = 0.01

    def __init__(self, book: LeaseBook, expire: Callable[[], object]) -> None:
        self._book = book
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Wait for the lease that is due next; called after every change of the book."""
        if self._handle is None and self._book.next_due != math.inf:
            delay = max(self._book.seconds_left(), self._SHORTEST_SECONDS)
            self._handle = asyncio.get_running_loop().call_later(delay, self._ring)

    def cancel(self) -> None:
        """Never call again unless armed anew."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        if self._book.seconds_left() == 0:
            self._expire()
        self.arm()
