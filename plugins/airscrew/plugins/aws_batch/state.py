"""
What is kept of a job, and how Batch says that it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from airscrew.plugins.webapi import JobState


class BatchState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job, legible as JSON in the store.

    Attributes:
        queue: The queue that it was submitted to: where it is found again.
        outputs: Where its outputs will lie, or its ``error.pb``.
        may_write_nothing: Whether its task declares no outputs.
        status: Batch's own word for where it stood last.
        reason: What it said along with it.
        log_stream: Its log in CloudWatch.
    """

    queue: str = ""
    outputs: str = ""
    may_write_nothing: bool = False
    status: str = ""
    reason: str = ""
    log_stream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """
    How Batch says that a job stands.

    Attributes:
        status: Its own word; empty when it said nothing of that.
        reason: Why.
        container_reason: What it says of the container.
        exit_code: The container's; None when there is none.
        log_stream: Its log in CloudWatch.
    """

    status: str = ""
    reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    log_stream: str = ""
