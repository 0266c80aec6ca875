"""
Fewer shards than an engine has: what changes hands is the same, and a run spends its time on executions.

With 256 shards nine tenths of a run of several engines were claims of shards that no execution is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from airscrew.idl import ids
from airscrew.state.members import LEADER, UNITS, membership

SIMULATED = 16


@contextmanager
def few_shards() -> Iterator[None]:
    """Let executions hash to the first shards only, and members share no more than these."""
    hashed = vars(ids)["_shard"]
    units = (*(unit for unit in UNITS[:SIMULATED] if unit != LEADER), LEADER)
    with (
        patch.object(ids, "_shard", lambda namespace, name: hashed(namespace, name) % SIMULATED),
        patch.object(membership, "UNITS", units),
    ):
        yield
