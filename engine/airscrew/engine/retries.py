"""
The one policy by which calls to libraries and networks are tried again.

Guarantees:

1. Only what the caller names as worth another try is tried again; everything else, and a cancellation, passes at
once.
2. The pauses grow, are spread by the given source of randomness, and have a bound; so has the number of tries. The
   last error is raised as it is.
3. Inside ``retries_off()`` each call is made once: tests of failures wait for nothing.

Attempts of tasks are not retried here: those retries are durable and belong to the state machine. Nor is any call
that creates something outside: whether it may be sent again is for the executor to declare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

_active: ContextVar[bool] = ContextVar("retries_active", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often, and how long between.

    Attributes:
        tries: How many calls are made at most.
        first_pause: Seconds that the first pause takes at most; each further one may take twice as long.
        longest_pause: Seconds that no pause exceeds.
    """

    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 5.0

    def pause(self, failed: int, random: Random) -> float:
        """Say how many seconds to wait once so many tries have failed: half of it fixed, half of it by chance."""
        most = min(self.longest_pause, self.first_pause * 2.0 ** (failed - 1))
        return most * (0.5 + 0.5 * random.random())


READS = RetryPolicy()
"""For calls that change nothing."""


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    worth_retrying: Callable[[BaseException], bool],
    random: Random,
    policy: RetryPolicy = READS,
) -> T:
    """
    Make a call until it succeeds or its error is not worth another try.

    Args:
        call: Makes the call anew each time.
        worth_retrying: Tells by the error whether another try may help.
        random: Spreads the pauses.
        policy: How often, and how long between.

    Raises:
        Exception: What the last try raised.
    """
    if not _active.get():
        return await call()
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    def wait(state: RetryCallState) -> float:
        return policy.pause(state.attempt_number, random)

    def may_help(error: BaseException) -> bool:
        return isinstance(error, Exception) and worth_retrying(error)

    async def once() -> T:
        return await call()

    retrying = AsyncRetrying(
        sleep=asyncio.sleep,
        stop=stop_after_attempt(policy.tries),
        wait=wait,
        retry=retry_if_exception(may_help),
        reraise=True,
    )
    return await retrying(once)


@contextmanager
def retries_off() -> Generator[None]:
    """Make each call once, for the tasks that this context is passed on to."""
    token = _active.set(False)
    try:
        yield
    finally:
        _active.reset(token)
