"""
How often, and how long to wait: a token bucket and an exponential backoff.

Guarantees:

1. Pure apart from their own state: the time is passed as ``now`` and randomness as a ``Random``; nothing here
   waits.
2. A ``TokenBucket`` never lets more than ``burst + rate * t`` through in any ``t`` seconds, whatever ``now``
   does: a clock that goes back earns nothing.
3. An ``ExponentialBackoff`` never returns more than ``cap_seconds``, nor less than the delay without jitter
   up to that cap; it is total: any count of failures has a delay.
"""

from __future__ import annotations

from random import Random


class TokenBucket:
    """
    Lets ``rate`` things through per second, and up to ``burst`` at once.

    Args:
        rate: Tokens earned per second; above 0.
        burst: The most that can be saved up; at least 1. The bucket begins full.
    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_at")

    def __init__(self, *, rate: float, burst: int) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a token bucket needs rate > 0 and burst >= 1, not rate={rate} and burst={burst}")
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._updated_at: float | None = None

    def try_take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._earn(now)
        if self._tokens < 1.0 - _ROUNDING:
            return False
        self._tokens -= 1.0
        return True

    def reserve(self, now: float) -> float:
        """Take a token in any case, on credit if need be, and return the seconds to wait before using it."""
        self._earn(now)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def seconds_until_token(self, now: float) -> float:
        """Return how long until ``try_take`` succeeds; 0 when it would now."""
        self._earn(now)
        missing = 1.0 - self._tokens
        return missing / self._rate if missing > _ROUNDING else 0.0

    def _earn(self, now: float) -> None:
        if self._updated_at is None:
            self._updated_at = now
        elif now > self._updated_at:
            self._tokens = min(self._burst, self._tokens + (now - self._updated_at) * self._rate)
            self._updated_at = now


_ROUNDING = 1e-9


class ExponentialBackoff:
    """
    Delays that double with each failure, spread by jitter and capped.

    Args:
        base_seconds: The delay after the first failure.
        cap_seconds: No delay is longer, jitter included.
        random: Where the jitter comes from.
        factor: What each further failure multiplies the delay by.
        jitter: The largest part of itself that a delay is lengthened by at random.
    """

    __slots__ = ("_base", "_cap", "_factor", "_jitter", "_random")

    def __init__(
        self,
        *,
        base_seconds: float,
        cap_seconds: float,
        random: Random,
        factor: float = 2.0,
        jitter: float = 0.1,
    ) -> None:
        if base_seconds < 0 or cap_seconds < base_seconds or factor < 1 or jitter < 0:
            raise ValueError(
                "a backoff needs 0 <= base_seconds <= cap_seconds, factor >= 1 and jitter >= 0, not"
                f" base_seconds={base_seconds}, cap_seconds={cap_seconds}, factor={factor}, jitter={jitter}"
            )
        self._base = base_seconds
        self._cap = cap_seconds
        self._factor = factor
        self._jitter = jitter
        self._random = random

    def delay(self, failures: int, *, spread: float | None = None) -> float:
        """
        Return the seconds to wait after so many failures in a row; 0 for none.

        Args:
            failures: How many.
            spread: Where in the jitter's range, from 0 to 1; drawn at random when not given. Things that
                failed together and share it come back together.
        """
        if failures <= 0:
            return 0.0
        if spread is None:
            spread = self._random.random()
        try:
            plain = self._base * self._factor ** (failures - 1)
        except OverflowError:
            return self._cap if self._base else 0.0
        return min(self._cap, plain * (1.0 + self._jitter * spread))
