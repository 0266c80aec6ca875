"""
The circuit breaker of one provider.

Guarantees:

1. So many failures in a row that speak for an outage open it. While it is open nothing is asked of the provider, but
   for one probe at the end of each back-off; the back-off doubles up to its cap.
2. The first answer closes it, for all at once: whoever was held back goes on within one back-off of the provider's
   return.
3. Its reason does not change while it is open, so that a status that shows it is told once.
4. No waiting and no clock of its own: the time comes in.
"""

from __future__ import annotations

import time
from random import Random

from airscrew.engine.ratelimit import ExponentialBackoff

OPENS_AFTER = 3
"""So many failures in a row speak for an outage; one or two happen."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PROBE_SECONDS = 1.0
"""How soon to ask again while a probe is under way."""

_ROUNDING = 1e-6


class Breaker:
    """
    Holds calls to a provider back while it is down; see the module's guarantees.

    Args:
        provider: Its name, for people.
        random: Where the back-off's jitter comes from.
    """

    def __init__(self, provider: str, random: Random) -> None:
        self._provider = provider
        self._backoff = ExponentialBackoff(
            base_seconds=FIRST_PAUSE_SECONDS, cap_seconds=LONGEST_PAUSE_SECONDS, random=random
        )
        self._failures = 0
        self._open_until = 0.0
        self._is_probing = False
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why it holds calls back; empty when it does not."""
        return self._reason

    def wait(self, now: float) -> float:
        """Return in how many seconds to ask again; 0 when a call may begin now."""
        if not self._reason:
            return 0.0
        if self._is_probing:
            return PROBE_SECONDS
        wait = self._open_until - now
        return wait if wait > _ROUNDING else 0.0

    def begin(self) -> None:
        """Note that a call begins; while it is open, this one is the probe."""
        self._is_probing = bool(self._reason)

    def abandon(self) -> None:
        """Note that a call ended and says nothing of the provider."""
        self._is_probing = False

    def answered(self) -> None:
        """Note that the provider answered."""
        self._failures = 0
        self._is_probing = False
        self._reason = ""

    def failed(self, told: str, now: float, wall: float) -> None:
        """
        Note a failure that speaks for an outage.

        Args:
            told: What failed, for people; no secrets.
            now: Monotonic seconds.
            wall: Unix seconds.
        """
        self._failures += 1
        self._is_probing = False
        if self._failures < OPENS_AFTER:
            return
        self._open_until = now + self._backoff.delay(self._failures - OPENS_AFTER + 1)
        if not self._reason:
            since = time.strftime("%H:%M:%SZ", time.gmtime(wall))
            self._reason = f"{self._provider} is not to be reached since {since}: {told}"
