"""
A disk under the store: what was written and not synced may be gone after the power was cut.

Transactions go whole, the newest first: a log that is replayed ends where it was cut. A store that acknowledges only
after the sync loses nothing that anybody relies on; one that acknowledges before is found out (``mutations``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from airscrew.state.store import Operation


@dataclass(slots=True)
class Disk:
    """
    The log of a store.

    Attributes:
        log: Every transaction with its revision, in the order in which they were written.
        synced: How many of them survive whatever happens.
    """

    log: list[tuple[int, Sequence[Operation]]] = field(default_factory=list)
    synced: int = 0

    def write(self, revision: int, operations: Sequence[Operation]) -> None:
        """Write a transaction; it may still be lost."""
        self.log.append((revision, operations))

    def sync(self) -> None:
        """Make all that was written survive: what a store waits for before it acknowledges."""
        self.synced = len(self.log)

    def cut_power(self, dice: Random) -> bool:
        """Lose some of what is not synced, or all of it, or nothing; True when something is lost."""
        kept = dice.randint(self.synced, len(self.log))
        is_lost = kept < len(self.log)
        del self.log[kept:]
        self.synced = kept
        return is_lost
