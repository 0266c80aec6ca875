"""
How to keep a store in etcd.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """
    How to keep a store in etcd; the defaults are for use, others for tests.

    Attributes:
        call_seconds: How long a member may take to answer; etcd itself gives a request up after 7 s.
        first_pause_seconds: The pause before a broken watch begins again, doubled each time.
        last_pause_seconds: The longest pause.
        flights: How many transactions of etcd may be under way at once; what comes meanwhile goes together in the next.
        group_bytes: The most keys and values that go together.
        group_operations: The most operations, and compares, that go together; etcd takes 128.
        upkeep_seconds: How often the size is looked at.
        compact_seconds: How much history is kept, in time; never less than ``keep_revisions``.
        keep_revisions: How much history is kept, in revisions.
        room_share: The share of the quota from which on nothing new is taken.
    """

    call_seconds: float = 8.0
    first_pause_seconds: float = 0.05
    last_pause_seconds: float = 2.0
    flights: int = 2
    group_bytes: int = 512 * 1024
    group_operations: int = 127
    upkeep_seconds: float = 10.0
    compact_seconds: float = 300.0
    keep_revisions: int = 10_000
    room_share: float = 0.9
