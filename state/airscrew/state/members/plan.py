"""
Who is to have what: pure.

Each unit goes to the active member that scores highest for it (rendezvous hashing): every member comes to the same
answer by itself, and when one comes or goes only its own share moves. That is a proposal; the claims decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from airscrew.state.members.nouns import Claim, Life, Member


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What one member is to do.

    Attributes:
        take: Units that nobody has, or whose owner is not there any more.
        give: Units of its own, and who is to get each; empty when there is nobody.
    """

    take: tuple[str, ...] = ()
    give: tuple[tuple[str, str], ...] = ()


@lru_cache(maxsize=65_536)
def _score(member: str, unit: str) -> bytes:
    return hashlib.blake2b(f"{member}\0{unit}".encode(), digest_size=8).digest()


def proposed(unit: str, active: Collection[str]) -> str:
    """Name the member that is to have a unit; empty when there is none."""
    return max(active, key=lambda member: (_score(member, unit), member), default="")


def make_plan(me: str, members: Mapping[str, Member], claims: Mapping[str, Claim], units: Iterable[str]) -> Plan:
    """
    Say what a member is to take and to give.

    Args:
        me: Its id.
        members: All that are there, by id.
        claims: By unit; one that is missing is nobody's.
        units: All units.
    """
    active = sorted(one.id for one in members.values() if one.life is Life.ACTIVE)
    is_leaving = me in members and members[me].life is Life.LEAVING
    take: list[str] = []
    give: list[tuple[str, str]] = []
    for unit in units:
        owner = claims[unit].owner if unit in claims else ""
        to = proposed(unit, active)
        if owner == me:
            if (to and to != me) or is_leaving:
                give.append((unit, to))
        elif to == me and owner not in members:
            take.append(unit)
    return Plan(tuple(take), tuple(give))


def written_schema(members: Iterable[Member], own: int) -> int:
    """Say which form of records is written: one that every member that is there can read."""
    return min([own, *(one.schema for one in members)])
