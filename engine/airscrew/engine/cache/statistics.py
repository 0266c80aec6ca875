"""
What a cache tells about itself.

Guarantee: records are frozen pictures of one moment; taking one changes nothing and costs a step per failing
item and running call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from airscrew.engine.cache.items import ItemId


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStatus:
    """
    How one item stands.

    Attributes:
        age_seconds: How old the value is at most: time since the last successful sync began, or the last push
            or the creation.
        errors: Failed syncs since the last successful one.
        last_error: What the last failed one said; empty after a success.
        is_terminal: Whether it is polled no more.
        is_syncing: Whether a call for it runs.
    """

    age_seconds: float
    errors: int
    last_error: str
    is_terminal: bool
    is_syncing: bool


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a cache counts from its beginning; see ``CacheStatistics``."""

    hits: int = 0
    misses: int = 0
    calls: int = 0
    failed_calls: int = 0
    items_synced: int = 0
    sync_errors: int = 0
    changes: int = 0
    pushes: int = 0
    refused_pushes: int = 0
    superseded: int = 0
    evictions: int = 0
    live_evictions: int = 0
    callback_errors: int = 0
    loop_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """
    How a cache stands.

    Attributes:
        size: Items held.
        live: Those that are polled.
        syncing: Those in a running call.
        running_calls: Sync calls that run.
        max_age_seconds: The age of the oldest live value.
        lag_seconds: How long the most overdue item has waited for its sync to begin.
        longest_call_seconds: How long the slowest running call has run.
        last_call_seconds: How long the last finished call took.
        errors_by_item: Failed syncs in a row of the items that fail now.
        last_error: What went wrong last; empty when nothing did.
        trouble: Why the cache is not healthy, in one line; empty when it is.
        hits: Looks that found an item.
        misses: Looks that did not.
        batches: Batches made.
        calls: Sync calls begun.
        failed_calls: Sync calls that failed as a whole.
        items_synced: Items synced successfully, each time counted.
        sync_errors: Items whose sync failed, each time counted.
        changes: Changes of items' values.
        pushes: Accepted ``update`` calls.
        refused_pushes: ``update`` calls that would have overwritten a terminal item with one that is not.
        superseded: Answers dropped since the item was pushed, deleted or evicted after the call had begun.
        evictions: Items evicted to make room.
        live_evictions: Those of them that were still polled.
        callback_errors: Exceptions of ``on_change``.
        loop_errors: Turns of the cache's loop that failed.
    """

    size: int
    live: int
    syncing: int
    running_calls: int
    max_age_seconds: float
    lag_seconds: float
    longest_call_seconds: float
    last_call_seconds: float
    errors_by_item: Mapping[ItemId, int]
    last_error: str
    trouble: str
    hits: int
    misses: int
    batches: int
    calls: int
    failed_calls: int
    items_synced: int
    sync_errors: int
    changes: int
    pushes: int
    refused_pushes: int
    superseded: int
    evictions: int
    live_evictions: int
    callback_errors: int
    loop_errors: int

    @property
    def is_healthy(self) -> bool:
        """Whether items are synced as they should be."""
        return not self.trouble


class Measured(Protocol):
    """A cache, whatever it holds, for those who only want to know how it is."""

    @property
    def name(self) -> str:
        """What it is called in logs and metrics."""
        ...

    def statistics(self) -> CacheStatistics:
        """Tell how it stands."""
        ...
