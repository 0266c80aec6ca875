"""
What is kept of a job: the base of every plugin's custom state.
"""

from __future__ import annotations

import msgspec


class JobState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job of a provider, legible as JSON in the store; subclasses add what their plugin needs, never a secret.

    Attributes:
        id: The job's id at the provider; empty in a draft, before there is one.
        created_at: When it was made, as we saw it, Unix seconds.
        stopping: Whether the provider was asked to stop it and has not been looked at since.
    """

    id: str
    created_at: float
    stopping: bool = False
