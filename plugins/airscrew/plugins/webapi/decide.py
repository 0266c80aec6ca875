"""
From what is known of a job to the attempt's status, and to the next step of a kill. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic

import msgspec

from airscrew.engine.executor import TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import ExternalResource, LogLink
from airscrew.plugins.webapi.plugin import StateT, ViewT
from airscrew.plugins.webapi.state import JobState

GONE_AFTER = 2
"""So often in a row a provider must say that there is no such job: one wrong route or a slow replica is not enough."""


@dataclass(frozen=True, slots=True)
class Watched(Generic[StateT, ViewT]):
    """
    A job that is read again and again.

    Attributes:
        state: What names it.
        settled_at: Before this monotonic time its absence means nothing.
        view: What the provider said last; None at first.
        missing: How often in a row the provider said that there is no such job.
        missing_since: When it said so first, monotonic.
        missing_seconds: For how long it has said so.
        visibility_seconds: So long its lists and replicas may be behind.
    """

    state: StateT
    settled_at: float
    view: ViewT | None = None
    missing: int = 0
    missing_since: float = 0.0
    missing_seconds: float = 0.0
    visibility_seconds: float = 0.0

    @property
    def is_gone(self) -> bool:
        """Whether somebody has deleted it: no request that failed says so, and no replica that is behind."""
        return self.missing >= GONE_AFTER and self.missing_seconds >= self.visibility_seconds


def seen(watched: Watched[StateT, ViewT], view: ViewT | None, now: float) -> Watched[StateT, ViewT]:
    """Take note of an answer; None says that there is no such job, which counts once it would have to be visible."""
    if view is not None:
        return replace(watched, view=view, missing=0)
    if now < watched.settled_at:
        return watched
    since = watched.missing_since if watched.missing else now
    return replace(watched, missing=watched.missing + 1, missing_since=since, missing_seconds=now - since)


def gone_status(provider: str, watched: Watched[StateT, ViewT], state: StateT) -> TaskStatus[StateT]:
    """Say that somebody has deleted the job."""
    for_long = f", for {watched.missing_seconds:.0f} s" if watched.missing_seconds >= 1 else ""
    message = f"{provider} says that there is no job {state.id} any more{for_long}"
    return TaskStatus.retryable_failure(state, message, code="ResourceDeletedExternally", kind=ErrorKind.SYSTEM)


def with_trouble(status: TaskStatus[StateT], trouble: str) -> TaskStatus[StateT]:
    """Say along with a status why it may be old; an end is an end."""
    if not trouble or status.phase.is_terminal:
        return status
    return replace(status, reason=f"{status.reason}; not heard of it since: {trouble}")


def with_job(status: TaskStatus[StateT], links: Sequence[LogLink]) -> TaskStatus[StateT]:
    """Name the job and its links in what is shown of an attempt."""
    info = status.info
    logs = (*info.logs, *(link for link in links if link not in info.logs))
    jobs = info.external_resources
    if not jobs and status.state.id:
        jobs = (ExternalResource(external_id=status.state.id, phase=status.phase, logs=logs),)
    return status.with_info(msgspec.structs.replace(info, logs=logs, external_resources=jobs))


class KillStep(Enum):
    """What a kill does next."""

    STOP = "ask the provider to stop it"
    LOOK = "look whether it did"


def kill_step(state: JobState, *, can_stop: bool) -> KillStep:
    """Stop and look in turns: a request to stop that was lost is made again."""
    return KillStep.LOOK if state.stopping or not can_stop else KillStep.STOP


def after_kill(state: StateT, step: KillStep, *, is_over: bool, is_absent: bool, is_settled: bool) -> StateT | None:
    """
    Say what comes after a step of a kill: the state for the next one, or None when the job is gone.

    Args:
        state: The state that the step was made with.
        step: The step.
        is_over: Whether the provider says that the job has ended.
        is_absent: Whether it says that there is none.
        is_settled: Whether the job would be visible by now if it existed.
    """
    if is_absent and not state.stopping and not is_settled:
        return msgspec.structs.replace(state, stopping=False)  # just made, it may only be invisible yet: stop it again
    if is_over or is_absent:
        return None
    return msgspec.structs.replace(state, stopping=step is KillStep.STOP)
