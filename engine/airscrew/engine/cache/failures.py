"""
What a failed sync costs an item: how long it waits, and in how large a batch it is tried again.

Guarantees:

1. Each item backs off by its own count of failures; those that failed in one call come back together, so that
   a provider that is down is asked no more often than one that is up.
2. The items of calls that fail again are tried in halves. Halving goes in step with the doubling of the
   backoff, so it costs no further calls; beyond the longest backoff it goes on only when other calls succeed,
   since then one of the items is to blame.
"""

from __future__ import annotations

import math
from random import Random

from airscrew.engine.cache.items import ItemId, ItemT
from airscrew.engine.cache.options import CacheOptions
from airscrew.engine.cache.schedule import Entry
from airscrew.engine.ratelimit import ExponentialBackoff


class Failures:
    """
    Keeps count of failures.

    Args:
        options: The cache's options.
        random: Where jitter comes from.
    """

    def __init__(self, options: CacheOptions, random: Random) -> None:
        cap = max(options.period_seconds, options.backoff_cap_seconds)
        self._backoff = ExponentialBackoff(
            base_seconds=options.period_seconds, cap_seconds=cap, jitter=options.jitter, random=random
        )
        self._halvings = math.log2(cap / options.period_seconds)
        self._splits = options.split_failed_batches
        self._failing: dict[ItemId, int] = {}
        self.last_success_at = -math.inf
        self.last_error = ""

    def record(
        self,
        entry: Entry[ItemT],
        error: BaseException,
        *,
        now: float,
        spread: float | None = None,
        of_batch: int = 0,
    ) -> float:
        """
        Note that an item's sync failed, and return how long it waits for the next.

        Args:
            entry: The item.
            error: Why.
            now: The time.
            spread: Where in the jitter's range its backoff lies; see ``ExponentialBackoff``.
            of_batch: The size of the batch that failed as a whole; 0 when the item failed alone.
        """
        entry.errors += 1
        entry.last_error = self.last_error = describe(error)
        if of_batch and self._splits:
            others_succeed = self.last_success_at > entry.failed_at
            may_halve = entry.errors > 1 and (entry.errors - 1 <= self._halvings or others_succeed)
            entry.split_limit = max(1, of_batch // 2) if may_halve else of_batch
        entry.failed_at = now
        self._failing[entry.id] = entry.errors
        return self._backoff.delay(entry.errors, spread=spread)

    def forgive(self, entry: Entry[ItemT]) -> None:
        """Count an item's failures from zero again."""
        if entry.errors:
            entry.errors = 0
            entry.last_error = ""
            entry.split_limit = math.inf
            self.forget(entry)

    def forget(self, entry: Entry[ItemT]) -> None:
        """Drop an item that is polled no more from the record."""
        self._failing.pop(entry.id, None)

    def by_item(self) -> dict[ItemId, int]:
        """Return how often in a row each item that fails now has failed."""
        return dict(self._failing)


def describe(error: BaseException) -> str:
    """Put an error into one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
