from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airscrew.engine.ratelimit import ExponentialBackoff, TokenBucket


def backoff(**changes: float) -> ExponentialBackoff:
    values = {"base_seconds": 1.0, "cap_seconds": 60.0, "jitter": 0.0} | changes
    return ExponentialBackoff(random=Random(1), **values)


def test_a_bucket_begins_full_and_earns_at_its_rate():
    bucket = TokenBucket(rate=2.0, burst=3)

    at_once = [bucket.try_take(100.0) for _ in range(4)]
    later = [bucket.try_take(100.5), bucket.try_take(100.5), bucket.try_take(101.0)]

    assert at_once == [True, True, True, False]
    assert later == [True, False, True]


def test_a_bucket_saves_up_no_more_than_its_burst():
    bucket = TokenBucket(rate=1.0, burst=2)
    bucket.try_take(0.0)

    taken = [bucket.try_take(1_000_000.0) for _ in range(3)]

    assert taken == [True, True, False]


def test_a_reservation_on_credit_says_how_long_to_wait():
    bucket = TokenBucket(rate=10.0, burst=1)

    waits = [bucket.reserve(5.0) for _ in range(3)]

    assert waits == pytest.approx([0.0, 0.1, 0.2])


def test_waiting_as_long_as_told_earns_a_token():
    bucket = TokenBucket(rate=0.3, burst=1)
    bucket.try_take(7.0)

    wait = bucket.seconds_until_token(8.1)

    assert wait == pytest.approx(1 / 0.3 - 1.1)
    assert not bucket.try_take(8.0 + wait)
    assert bucket.try_take(8.1 + wait)


def test_a_clock_that_goes_back_earns_nothing():
    bucket = TokenBucket(rate=1.0, burst=1)
    bucket.try_take(100.0)

    assert not bucket.try_take(50.0)
    assert not bucket.try_take(100.5)
    assert bucket.try_take(101.0)


@settings(deadline=None, database=None)
@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 20), st.integers(1, 10))
def test_a_bucket_never_lets_more_through_than_burst_and_rate_allow(gaps: list[float], rate: float, burst: int):
    bucket, now, taken = TokenBucket(rate=rate, burst=burst), 0.0, 0

    for gap in gaps:
        now += gap
        taken += bucket.try_take(now)

        assert taken <= burst + rate * now + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (1.0, 0)])
def test_a_bucket_that_lets_nothing_through_is_refused(rate: float, burst: int):
    with pytest.raises(ValueError, match="rate > 0 and burst >= 1"):
        TokenBucket(rate=rate, burst=burst)


def test_delays_double_up_to_the_cap():
    delays = [backoff().delay(failures) for failures in range(9)]

    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_any_count_of_failures_has_a_delay():
    assert backoff().delay(10_000) == 60.0
    assert backoff(base_seconds=0.0).delay(10_000) == 0.0


@settings(deadline=None, database=None)
@given(st.integers(1, 100), st.floats(0, 1))
def test_jitter_lengthens_a_delay_within_its_range_and_the_cap(failures: int, jitter: float):
    plain = backoff().delay(failures)
    jittered = backoff(jitter=jitter).delay(failures)

    assert plain <= jittered <= min(60.0, plain * (1 + jitter) + 1e-9)


def test_what_shares_the_spread_comes_back_together():
    jittery = backoff(jitter=0.5)

    assert jittery.delay(2, spread=0.5) == jittery.delay(2, spread=0.5) == 2.5
    assert jittery.delay(2) != jittery.delay(2)


def test_a_backoff_with_a_cap_under_its_base_is_refused():
    with pytest.raises(ValueError, match=r"cap_seconds=0\.5"):
        backoff(cap_seconds=0.5)
