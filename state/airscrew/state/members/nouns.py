"""
Members and claims, and their JSON form.

A newer version's fields are left out when an older one reads them; a key that cannot be read is a member of which
nothing is known but that it is there, or a claim of nobody.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from airscrew.idl.ids import SHARDS
from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.holder import Holder

LEADER = "leader"
"""The unit of the chores that one member does for all: events to sinks, retention, the anchor of time."""


def shard_unit(shard: int) -> str:
    """Name a shard as a unit of claims."""
    return f"{shard:02x}"


UNITS = (*(shard_unit(shard) for shard in range(SHARDS)), LEADER)
"""All that is claimed."""


class Life(StrEnum):
    """
    Where a member stands.

    JOINING: it is there and gets nothing yet. ACTIVE: it gets its share. LEAVING: it gives away what it has.
    """

    JOINING = "joining"
    ACTIVE = "active"
    LEAVING = "leaving"


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An engine among others.

    Attributes:
        id: Its name, never used again.
        life: Where it stands.
        version: Of its airscrew.
        schema: The newest form of records that it reads.
        joined_at: When it came, engine time.
        time: The engine's time when this was written.
        process: The process that it is.
        executors: Its executors, with the version of their states.
    """

    id: str
    life: Life = Life.JOINING
    version: str = ""
    schema: int = 1
    joined_at: float = 0.0
    time: float = 0.0
    process: Holder = Holder(host="", pid=0)
    executors: dict[str, int] = {}


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who has a unit.

    Attributes:
        owner: The member's id; empty for nobody.
        since: When it got it, engine time.
        given: Whether the one before gave it away, all its calls returned; else that one was not heard of any more.
    """

    owner: str = ""
    since: float = 0.0
    given: bool = False


def read_member(name: str, value: bytes) -> Member:
    """Read a member; one that cannot be read gets no share."""
    try:
        return msgspec.json.decode(value, type=Member)
    except BAD_JSON:
        return Member(id=name)


def read_claim(value: bytes) -> Claim:
    """Read a claim; one that cannot be read is nobody's."""
    try:
        return msgspec.json.decode(value, type=Claim)
    except BAD_JSON:
        return Claim()
