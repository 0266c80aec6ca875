"""
Turns for what changes something at a provider, at its write rate.

Guarantees:

1. First come, first served, by a key: whoever has to come back later keeps the place, and nobody overtakes.
2. Never more than ``burst + rate * t`` turns are taken in any ``t`` seconds, whoever comes late.
3. Nothing waits here: the time comes in, and who is early is told for how long.
"""

from __future__ import annotations

from airscrew.engine.ratelimit import TokenBucket

_LATE_SECONDS = 300.0
_ROUNDING = 1e-6


class Turns:
    """
    Hands out turns.

    Args:
        rate: Turns per second; None for no limit.
        burst: How many may be taken at once.
    """

    def __init__(self, rate: float | None, burst: int) -> None:
        self._places = TokenBucket(rate=rate, burst=burst) if rate is not None else None
        self._gate = TokenBucket(rate=rate, burst=burst) if rate is not None else None
        self._waiting: dict[str, float] = {}
        self._paused_until = 0.0

    @property
    def waiting(self) -> int:
        """How many have a place and not had their turn."""
        return len(self._waiting)

    def pause(self, until: float) -> None:
        """Give nobody a turn before a monotonic time: the provider wants to be left alone."""
        self._paused_until = max(self._paused_until, until)

    def take(self, key: str, now: float) -> float:
        """Take the turn of a key; return 0 when it is had, or in how many seconds to come back for it."""
        if now < self._paused_until:
            return self._paused_until - now
        if self._places is None or self._gate is None:
            return 0.0
        forget_late(self._waiting, now)
        due = self._waiting.get(key)
        if due is None:
            due = self._waiting[key] = now + self._places.reserve(now)
        if due - now > _ROUNDING:
            return due - now
        if not self._gate.try_take(now):
            return max(self._gate.seconds_until_token(now), _ROUNDING)
        del self._waiting[key]
        return 0.0


def forget_late(places: dict[str, float], now: float) -> None:
    """Drop the places of those who have not come back for long; places are in the order of their times."""
    while places:
        first = next(iter(places))
        if now - places[first] < _LATE_SECONDS:
            return
        del places[first]
