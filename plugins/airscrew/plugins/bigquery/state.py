"""
What is kept of a query, and how BigQuery says that it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from airscrew.plugins.webapi import JobState


class BigQueryState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A query, legible as JSON in the store.

    Attributes:
        project: Whose it is.
        location: Where it runs; empty until BigQuery has said.
        status: BigQuery's own word for where it stood last.
        reason: The word for what went wrong.
        message: What it said along with it.
        table: Where its results lie, ``project:dataset.table``.
        results: The declared type of the output ``results``, as JSON; empty for a task without it.
    """

    project: str = ""
    location: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    table: str = ""
    results: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryView:
    """How BigQuery says that a query stands; the names are those of the state."""

    status: str = ""
    location: str = ""
    reason: str = ""
    message: str = ""
    table: str = ""
