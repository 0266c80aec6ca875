from __future__ import annotations

from airscrew.engine.controller.gates import (
    BREAKER_EXECUTIONS,
    BREAKER_OPEN_SECONDS,
    BREAKER_QUIET_SECONDS,
    Gate,
)
from airscrew.idl.ids import ExecutionId


def of(name: str) -> ExecutionId:
    return ExecutionId("default", name)


class Hall:
    """A gate whose wakes are noted."""

    def __init__(self, limit: int | None) -> None:
        self.woken: list[str] = []
        self.gate = Gate(limit, lambda execution: self.woken.append(execution.name))

    def take(self, *names: str) -> None:
        for name in names:
            self.gate.take(of(name))

    def wait(self, *names: str) -> list[bool]:
        return [bool(self.gate.why_closed(of(name), 0.0)) for name in names]


def test_without_a_limit_everybody_goes() -> None:
    hall = Hall(None)

    hall.take("a", "b")

    assert hall.wait("c") == [False]
    assert hall.gate.live == 0


def test_over_the_limit_one_waits_and_is_told_why() -> None:
    hall = Hall(2)
    hall.take("a", "b")

    assert "2 of 2 in use" in hall.gate.why_closed(of("c"), 0.0)
    assert hall.gate.why_closed(of("a"), 0.0) == ""


def test_slots_are_handed_out_first_come_first_served() -> None:
    hall = Hall(1)
    hall.take("a")
    hall.wait("b", "c")

    hall.gate.give_back(of("a"))

    assert hall.woken == ["b"]
    assert hall.wait("c", "b") == [True, False]


def test_a_newcomer_does_not_overtake_the_line() -> None:
    hall = Hall(1)
    hall.take("a")
    hall.wait("b")

    hall.gate.give_back(of("a"))

    assert hall.wait("newcomer") == [True]


def test_two_slots_freed_at_once_wake_two() -> None:
    hall = Hall(2)
    hall.take("a1", "a2")
    hall.wait("b", "c", "d")

    hall.gate.give_back(of("a1"))
    hall.gate.give_back(of("a2"))

    assert set(hall.woken) == {"b", "c"}


def test_who_leaves_the_line_without_its_slot_passes_the_word_on() -> None:
    hall = Hall(1)
    hall.take("a")
    hall.wait("b", "c")
    hall.gate.give_back(of("a"))
    hall.woken.clear()

    hall.gate.give_back(of("b"))

    assert hall.woken == ["c"]


def test_giving_back_what_one_never_had_wakes_nobody() -> None:
    hall = Hall(1)
    hall.take("a")
    hall.wait("b")

    hall.gate.give_back(of("stranger"))

    assert hall.woken == []


def test_taking_a_slot_twice_counts_once() -> None:
    hall = Hall(2)

    hall.take("a", "a")
    hall.gate.give_back(of("a"))

    assert hall.gate.live == 0


def test_the_line_is_empty_again_when_all_have_gone() -> None:
    hall = Hall(1)
    names = [f"n{number}" for number in range(50)]
    for name in names:
        hall.wait(name)

    for name in names:
        hall.gate.why_closed(of(name), 0.0)
        hall.gate.take(of(name))
        hall.gate.give_back(of(name))

    assert not hall.gate._line
    assert not hall.gate._holders


def test_many_in_trouble_at_once_while_none_comes_through_open_the_breaker() -> None:
    gate = Hall(None).gate

    calm = [gate.trouble(of(f"n{n}"), float(n)) for n in range(BREAKER_EXECUTIONS)]

    assert calm == [True] * (BREAKER_EXECUTIONS - 1) + [False]
    assert "in trouble" in gate.why_closed(of("x"), 10.0)
    assert "10 executions in trouble" in gate.breaker(10.0)


def test_one_that_fails_again_and_again_is_alone_in_its_trouble() -> None:
    gate = Hall(None).gate

    assert all(gate.trouble(of("broken"), float(n)) for n in range(100))


def test_while_others_come_through_each_trouble_is_its_own() -> None:
    gate = Hall(None).gate
    for number in range(50):
        gate.well(of("healthy"), number * 10.0)

        assert gate.trouble(of(f"n{number}"), number * 10.0 + 5.0)

    assert gate.breaker(500.0) == ""


def test_who_comes_through_is_forgotten_and_so_is_who_is_done() -> None:
    gate = Hall(None).gate
    names = [f"n{n}" for n in range(BREAKER_EXECUTIONS - 1)]
    for name in names:
        gate.trouble(of(name), 0.0)

    gate.well(of("n0"), 0.0)
    gate.forget(of("n1"))

    assert gate.trouble(of("late"), BREAKER_QUIET_SECONDS + 1)
    assert len(gate._troubled) == BREAKER_EXECUTIONS - 2


def test_the_breaker_closes_by_itself() -> None:
    gate = Hall(None).gate
    for number in range(BREAKER_EXECUTIONS):
        gate.trouble(of(f"n{number}"), 0.0)

    assert gate.is_open(BREAKER_OPEN_SECONDS - 1)
    assert gate.why_closed(of("x"), BREAKER_OPEN_SECONDS) == ""
    assert gate.breaker(BREAKER_OPEN_SECONDS) == ""
