"""
Who is there and who has what, for people: read once, by anybody who reaches the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airscrew.state import keys
from airscrew.state.following import read_all
from airscrew.state.holder import Holder, holder_of
from airscrew.state.lease_lock import ENGINE_KEY
from airscrew.state.members.nouns import Claim, Member
from airscrew.state.members.table import Table
from airscrew.state.store import Store


@dataclass(frozen=True, slots=True)
class Membership:
    """
    How the engines of a store stand.

    Attributes:
        members: Those that share it, by id.
        claims: By unit; one that is missing was never claimed.
        alone: The process that has the store for itself; None when none has.
    """

    members: Mapping[str, Member]
    claims: Mapping[str, Claim]
    alone: Holder | None

    def owner(self, unit: str) -> str:
        """Name the member that has a unit; empty when nobody is there who has it."""
        owner = self.claims[unit].owner if unit in self.claims else ""
        return owner if owner in self.members else ""


async def read_membership(store: Store) -> Membership:
    """Read members and claims."""
    table = Table()
    table.replace(*await read_all(store, keys.MEMBERSHIP))
    engine = await store.get(ENGINE_KEY)
    return Membership(table.members, table.claims, None if engine is None else holder_of(engine))
