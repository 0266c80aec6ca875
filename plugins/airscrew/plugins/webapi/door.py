"""
The one way to a provider: its breaker, its rates, and what its errors mean for both.

Guarantees:

1. No request passes while the breaker is open, but for its probes; none beyond the rates.
2. Every request tells the breaker how it ended, a cancelled one that it tells nothing.
3. Background reads wait here; a call that the engine waits for never does, but for a fraction of a second: it raises
   ``HeldBackError``, and nothing was sent.
4. What leaves here as an error holds no secret that the vault knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from random import Random

from airscrew.engine.clock import Clock
from airscrew.engine.errors import UnavailableError
from airscrew.engine.executor import NotStarted
from airscrew.engine.ratelimit import TokenBucket
from airscrew.plugins.webapi.breaker import Breaker
from airscrew.plugins.webapi.errors import ProviderError, ThrottledError, UnclearError, UnreachableError
from airscrew.plugins.webapi.plugin import Limits
from airscrew.plugins.webapi.turns import Turns, forget_late
from airscrew.plugins.webapi.vault import Vault
from airscrew.plugins.webapi.verdicts import Trouble, trouble_of

PATIENCE_SECONDS = 0.5
"""A call that the engine waits for may wait so long for its turn here; it comes back later for a longer one."""

THROTTLED_SECONDS = 5.0
"""How long a provider that asks for patience is left alone when it does not say."""


class HeldBackError(ProviderError):
    """
    Nothing was sent: the provider is down, wants to be left alone, or its rate is used up.

    Attributes:
        wait: Seconds until it is worth asking again.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class Door:
    """
    Lets requests to one provider through; see the module's guarantees.

    Args:
        provider: Its name, for people.
        limits: Its rates.
        vault: Its secrets.
        clock: The time.
        random: Where jitter comes from.
    """

    def __init__(self, provider: str, limits: Limits, vault: Vault, clock: Clock, random: Random) -> None:
        self._provider = provider
        self._limits = limits
        self._vault = vault
        self._clock = clock
        self._breaker = Breaker(provider, random)
        self._writes = Turns(limits.writes_per_second, limits.burst)
        rate = limits.reads_per_second
        self._reads = TokenBucket(rate=rate, burst=limits.burst) if rate is not None else None
        self._read_places: dict[str, float] = {}
        self._reads_paused_until = 0.0

    @property
    def trouble(self) -> str:
        """Why the provider is not asked at the moment; empty when it is."""
        return self._breaker.reason

    @property
    def wait(self) -> float:
        """Seconds until the provider is asked again; 0 when it may be asked now."""
        return self._breaker.wait(self._clock.monotonic())

    def held_back(self, result: NotStarted) -> NotStarted:
        """Say of a start that nothing came of why it waits: the outage, as everybody else does, while there is one."""
        return NotStarted(self.trouble, self.wait) if self.trouble else result

    def excused(self, error: Exception) -> Exception:
        """Say of an error that is the provider's, and nobody else's, when to ask again."""
        if isinstance(error, ThrottledError):
            return UnavailableError(str(error), delay=error.retry_after)
        if trouble_of(error).is_outage and self.trouble:
            return UnavailableError(str(error), delay=self.wait)
        return error

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncGenerator[None, None]:
        """
        Let one request that changes something through, in the turn of a key.

        Raises:
            HeldBackError: Not now.
        """
        self._hold_back()
        wait = self._writes.take(key, self._clock.monotonic())
        if 0 < wait <= PATIENCE_SECONDS:
            await asyncio.sleep(wait)
            wait = self._writes.take(key, self._clock.monotonic())
        if wait > 0:
            raise HeldBackError(self._told_of_turns(), wait)
        self._hold_back()
        with self._telling(is_write=True):
            yield

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncGenerator[None, None]:
        """
        Let one read that the engine waits for through, in the turn of a key.

        Raises:
            HeldBackError: Not now; the key keeps its place among the background reads.
        """
        self._hold_back()
        wait = self._wait_to_read(key)
        if wait > PATIENCE_SECONDS:
            raise HeldBackError(f"{self._provider} is read as often as it may be", wait)
        self._read_places.pop(key, None)
        with self._telling(is_write=False):
            await asyncio.sleep(wait)
            yield

    def _wait_to_read(self, key: str) -> float:
        now = self._clock.monotonic()
        due = self._reads_paused_until
        if self._reads is not None:
            forget_late(self._read_places, now)
            if key not in self._read_places:
                self._read_places[key] = now + self._reads.reserve(now)
            due = max(due, self._read_places[key])
        return max(due - now, 0.0)

    @asynccontextmanager
    async def reading_patiently(self) -> AsyncGenerator[None, None]:
        """Let one background read through, when the provider is back and its rate allows."""
        while wait := self._breaker.wait(self._clock.monotonic()):  # noqa: ASYNC110 - a back-off, not a poll
            await asyncio.sleep(wait)
        with self._telling(is_write=False):
            await self._read_turn()
            yield

    def _hold_back(self) -> None:
        wait = self._breaker.wait(self._clock.monotonic())
        if wait > 0:
            raise HeldBackError(self._breaker.reason, wait)

    async def _read_turn(self) -> None:
        while (pause := self._reads_paused_until - self._clock.monotonic()) > 0:  # noqa: ASYNC110 - it may be prolonged
            await asyncio.sleep(pause)
        if self._reads is not None:
            await asyncio.sleep(self._reads.reserve(self._clock.monotonic()))

    def _told_of_turns(self) -> str:
        if not self._writes.waiting:
            return f"{self._provider} asked for patience"
        return f"waits for a turn at {self._provider}: {self._limits.writes_per_second:g} requests a second"

    @contextmanager
    def _telling(self, *, is_write: bool) -> Generator[None, None, None]:
        self._breaker.begin()
        try:
            yield
        except Exception as error:
            clean = self._cleaned(error)
            self._judge(clean, is_write=is_write)
            if clean is error:
                raise
            raise clean from None  # the original's text holds a secret
        except BaseException:
            self._breaker.abandon()
            raise
        else:
            self._breaker.answered()

    def _judge(self, error: Exception, *, is_write: bool) -> None:
        trouble = trouble_of(error)
        now = self._clock.monotonic()
        if trouble.is_outage:
            self._breaker.failed(str(error) or type(error).__name__, now, self._clock.now())
        elif trouble is Trouble.OURS:
            self._breaker.abandon()
        else:
            self._breaker.answered()
        if isinstance(error, ThrottledError):
            until = now + (THROTTLED_SECONDS if error.retry_after is None else error.retry_after)
            if is_write:
                self._writes.pause(until)
            else:
                self._reads_paused_until = max(self._reads_paused_until, until)
        if trouble is Trouble.DENIED:
            self._vault.forget()

    def _cleaned(self, error: Exception) -> Exception:
        """Return the error, or one that means the same when its text holds a secret."""
        text = str(error)
        if not self._vault.holds(text):
            return error
        clean = self._vault.clean(text)
        error.args = (clean,)
        if not self._vault.holds(str(error)):
            return error
        return UnreachableError(clean) if trouble_of(error) is Trouble.UNREACHABLE else UnclearError(clean)
