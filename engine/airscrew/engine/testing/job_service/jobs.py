"""
The nouns of the fake job service: faults, jobs, and the log of what happened. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Fault(Enum):
    """What can go wrong with a request."""

    REFUSED = "refused"
    """No connection: nothing arrives."""
    BUSY = "busy"
    """503 with Retry-After: nothing is done."""
    TOO_MANY = "too many"
    """429 with Retry-After: nothing is done."""
    ERROR = "error"
    """500: nothing is done, but nobody can know."""
    GARBAGE = "garbage"
    """Done, and answered 200 with bytes that are no JSON."""
    SLOW = "slow"
    """Answered after ``slow_seconds``, or not before the caller's time-out."""
    LOST_REQUEST = "lost request"
    """The connection breaks before anything arrives."""
    LOST_REPLY = "lost reply"
    """Done, and the connection breaks before the answer."""
    LATE = "late"
    """The caller's time runs out; the request arrives ``late_seconds`` afterwards."""
    TWICE = "twice"
    """Delivered twice; the second answer is returned."""
    HIDDEN = "hidden"
    """A job made now is not seen by reads for ``hidden_seconds``."""


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_live(self) -> bool:
        """Whether it still uses resources."""
        return self in {JobStatus.QUEUED, JobStatus.RUNNING}


@dataclass(frozen=True, slots=True)
class FakeReply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class FakeJob:
    """A job, and what will become of it."""

    id: str
    key: str
    created_at: float
    visible_at: float
    queue_seconds: float
    run_seconds: float | None
    fail: str
    result: object
    cancelled: bool = False

    def status(self, now: float) -> JobStatus:
        """Say where it stands."""
        if self.cancelled:
            return JobStatus.CANCELLED
        elapsed = now - self.created_at
        if elapsed < self.queue_seconds:
            return JobStatus.QUEUED
        if self.run_seconds is None or elapsed < self.queue_seconds + self.run_seconds:
            return JobStatus.RUNNING
        return JobStatus.FAILED if self.fail else JobStatus.SUCCEEDED

    def view(self, now: float) -> dict[str, object]:
        """Return what the service tells of it."""
        status = self.status(now)
        told: dict[str, object] = {
            "id": self.id,
            "key": self.key,
            "created_at": self.created_at,
            "status": status.value,
        }
        if status is JobStatus.SUCCEEDED:
            told["result"] = self.result
        if status is JobStatus.FAILED:
            told["message"] = self.fail
        return told


@dataclass(frozen=True, slots=True)
class Event:
    """
    One request as the service saw it.

    Attributes:
        at: When, by the service's clock.
        method: The HTTP method.
        path: With its query.
        key: The idempotency key, if it carried one.
        fault: What was done to it, if anything.
        arrived: Whether the service acted on it.
    """

    at: float
    method: str
    path: str
    key: str
    fault: Fault | None
    arrived: bool
