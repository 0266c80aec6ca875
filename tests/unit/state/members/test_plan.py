"""
Who is to have what.
"""

from __future__ import annotations

from collections import Counter

import pytest

from airscrew.state.members.nouns import UNITS, Claim, Life, Member
from airscrew.state.members.plan import make_plan, proposed, written_schema


def members(**lives: Life) -> dict[str, Member]:
    return {name: Member(id=name, life=life) for name, life in lives.items()}


def claimed(owners: dict[str, str]) -> dict[str, Claim]:
    return {unit: Claim(owner=owner) for unit, owner in owners.items()}


def shares(names: list[str]) -> dict[str, str]:
    return {unit: proposed(unit, names) for unit in UNITS}


def test_every_member_gets_a_fair_share() -> None:
    counts = Counter(shares(["a", "b", "c", "d"]).values())

    assert sum(counts.values()) == len(UNITS)
    assert all(40 <= count <= 90 for count in counts.values())


def test_when_a_member_comes_only_its_own_share_moves() -> None:
    before, after = shares(["a", "b", "c"]), shares(["a", "b", "c", "d"])

    assert all(after[unit] in {"d", before[unit]} for unit in UNITS)


def test_when_a_member_goes_only_its_own_share_moves() -> None:
    before, after = shares(["a", "b", "c"]), shares(["a", "c"])

    assert all(before[unit] == "b" for unit in UNITS if after[unit] != before[unit])


def test_nobody_is_proposed_where_nobody_is() -> None:
    assert proposed("00", []) == ""


def test_a_member_alone_takes_all_that_nobody_has() -> None:
    plan = make_plan("a", members(a=Life.ACTIVE), claimed({"00": "gone", "01": ""}), UNITS)

    assert set(plan.take) == set(UNITS)
    assert not plan.give


@pytest.mark.parametrize("life", [Life.JOINING, Life.LEAVING])
def test_a_member_that_is_not_active_takes_nothing(life: Life) -> None:
    assert not make_plan("a", members(a=life), {}, UNITS).take


def test_what_another_live_member_has_is_not_taken_whatever_is_proposed() -> None:
    claims = claimed(dict.fromkeys(UNITS, "b"))

    assert not make_plan("a", members(a=Life.ACTIVE, b=Life.LEAVING), claims, UNITS).take


def test_what_another_one_is_to_have_is_given_to_it() -> None:
    claims = claimed(dict.fromkeys(UNITS, "a"))

    plan = make_plan("a", members(a=Life.ACTIVE, b=Life.ACTIVE), claims, UNITS)

    assert {unit for unit, _ in plan.give} == {unit for unit, owner in shares(["a", "b"]).items() if owner == "b"}
    assert {to for _, to in plan.give} == {"b"}


def test_a_member_that_joins_gets_nothing_yet() -> None:
    claims = claimed(dict.fromkeys(UNITS, "a"))

    assert not make_plan("a", members(a=Life.ACTIVE, b=Life.JOINING), claims, UNITS).give


def test_who_leaves_gives_all_away_and_to_nobody_where_nobody_is() -> None:
    claims = claimed(dict.fromkeys(UNITS, "a"))

    alone = make_plan("a", members(a=Life.LEAVING), claims, UNITS)
    in_company = make_plan("a", members(a=Life.LEAVING, b=Life.ACTIVE), claims, UNITS)

    assert set(alone.give) == {(unit, "") for unit in UNITS}
    assert set(in_company.give) == {(unit, "b") for unit in UNITS}


def test_what_the_oldest_member_cannot_read_is_not_written() -> None:
    assert written_schema([Member(id="a", schema=3), Member(id="b", schema=2)], 3) == 2
    assert written_schema([], 3) == 3
