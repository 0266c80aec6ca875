from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.retries import RetryPolicy, retries_off, retry

pytestmark = pytest.mark.virtual_time


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def is_lost(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


async def test_a_call_is_made_again_until_it_succeeds() -> None:
    call = Flaky(ConnectionError("1"), ConnectionError("2"))

    answer = await retry(call, worth_retrying=is_lost, random=Random(1))

    assert answer == "done"
    assert call.calls == 3


async def test_the_last_error_is_raised_as_it_is() -> None:
    call = Flaky(*(ConnectionError(str(number)) for number in range(9)))

    with pytest.raises(ConnectionError, match=r"^2$"):
        await retry(call, worth_retrying=is_lost, random=Random(1), policy=RetryPolicy(tries=3))


async def test_an_error_not_worth_another_try_is_raised_at_once() -> None:
    call = Flaky(ValueError("never"))

    with pytest.raises(ValueError, match="never"):
        await retry(call, worth_retrying=is_lost, random=Random(1))

    assert call.calls == 1
    assert asyncio.get_running_loop().time() == 0


async def test_nothing_is_made_again_where_retries_are_off() -> None:
    call = Flaky(ConnectionError("1"))

    with retries_off(), pytest.raises(ConnectionError):
        await retry(call, worth_retrying=is_lost, random=Random(1))

    assert call.calls == 1


async def test_retries_are_on_again_afterwards() -> None:
    with retries_off():
        pass

    answer = await retry(Flaky(ConnectionError("1")), worth_retrying=is_lost, random=Random(1))

    assert answer == "done"


async def test_a_cancellation_is_never_retried() -> None:
    calls = 0

    async def cancelled() -> None:
        nonlocal calls
        calls += 1
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retry(cancelled, worth_retrying=lambda error: True, random=Random(1))

    assert calls == 1


@given(st.integers(1, 50), st.integers())
def test_a_pause_lies_between_half_and_all_of_its_bound(failed: int, seed: int) -> None:
    policy = RetryPolicy(first_pause=1.0, longest_pause=8.0)

    pause = policy.pause(failed, Random(seed))

    bound = min(8.0, 2.0 ** (failed - 1))
    assert bound / 2 <= pause <= bound
