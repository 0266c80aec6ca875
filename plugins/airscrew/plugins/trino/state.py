"""
What is kept of a query, and how Trino says that it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from airscrew.plugins.webapi import JobState


class Stage(StrEnum):
    """How far an attempt is."""

    REGISTERED = "registered"
    """Its address is known and was never fetched: nothing runs."""
    QUERY = "query"
    WRITTEN = "written"
    """Its results are written; the name of their table is still there."""
    DROP = "drop"
    """The name of the table is dropped, by a query of its own."""
    DONE = "done"


class QueryState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A query, legible as JSON in the store.

    Attributes:
        next: The path that is fetched next, of the query or of what drops its table.
        stage: How far the attempt is.
        status: Trino's own word for where it stood last; for people.
        progress: From 0 to 1; None when it does not say.
        page: Where a person sees it.
        error: Trino's name of what went wrong.
        error_type: Whose fault Trino says that is.
        message: What it said along with it.
        table: What the results are written to, quoted; empty when the statement says where to.
        results: The declared type of the output ``results``, as JSON; empty for a task without it.
        location: Where the results will lie.
    """

    next: str = ""
    stage: Stage = Stage.REGISTERED
    status: str = ""
    progress: float | None = None
    page: str = ""
    error: str = ""
    error_type: str = ""
    message: str = ""
    table: str = ""
    results: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryView:
    """
    How Trino says that a query stands; the names are those of the state.

    Attributes:
        rows: How many rows came along.
    """

    stage: Stage = Stage.REGISTERED
    next: str = ""
    status: str = ""
    progress: float | None = None
    page: str = ""
    error: str = ""
    error_type: str = ""
    message: str = ""
    rows: int = 0
