"""
What is kept of a query, and how Athena says that it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from airscrew.plugins.webapi import JobState


class AthenaState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A query, legible as JSON in the store.

    Attributes:
        status: Athena's own word for where it stood last.
        message: What it said along with it.
        results: The declared type of the output ``results``, as JSON; empty for a task without it.
    """

    status: str = ""
    message: str = ""
    results: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryView:
    """
    How Athena says that a query stands.

    Attributes:
        status: Its own word; empty when it said nothing of that.
        message: Why.
        location: Where the results lie.
        is_system: Whether a failure was Athena's; None when it does not say.
        is_retryable: Whether it may succeed when it is run again; None when it does not say.
    """

    status: str = ""
    message: str = ""
    location: str = ""
    is_system: bool | None = None
    is_retryable: bool | None = None
