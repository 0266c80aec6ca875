"""
Quotas in a simulation: that they hold after each single write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.world import World

from airscrew.engine.quotas import Pools
from airscrew.state import keys
from airscrew.state.records import LedgerEntry, decode
from airscrew.state.store import Delete, Operation, Put


@dataclass(slots=True)
class Units:
    """
    Who has which units.

    Attributes:
        world: The run.
        ledger: What each open entry has, by its key.
        tokens: What is taken.
    """

    world: World
    ledger: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def judge(self, operations: Sequence[Operation]) -> None:
        """Take note of a transaction; what is taken is what open entries have, and never more than there is."""
        touched = False
        for one in operations:
            if isinstance(one, Put | Delete) and one.key.startswith((keys.LEDGER, keys.QUOTA_TOKENS)):
                touched = True
                self._take_note(one)
        if not touched or not self.world.plan.quotas:
            return
        had = [token for tokens in self.ledger.values() for token in tokens]
        if sorted(had) != sorted(self.tokens):
            self.world.violate(f"10: units taken are {sorted(self.tokens)}, and open entries have {sorted(had)}")
        pools = Pools(self.world.plan.quotas)
        for scope, count in Counter(token.rpartition("/")[0] for token in had).items():
            limit = pools.limit(scope)
            if limit is None or count > limit:
                self.world.violate(f"10: {count} open entries have units of {scope}, which has {limit}")
            elif count == limit:
                self.world.fault("quota used up")

    def _take_note(self, one: Put | Delete) -> None:
        if one.key.startswith(keys.QUOTA_TOKENS):
            token = one.key.removeprefix(keys.QUOTA_TOKENS)
            self.tokens.add(token) if isinstance(one, Put) else self.tokens.discard(token)
        elif isinstance(one, Put):
            self.ledger[one.key] = decode(one.value, LedgerEntry).tokens
        else:
            self.ledger.pop(one.key, None)
