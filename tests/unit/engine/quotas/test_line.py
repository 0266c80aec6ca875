"""The line against the rules written down the slow way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from airscrew.engine.quotas.line import Line, Waiting, order_of
from airscrew.idl.ids import ExecutionId

LIMITS = {"p": 4, "p/n=a": 2, "p/n=b": 3, "p/j=x": 2, "q": 2}
SCOPES = [("p",), ("p", "p/n=a"), ("p", "p/n=b"), ("p", "p/n=a", "p/j=x"), ("p", "p/n=b", "p/j=x"), ("q",)]

waiters = st.lists(
    st.tuples(st.sampled_from(SCOPES), st.integers(1, 3), st.integers(-1, 1), st.integers(0, 5)), max_size=12
)
used = st.fixed_dictionaries({scope: st.integers(0, limit + 1) for scope, limit in LIMITS.items()})


def waiting(
    name: str, scopes: tuple[str, ...] = ("p",), units: int = 1, priority: int = 0, since: float = 0
) -> Waiting:
    execution = ExecutionId("default", name)
    return Waiting(execution=execution, scopes=scopes, units=units, order=order_of(execution, priority, since))


def line_of(*all_waiting: Waiting) -> Line:
    line = Line()
    for one in all_waiting:
        line.put(one)
    return line


def names(line: Line, free: Callable[[str], int]) -> list[str]:
    return [one.execution.name for one in line.admitted(free)]


def by_the_rules(line: Line, free: Callable[[str], int]) -> list[Waiting]:
    """Walk the whole line, one after the other."""
    left, stopped = {scope: free(scope) for scope in LIMITS}, set()
    going = []
    for one in sorted(line, key=lambda one: one.order):
        pool, *shares = one.scopes
        if one.scopes in stopped:
            continue
        lacking = [share for share in shares if left[share] < one.units]
        if lacking or left[pool] < one.units:
            stopped.add(one.scopes)
            kept = {share: left[share] - one.units for share in shares if share not in lacking}
            left.update(dict.fromkeys(lacking, 0) | kept if lacking else {pool: 0})
            continue
        for scope in one.scopes:
            left[scope] -= one.units
        going.append(one)
    return going


class TestProperties:
    @given(waiters, used)
    def test_who_may_go_is_who_the_rules_let_go(
        self, given: list[tuple[tuple[str, ...], int, int, int]], used: dict[str, int]
    ) -> None:
        line = line_of(*(waiting(f"e{at}", *one) for at, one in enumerate(given)))

        def free(scope: str) -> int:
            return LIMITS[scope] - used[scope]

        assert list(line.admitted(free)) == by_the_rules(line, free)

    @given(waiters, used)
    @example(
        [(("p",), 1, 0, 1), (("p",), 2, 0, 0), (("p", "p/n=a"), 2, 0, 0), (("p", "p/n=a"), 3, 1, 0)],
        dict.fromkeys(LIMITS, 0) | {"p": 1},
    )
    def test_those_who_go_fit_and_overtake_nobody_in_a_scope_that_he_lacks(
        self, given: list[tuple[tuple[str, ...], int, int, int]], used: dict[str, int]
    ) -> None:
        line = line_of(*(waiting(f"e{at}", *one) for at, one in enumerate(given)))

        going = list(line.admitted(lambda scope: LIMITS[scope] - used[scope]))

        for scope, limit in LIMITS.items():
            taken = sum(one.units for one in going if scope in one.scopes)
            assert taken == 0 or used[scope] + taken <= limit
        closed, kept, seen = set[str](), Counter[str](), set[tuple[str, ...]]()
        for left in sorted((one for one in line if one not in going), key=lambda one: one.order):
            behind = [one for one in going if one.order > left.order]
            assert not any(one.scopes == left.scopes for one in behind), f"{left} was overtaken by his like"
            if left.scopes in seen:
                continue  # he waits for the first of his like, who keeps for himself what there is
            seen.add(left.scopes)
            taken = Counter[str](kept)
            for one in going:
                taken.update({scope: one.units for scope in one.scopes if one.order < left.order})
            fits = {scope: LIMITS[scope] - used[scope] - taken[scope] >= left.units for scope in left.scopes}
            pool, *shares = left.scopes
            # A share that one before him closed is what he lacks, and not the pool.
            lacking = [share for share in shares if share in closed or not fits[share]]
            closed.update(lacking)
            if lacking:
                kept.update({share: left.units for share in shares if share not in lacking})
            elif not fits[pool]:
                lacking = [pool]
            assert not any(set(lacking) & set(one.scopes) for one in behind), f"{left} was overtaken"

    @given(waiters, st.lists(st.integers(0, 11)), used)
    def test_a_line_that_some_have_left_is_as_if_they_had_never_stood_there(
        self, given: list[tuple[tuple[str, ...], int, int, int]], leaving: list[int], used: dict[str, int]
    ) -> None:
        everybody = [waiting(f"e{at}", *one) for at, one in enumerate(given)]
        line = line_of(*everybody)
        for at in leaving:
            line.remove(ExecutionId("default", f"e{at}"))
        rest = line_of(*(one for at, one in enumerate(everybody) if at not in leaving))

        def free(scope: str) -> int:
            return LIMITS[scope] - used[scope]

        assert list(line.admitted(free)) == list(rest.admitted(free))
        assert len(line) == len(rest)

    @given(waiters)
    def test_all_come_to_their_turn_as_units_come_back(
        self, given: list[tuple[tuple[str, ...], int, int, int]]
    ) -> None:
        fitting = [one for one in given if one[1] <= min(LIMITS[scope] for scope in one[0])]
        line = line_of(*(waiting(f"e{at}", *one) for at, one in enumerate(fitting)))
        taken = dict.fromkeys(LIMITS, 0)
        running: list[Waiting] = []
        for _ in range(3 * len(fitting) + 1):
            for one in list(line.admitted(lambda scope: LIMITS[scope] - taken[scope])):
                line.remove(one.execution)
                running.append(one)
                for scope in one.scopes:
                    taken[scope] += one.units
            assert all(taken[scope] <= limit for scope, limit in LIMITS.items())
            if running:
                over = running.pop(0)
                for scope in over.scopes:
                    taken[scope] -= over.units

        assert len(line) == 0


def test_of_one_priority_the_first_goes_first() -> None:
    line = line_of(waiting("late", since=2), waiting("early", since=1), waiting("urgent", priority=5, since=9))

    assert names(line, lambda _: 2) == ["urgent", "early"]


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    line = line_of(waiting("large", units=3, since=1), waiting("small", since=2))

    assert names(line, lambda _: 2) == []
    assert names(line, lambda _: 3) == ["large"]


def test_a_namespace_at_its_share_holds_up_no_other() -> None:
    line = line_of(waiting("a", ("p", "p/n=a"), since=1), waiting("b", ("p", "p/n=b"), since=2))

    assert names(line, {"p": 1, "p/n=a": 0, "p/n=b": 1}.__getitem__) == ["b"]


def test_finding_out_who_may_go_does_not_walk_the_line() -> None:
    line = line_of(*(waiting(f"e{at:05}", since=at) for at in range(5000)))
    asked: list[str] = []

    def free(scope: str) -> int:
        asked.append(scope)
        return 1

    assert names(line, free) == ["e00000"]
    assert asked == ["p"]
