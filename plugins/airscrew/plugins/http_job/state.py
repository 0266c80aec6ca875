"""
What is kept of a job: the custom state, as it is stored.
"""

from __future__ import annotations

from typing import Any

import msgspec


class HttpJobState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job of a service, legible as JSON in the store; no secrets.

    Attributes:
        service: Which service of the configuration.
        id: The job's id there.
        created_at: When it was made, as we saw it, Unix seconds.
        status: The service's own word for where it stood last.
        message: What it said along with it.
        progress: The share that was done, 0..1.
        log: The address of its log.
        outputs: The types of the declared outputs, as JSON.
        stopping: Whether the service was asked to stop it and has not said since that it did.
    """

    service: str
    id: str
    created_at: float
    status: str = ""
    message: str = ""
    progress: float | None = None
    log: str = ""
    outputs: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    stopping: bool = False
