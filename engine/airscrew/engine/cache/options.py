"""
How a cache is set up.

Guarantee: options that cannot work are refused when they are made, by an error that names the option.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """
    How a cache is set up.

    Attributes:
        period_seconds: How often an item is synced.
        batch_size: How many items a call syncs at most, where the cache makes the batches itself.
        size: How many items it holds; finished ones leave first, then those that were not looked at for
            longest.
        concurrency: How many sync calls may run at once.
        deadline_seconds: When a sync call is cancelled and counts as failed.
        jitter: By what part of itself at most a period or backoff is lengthened at random.
        backoff_cap_seconds: The longest pause between the syncs of an item that fails.
        sync_on_create: Whether a new item is synced at once, or after its first period.
        coalesce_seconds: How long a new item waits for others to share its first call.
        calls_per_second: The most sync calls begun per second in the long run; None for no limit.
        call_burst: How many sync calls may begin at once under that limit.
        split_failed_batches: Whether the items of a failed call are tried again in smaller batches.
    """

    period_seconds: float = 10.0
    batch_size: int = 100
    size: int = 10_000
    concurrency: int = 4
    deadline_seconds: float = 60.0
    jitter: float = 0.1
    backoff_cap_seconds: float = 300.0
    sync_on_create: bool = True
    coalesce_seconds: float = 0.1
    calls_per_second: float | None = None
    call_burst: int = 10
    split_failed_batches: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("period_seconds", "batch_size", "size", "concurrency", "deadline_seconds", "call_burst"):
            if getattr(self, name) <= 0:
                raise ValueError(f"a cache's {name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"a cache's jitter must be from 0 to 1, not {self.jitter}")
