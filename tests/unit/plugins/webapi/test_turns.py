from __future__ import annotations

import heapq

import pytest

from airscrew.plugins.webapi.turns import Turns


def test_without_a_rate_everybody_has_the_turn_at_once() -> None:
    turns = Turns(None, 1)

    assert [turns.take(str(number), 0.0) for number in range(100)] == [0.0] * 100


def test_a_burst_goes_at_once_and_the_rest_in_line() -> None:
    turns = Turns(10.0, 2)

    waits = [turns.take(str(number), 0.0) for number in range(5)]

    assert waits == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.3])
    assert turns.waiting == 3


def test_who_comes_back_keeps_the_place_and_nobody_overtakes() -> None:
    turns = Turns(1.0, 1)
    turns.take("first", 0.0)
    assert turns.take("second", 0.0) == pytest.approx(1.0)

    assert turns.take("third", 0.9) == pytest.approx(1.1)
    assert turns.take("second", 0.5) == pytest.approx(0.5)
    assert turns.take("second", 1.0) == 0.0
    assert turns.take("third", 1.0) == pytest.approx(1.0)


def test_a_thousand_come_through_in_order_at_the_rate() -> None:
    turns, taken = Turns(10.0, 5), list[tuple[float, int]]()
    queue = [(0.0, number) for number in range(1000)]

    while queue:
        now, number = heapq.heappop(queue)
        wait = turns.take(str(number), now)
        if wait:
            heapq.heappush(queue, (now + wait, number))
        else:
            taken.append((now, number))

    assert [number for _, number in taken] == list(range(1000))
    assert taken[-1][0] == pytest.approx(99.5, abs=0.1)


def test_those_who_come_late_together_do_not_exceed_the_rate() -> None:
    turns = Turns(10.0, 5)
    for number in range(100):
        turns.take(str(number), 0.0)

    at_once = [number for number in range(100) if turns.take(str(number), 20.0) == 0.0]

    assert len(at_once) == 5


def test_who_never_comes_back_is_forgotten() -> None:
    turns = Turns(1.0, 1)
    for number in range(10):
        turns.take(str(number), 0.0)

    turns.take("later", 1000.0)

    assert turns.waiting == 0


def test_a_provider_that_wants_to_be_left_alone_is() -> None:
    turns = Turns(None, 1)

    turns.pause(7.0)

    assert turns.take("x", 2.0) == 5.0
    assert turns.take("x", 7.0) == 0.0
