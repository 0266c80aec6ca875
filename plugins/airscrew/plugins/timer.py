"""
Waits that survive the process and no step of the clock can prolong: for executors whose tasks only wait.

Within one life a wait is counted by the monotonic clock. After a restart what is left of it is taken from the wall
clock, and is never more than the whole length, however far the clock was stepped back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airscrew.engine.clock import Clock


@dataclass(slots=True)
class Timers:
    """The waits of one life, by key; one that is not known is made again from what was stored of it."""

    _ends: dict[str, float] = field(default_factory=dict[str, float])

    def start(self, key: str, clock: Clock, seconds: float) -> float:
        """Begin a wait; returns when it ends by the wall clock, to be stored with its length."""
        self._ends[key] = clock.monotonic() + seconds
        return clock.now() + seconds

    def rest(self, key: str, clock: Clock, ends_at: float, seconds: float) -> float:
        """Return for how long a wait still lasts; 0 when it is over, and then it is forgotten."""
        if key not in self._ends:
            left = min(max(ends_at - clock.now(), 0.0), seconds)
            self._ends[key] = clock.monotonic() + left
        rest = self._ends[key] - clock.monotonic()
        if rest > 0:
            return rest
        del self._ends[key]
        return 0.0

    def forget(self, key: str) -> None:
        """Drop a wait; nothing happens when there is none."""
        self._ends.pop(key, None)

    def clear(self) -> None:
        """Drop all waits, as another life counts by another monotonic clock."""
        self._ends.clear()
