"""
What is known of members and claims: a list of the store, kept up to date by a watch.

News that is older than what is known changes nothing, so a watch that lags, repeats itself or was begun again, and
the answers to own transactions, may come in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airscrew.state import keys
from airscrew.state.members.nouns import Claim, Member, read_claim, read_member
from airscrew.state.store import Event, KeyValue


@dataclass(slots=True)
class Table:
    """
    Members and claims.

    Attributes:
        members: Those that are there, by id.
        claims: By unit.
        revisions: The newest revision known of each key.
        listed_at: The revision of the newest list; what that did not hold was gone by then.
    """

    members: dict[str, Member] = field(default_factory=dict[str, Member])
    claims: dict[str, Claim] = field(default_factory=dict[str, Claim])
    revisions: dict[str, int] = field(default_factory=dict[str, int])
    listed_at: int = 0

    def revision(self, unit: str) -> int:
        """Return the revision of a unit's claim; 0 when it was never claimed."""
        return self.revisions.get(keys.claim_key(unit), 0) if unit in self.claims else 0

    def apply(self, event: Event) -> bool:
        """Take in a piece of news; False when it is none."""
        if event.revision <= self.revisions.get(event.key, self.listed_at):
            return False
        self.revisions[event.key] = event.revision
        kind, name = keys.membership_of(event.key)
        if kind == "live":
            if event.value is None:
                return self.members.pop(name, None) is not None
            self.members[name] = read_member(name, event.value)
        elif kind == "claim":
            if event.value is None:
                return self.claims.pop(name, None) is not None
            self.claims[name] = read_claim(event.value)
        return True

    def replace(self, items: Sequence[KeyValue], revision: int) -> None:
        """Take in a list of everything as of a revision: what is not in it is gone."""
        listed = {item.key for item in items}
        for item in items:
            self.apply(Event(item.key, item.value, item.mod_revision))
        for key in [key for key, known in self.revisions.items() if key not in listed and known <= revision]:
            kind, name = keys.membership_of(key)
            (self.members if kind == "live" else self.claims).pop(name, None)
            del self.revisions[key]
        self.listed_at = max(self.listed_at, revision)
