from __future__ import annotations

import math

import pytest

from airscrew.state.errors import LeaseOverError
from airscrew.state.leases import LeaseBook


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> LeaseBook:
    return LeaseBook(clock)


def test_a_lease_is_due_when_its_time_is_over(book: LeaseBook, clock: Clock) -> None:
    book.begin(1, 10)
    book.begin(2, 20)

    clock.seconds = 10

    assert book.seconds_left() == 0
    assert book.due() == [1]
    assert book.next_due == 20


def test_a_lease_kept_alive_is_not_due(book: LeaseBook, clock: Clock) -> None:
    book.begin(1, 10)
    clock.seconds = 9

    assert book.keep_alive(1) == 10
    clock.seconds = 10

    assert book.due() == []
    assert not book.is_due(1)


def test_a_lease_that_is_due_cannot_be_kept_alive_even_before_it_is_ended(book: LeaseBook, clock: Clock) -> None:
    book.begin(1, 10)
    clock.seconds = 10

    with pytest.raises(LeaseOverError):
        book.keep_alive(1)


def test_without_leases_nothing_is_due(book: LeaseBook) -> None:
    book.begin(1, 10)
    book.end(1)

    assert book.next_due == math.inf
    assert 1 not in book


def test_a_lease_that_could_not_be_ended_is_due_again_later(book: LeaseBook, clock: Clock) -> None:
    book.begin(1, 10)
    clock.seconds = 10
    assert book.due() == [1]

    book.defer(1, 5)

    assert book.next_due == 15
    clock.seconds = 15
    assert book.due() == [1]


def test_all_leases_begin_anew_after_a_restart(book: LeaseBook, clock: Clock) -> None:
    book.begin(7, 1)
    clock.seconds = 100

    book.begin_all([(1, 10), (2, 5)])

    assert 7 not in book
    assert book.next_due == 105
