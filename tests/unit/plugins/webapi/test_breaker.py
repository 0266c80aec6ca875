from __future__ import annotations

from random import Random

from airscrew.plugins.webapi.breaker import LONGEST_PAUSE_SECONDS, OPENS_AFTER, PROBE_SECONDS, Breaker

WALL = 1_700_000_000.0


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker("p", Random(0))
    for _ in range(OPENS_AFTER):
        breaker.begin()
        breaker.failed("refused", now, WALL)
    return breaker


def test_one_or_two_failures_hold_nobody_back() -> None:
    breaker = Breaker("p", Random(0))

    for _ in range(OPENS_AFTER - 1):
        breaker.failed("refused", 0.0, WALL)

    assert breaker.wait(0.0) == 0.0
    assert breaker.reason == ""


def test_failures_with_an_answer_between_them_are_not_in_a_row() -> None:
    breaker = Breaker("p", Random(0))

    for _ in range(10):
        breaker.failed("refused", 0.0, WALL)
        breaker.failed("refused", 0.0, WALL)
        breaker.answered()

    assert breaker.wait(0.0) == 0.0


def test_an_open_breaker_says_since_when_and_why_and_goes_on_saying_the_same() -> None:
    breaker = opened()
    told = breaker.reason

    breaker.failed("reset", 5.0, WALL + 5)

    assert told == "p is not to be reached since 22:13:20Z: refused"
    assert breaker.reason == told


def test_it_lets_one_probe_through_when_the_pause_is_over() -> None:
    breaker = opened()
    assert 0 < breaker.wait(0.0) <= 1.1

    now = breaker.wait(0.0)
    assert breaker.wait(now) == 0.0
    breaker.begin()

    assert breaker.wait(now) == PROBE_SECONDS


def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now, pauses = opened(), 0.0, list[float]()

    for _ in range(10):
        pauses.append(round(breaker.wait(now), 6))
        now += breaker.wait(now)
        breaker.begin()
        breaker.failed("refused", now, WALL)

    assert pauses[1] > 1.8 * pauses[0]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert sorted(pauses) == pauses


def test_the_first_answer_lets_everybody_through() -> None:
    breaker = opened()

    breaker.begin()
    breaker.answered()

    assert breaker.wait(0.0) == 0.0
    assert breaker.reason == ""


def test_a_probe_that_was_cancelled_leaves_the_place_to_the_next() -> None:
    breaker = opened()
    now = breaker.wait(0.0)
    breaker.begin()

    breaker.abandon()

    assert breaker.wait(now) == 0.0
    assert breaker.reason
