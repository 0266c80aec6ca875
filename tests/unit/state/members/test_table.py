"""
Members and claims, kept up to date by news that may be late, doubled or in any order.
"""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from airscrew.state.members.nouns import Claim, Life, Member
from airscrew.state.members.table import Table
from airscrew.state.store import Event, KeyValue


def live(name: str, revision: int, life: Life = Life.ACTIVE) -> Event:
    return Event(f"members/live/{name}", msgspec.json.encode(Member(id=name, life=life)), revision)


def claim(unit: str, owner: str, revision: int) -> Event:
    return Event(f"members/claim/{unit}", msgspec.json.encode(Claim(owner=owner)), revision)


def gone(key: str, revision: int) -> Event:
    return Event(key, None, revision)


HISTORY = [
    live("a", 1, Life.JOINING),
    live("a", 2),
    claim("00", "a", 3),
    live("b", 4),
    claim("00", "b", 5),
    gone("members/live/a", 6),
    claim("01", "a", 7),
    gone("members/claim/01", 8),
]


@pytest.mark.parametrize("seed", range(50))
def test_any_order_of_the_same_news_comes_to_the_same(seed: int) -> None:
    dice = Random(seed)
    news = HISTORY + dice.choices(HISTORY, k=5)
    dice.shuffle(news)
    table = Table()
    for event in news:
        table.apply(event)

    assert set(table.members) == {"b"}
    assert {unit: one.owner for unit, one in table.claims.items()} == {"00": "b"}
    assert table.revision("00") == 5
    assert table.revision("01") == 0


def test_what_a_list_does_not_hold_is_gone() -> None:
    table = Table()
    for event in (live("a", 1), live("b", 2), claim("00", "a", 3)):
        table.apply(event)

    kept = live("b", 2)
    table.replace([KeyValue(key=kept.key, value=kept.value or b"", create_revision=2, mod_revision=2)], 10)

    assert set(table.members) == {"b"}
    assert not table.claims


@pytest.mark.parametrize("was_known", [True, False])
def test_news_older_than_a_list_does_not_bring_back_what_was_gone_by_then(was_known: bool) -> None:
    table = Table()
    if was_known:
        table.apply(live("a", 1))
    table.replace([], 10)  # it was deleted at 9; a watch that breaks before that, and goes on from 11, tells of 8 only

    assert not table.apply(live("a", 8))
    assert not table.members

    assert table.apply(live("a", 11))
    assert set(table.members) == {"a"}


def test_what_is_newer_than_a_list_stays() -> None:
    table = Table()
    table.apply(claim("00", "a", 12))

    table.replace([], 10)

    assert table.claims["00"].owner == "a"


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"id": 3}'])
def test_a_member_that_cannot_be_read_is_there_and_gets_nothing(value: bytes) -> None:
    table = Table()
    table.apply(Event("members/live/a", value, 1))

    assert table.members["a"].life is Life.JOINING


def test_a_claim_that_cannot_be_read_is_nobodys() -> None:
    table = Table()
    table.apply(Event("members/claim/00", b"\x00", 4))

    assert table.claims["00"].owner == ""
    assert table.revision("00") == 4
