"""
What is kept of a Hive task: the custom state, as it is stored. No secret is in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from airscrew.plugins.webapi import JobState


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A query, as it came with the task; its variables are filled in.

    Attributes:
        query: The text.
        timeout_sec: How long it may take, seconds; 0 for Qubole's own limit.
    """

    query: str
    timeout_sec: int = 0


class HiveState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A Hive command, legible as JSON in the store.

    Attributes:
        queries: What it runs, in order.
        cluster: The label of the cluster that it runs on.
        tags: What it is tagged with.
        status: Qubole's own word for where it stood last.
        progress: The share that was done, 0..1.
        results: The type of the output ``results``, as JSON; None for a task without it.
    """

    queries: tuple[Query, ...] = ()
    cluster: str = ""
    tags: tuple[str, ...] = ()
    status: str = ""
    progress: float | None = None
    results: dict[str, Any] | None = None
