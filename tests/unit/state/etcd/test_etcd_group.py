"""
Groups of transactions come to the same as their members one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import permutations
from random import Random

import pytest

from airscrew.state.etcd.group import Group, Request, make_request
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.store import ANY, Compare, Delete, DeleteRange, Operation, Put

KEYS = "abcd"
Rows = Mapping[str, tuple[int, bytes]]


def request(compares: Sequence[Compare], operations: Sequence[Operation]) -> Request:
    return make_request(asyncio.Future(loop=_LOOP), compares, operations, 8)


_LOOP = asyncio.new_event_loop()
_LOOP.close()


def put(key: str, value: bytes = b"1", lease: int = 0) -> Request:
    return request((), [Put(key, value, lease)])


def test_transactions_of_other_keys_go_together() -> None:
    group = Group(EtcdOptions())

    assert group.take(request([Compare("a", 1)], [Put("a", b"1")]))
    assert group.take(request([Compare("b", 2)], [Delete("b")]))

    assert group.compares() == [Compare("a", 1), Compare("b", 2)]
    assert group.operations() == [Put("a", b"1"), Delete("b")]
    assert group.asked() == ["a", "b"]


def test_the_same_put_and_the_same_compare_are_made_once() -> None:
    group = Group(EtcdOptions())

    assert group.take(request([Compare("t", ANY)], [Put("epoch", b""), Put("a", b"1")]))
    assert group.take(request([Compare("t", ANY)], [Put("epoch", b""), Put("b", b"1")]))

    assert group.compares() == [Compare("t", ANY)]
    assert group.operations() == [Put("epoch", b""), Put("a", b"1"), Put("b", b"1")]


@pytest.mark.parametrize(
    ("compares", "operations"),
    [
        ((), [Put("p", b"other")]),
        ((), [Delete("p")]),
        ((), [DeleteRange("o", "q")]),
        ((), [Put("c", b"1")]),
        ((), [DeleteRange("b", "d")]),
        ((), [Put("d", b"1")]),
        ((), [Put("r5", b"1")]),
        ([Compare("p", 0)], ()),
        ([Compare("d", 0)], ()),
        ([Compare("r5", 0)], ()),
        ([Compare("c", 8)], ()),
        ([Compare("e", 1), Compare("e", 2)], ()),
        ((), [Put("l", b"1", 77)]),
    ],
)
def test_what_collides_waits_for_the_next_group(compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
    group = Group(EtcdOptions())
    group.take(request([Compare("c", 7)], [Put("p", b"1"), Delete("d"), DeleteRange("r1", "r9")]))

    assert not group.take(request(compares, operations))

    assert len(group.requests) == 1


def test_a_group_ends_at_its_limits() -> None:
    few = Group(EtcdOptions(group_operations=3))
    small = Group(EtcdOptions(group_bytes=1000))

    assert [few.take(put(key)) for key in "abcd"] == [True, True, True, False]
    assert [small.take(put(key, bytes(400))) for key in "abc"] == [True, True, False]


def test_the_first_one_always_goes_and_one_with_a_lease_goes_alone() -> None:
    large, leased = Group(EtcdOptions(group_bytes=10)), Group(EtcdOptions())

    assert large.take(put("a", bytes(100)))
    assert leased.take(put("a", lease=5))

    assert not leased.take(put("b"))
    assert leased.is_full


def test_a_range_that_holds_nothing_is_left_out() -> None:
    assert request((), [DeleteRange("b", "a")]).operations == []


def test_losers_are_told_by_the_revisions_that_were_found() -> None:
    group = Group(EtcdOptions())
    winner, loser, other = (request([Compare(key, 5)], [Put(key, b"")]) for key in "abc")
    for one in (winner, loser, other):
        group.take(one)

    verdicts = dict(zip(("winner", "loser", "other"), (holds for _, holds in group.judge([5, 6, 0])), strict=True))

    assert verdicts == {"winner": True, "loser": False, "other": False}


def test_a_group_is_as_its_members_in_some_order() -> None:
    for seed in range(1500):
        judge_a_group(Random(seed))


def judge_a_group(dice: Random) -> None:
    rows = {key: (dice.randrange(1, 4), b"old") for key in KEYS if dice.random() < 0.7}
    group = Group(EtcdOptions())
    for _ in range(6):
        group.take(any_request(dice, rows))

    together = apply(rows, group.compares(), group.operations())

    if together is not None:
        orders = (one_by_one(rows, order) for order in permutations(group.requests))
        assert any(order == together for order in orders), f"no order of {group.requests} comes to {together}"
    else:
        found = [rows.get(key, (0, b""))[0] for key in group.asked()]
        losers = [one for one, holds in group.judge(found) if not holds]
        assert losers
        assert all(apply(rows, one.compares, one.operations) is None for one in losers)


def any_request(dice: Random, rows: Rows) -> Request:
    """A transaction that mostly holds."""
    compares = [
        Compare(key, dice.choice((rows.get(key, (0, b""))[0],) * 6 + (ANY, 9))) for key in KEYS if dice.random() < 0.3
    ]
    operations: list[Operation] = []
    for key in KEYS:
        draw = dice.random()
        if draw < 0.2:
            operations.append(Put(key, dice.choice((b"x", b"y"))))
        elif draw < 0.35:
            operations.append(Delete(key))
        elif draw < 0.4:
            operations.append(DeleteRange(key, "z"))
            break
    return request(compares, operations)


def one_by_one(rows: Rows, order: Sequence[Request]) -> Rows | None:
    """All of them one after the other; None when one fails."""
    state: Rows | None = rows
    for one in order:
        state = apply(state, one.compares, one.operations) if state is not None else None
    return state


def apply(rows: Rows, compares: Sequence[Compare], operations: Sequence[Operation]) -> Rows | None:
    """One transaction; every write of a group carries one revision, 9."""
    for compare in compares:
        revision = rows.get(compare.key, (0, b""))[0]
        if revision != compare.mod_revision and not (compare.mod_revision == ANY and revision):
            return None
    state = dict(rows)
    for operation in operations:
        match operation:
            case Put(key, value):
                state[key] = (9, value)
            case Delete(key):
                state.pop(key, None)
            case DeleteRange(start, end):
                state = {key: row for key, row in state.items() if not start <= key < end}
    return state
