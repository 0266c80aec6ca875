"""
What is kept of a job: the custom state, as it is stored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from airscrew.plugins.webapi import JobState


class HttpJobState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job of a service, legible as JSON in the store; no secrets.

    Attributes:
        service: Which service of the configuration.
        status: The service's own word for where it stood last.
        message: What it said along with it.
        progress: The share that was done, 0..1.
        log: The address of its log.
        outputs: The types of the declared outputs, as JSON.
    """

    service: str
    status: str = ""
    message: str = ""
    progress: float | None = None
    log: str = ""
    outputs: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
