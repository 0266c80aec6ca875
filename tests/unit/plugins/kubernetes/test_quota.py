"""A full quota holds those back who would be refused, lets one try, and goes on as soon as something is free."""

from __future__ import annotations

from decimal import Decimal

from airscrew.engine.executor import NotStarted
from airscrew.plugins.kubernetes.pod.demand import pod_demand
from airscrew.plugins.kubernetes.quota import FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS, QuotaGates
from airscrew.plugins.kubernetes.refusals import QuotaFull

ONE = {"pods": Decimal(1)}
FULL = QuotaFull("waiting for quota few: pods: 1 wanted, 1/1 used", left={"pods": Decimal(0)})


def closed(*waiting: str) -> QuotaGates:
    gates = QuotaGates()
    assert gates.held("team", "first", ONE, 0) is None
    gates.refused("team", "first", FULL, 0)
    for key in waiting:
        assert gates.held("team", key, ONE, 0) is not None
    return gates


def test_without_a_refusal_nobody_is_held() -> None:
    assert QuotaGates().held("team", "a", ONE, 0) is None


def test_after_a_refusal_the_others_wait_and_say_for_what() -> None:
    held = closed().held("team", "second", ONE, 0.5)

    assert isinstance(held, NotStarted)
    assert held.reason == FULL.reason
    assert held.delay == LAST_PAUSE_SECONDS


def test_another_namespace_goes_on() -> None:
    assert closed().held("other", "a", ONE, 0) is None


def test_who_needs_nothing_of_what_is_used_up_goes_on() -> None:
    gates = QuotaGates()
    gates.refused("team", "a", QuotaFull("gpus", left={"requests.nvidia.com/gpu": Decimal(1)}), 0)

    assert gates.held("team", "b", ONE, 0) is None
    assert gates.held("team", "c", {"requests.nvidia.com/gpu": Decimal(1)}, 0) is None
    assert gates.held("team", "d", {"requests.nvidia.com/gpu": Decimal(2)}, 0) is not None


def test_after_the_pause_one_alone_tries() -> None:
    gates = closed("second", "third")

    assert gates.held("team", "first", ONE, FIRST_PAUSE_SECONDS) is None
    assert gates.held("team", "second", ONE, FIRST_PAUSE_SECONDS) is not None


def test_pauses_double_up_to_a_limit() -> None:
    gates, now, pauses = closed(), 0.0, list[float]()
    for _ in range(9):
        now += LAST_PAUSE_SECONDS
        assert gates.held("team", "first", ONE, now) is None
        delay = gates.refused("team", "first", FULL, now).delay
        assert delay is not None
        pauses.append(delay)

    assert pauses[:3] == [2, 4, 8]
    assert pauses[-1] == LAST_PAUSE_SECONDS


def test_a_try_that_comes_through_wakes_the_next() -> None:
    gates = closed("second")
    assert gates.held("team", "first", ONE, 2) is None

    assert list(gates.passed("team", "first", 2)) == ["second"]
    assert gates.held("team", "second", ONE, 2) is None
    assert list(gates.passed("team", "second", 2)) == []
    assert gates.held("team", "fourth", ONE, 2) is None


def test_the_end_of_an_object_wakes_the_first_in_line_at_once() -> None:
    gates = closed("second")

    assert list(gates.freed("team", 0.1)) == ["first", "second"]
    assert gates.held("team", "first", ONE, 0.1) is None
    assert gates.held("team", "second", ONE, 0.1) is not None


def test_one_in_line_that_is_over_holds_nobody_up() -> None:
    gates = closed("second")
    gates.freed("team", 0.1)

    assert gates.held("team", "second", ONE, 0.1) is None
    assert list(gates.passed("team", "second", 0.1)) == []


def test_a_try_that_nobody_hears_of_again_holds_nobody_for_ever() -> None:
    gates = closed("second")
    assert gates.held("team", "first", ONE, 2) is None

    assert gates.held("team", "second", ONE, 100) is None


def test_a_pod_needs_what_its_containers_ask_for_and_are_held_to() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "nvidia.com/gpu": "2"}}

    demand = pod_demand({"spec": {"containers": [{"resources": resources}, {"resources": resources}, {}]}})

    assert demand["pods"] == 1
    assert (demand["requests.cpu"], demand["cpu"], demand["limits.cpu"]) == (1, 1, 2)
    assert demand["requests.nvidia.com/gpu"] == 4
