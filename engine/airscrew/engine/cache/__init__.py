"""
AutoRefreshCache: what is known of outside jobs and objects, kept fresh in the background.

Here is everything that polls: when an item is due, which items share a call, what a failure costs, what is
told to the owner. Executors read it and never wait; the truth stays in the store, so a cache may forget
anything at any time. It MUST NOT know what its items are: the sync function, ``is_terminal`` and
``on_change`` are passed in, and nothing here imports an executor, a store or a client.
"""

from airscrew.engine.cache.auto_refresh import AutoRefreshCache
from airscrew.engine.cache.flight import SyncError
from airscrew.engine.cache.items import (
    Batch,
    BatchItem,
    CreateBatches,
    Failed,
    ItemId,
    SyncFunc,
    SyncResult,
    Unchanged,
    Updated,
    batches_by,
    single_item_batches,
)
from airscrew.engine.cache.options import CacheOptions
from airscrew.engine.cache.statistics import CacheStatistics, ItemStatus, Measured

__all__ = [
    "AutoRefreshCache",
    "Batch",
    "BatchItem",
    "CacheOptions",
    "CacheStatistics",
    "CreateBatches",
    "Failed",
    "ItemId",
    "ItemStatus",
    "Measured",
    "SyncError",
    "SyncFunc",
    "SyncResult",
    "Unchanged",
    "Updated",
    "batches_by",
    "single_item_batches",
]
