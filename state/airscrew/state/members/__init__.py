"""
Several engines on one store: who is there, and which of them has which shard.

A member is there as long as its key under ``members/live/`` is, which goes with its lease. A shard is a member's from
the moment on at which ``members/claim/<unit>`` names it, and no write of a shard's owner MUST reach the store without
comparing that key's revision: who owned it before writes nothing any more, however long it was paused.
"""

from airscrew.state.members.held import Held
from airscrew.state.members.joining import LEASE_SECONDS, join
from airscrew.state.members.membership import Membership, Unit
from airscrew.state.members.nouns import LEADER, UNITS, Claim, Life, Member, shard_unit

__all__ = [
    "LEADER",
    "LEASE_SECONDS",
    "UNITS",
    "Claim",
    "Held",
    "Life",
    "Member",
    "Membership",
    "Unit",
    "join",
    "shard_unit",
]
