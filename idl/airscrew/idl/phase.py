r"""
Phases of a task and what is told along with them.

The numbers are those of flyteplugins and are stored: the enum only grows, and nothing may
compare them by size (Aborted is 10 and WaitingForCache is 9; success is 6). ``may_follow`` is the
table of legal transitions within one attempt; what an executor reports against it is a defect of the
executor, and the engine keeps the last legal phase and says so.

    NotReady -> WaitingForResources <-> Queued -> Initializing -> Running -> Success
                       WaitingForCache <->^                            \-> RetryableFailure,
                                                                           PermanentFailure, Aborted

Forward skips are legal. A step back is legal only to WaitingForResources or Queued (a job that its
provider restarts), and from there on again. Terminal phases are absorbing. Within one phase the version only grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import msgspec


class Phase(IntEnum):
    """Where a task stands."""

    UNDEFINED = 0
    NOT_READY = 1
    WAITING_FOR_RESOURCES = 2
    QUEUED = 3
    INITIALIZING = 4
    RUNNING = 5
    SUCCESS = 6
    RETRYABLE_FAILURE = 7
    PERMANENT_FAILURE = 8
    WAITING_FOR_CACHE = 9
    ABORTED = 10

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows within the attempt."""
        return self in _TERMINAL

    @property
    def is_failure(self) -> bool:
        """Whether the attempt failed of itself."""
        return self in _FAILURES

    @property
    def title(self) -> str:
        """The phase as it is written for people, as ``WaitingForResources``."""
        return "".join(part.title() for part in self.name.split("_"))

    @classmethod
    def from_title(cls, title: str) -> Phase:
        """Read what ``title`` wrote, in any case."""
        wanted = title.replace("_", "").lower()
        for phase in cls:
            if phase.title.lower() == wanted:
                return phase
        raise ValueError(f"no phase is called {title!r}: one of {', '.join(p.title for p in cls)}")


_FAILURES = frozenset({Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE})
_TERMINAL = _FAILURES | {Phase.SUCCESS, Phase.ABORTED}
_WAITING = frozenset({Phase.WAITING_FOR_RESOURCES, Phase.QUEUED})
_ANY_LIVE = frozenset(
    {Phase.WAITING_FOR_RESOURCES, Phase.QUEUED, Phase.INITIALIZING, Phase.RUNNING, Phase.WAITING_FOR_CACHE}
)
_AFTER_WAITING = _WAITING | {Phase.INITIALIZING, Phase.RUNNING} | _TERMINAL

TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.UNDEFINED: frozenset({Phase.NOT_READY}) | _ANY_LIVE | _TERMINAL,
    Phase.NOT_READY: frozenset({Phase.NOT_READY}) | _ANY_LIVE | _TERMINAL,
    Phase.WAITING_FOR_CACHE: frozenset({Phase.WAITING_FOR_CACHE}) | _AFTER_WAITING,
    Phase.WAITING_FOR_RESOURCES: frozenset({Phase.WAITING_FOR_CACHE}) | _AFTER_WAITING,
    Phase.QUEUED: frozenset({Phase.WAITING_FOR_CACHE}) | _AFTER_WAITING,
    Phase.INITIALIZING: _AFTER_WAITING,
    Phase.RUNNING: _WAITING | {Phase.RUNNING} | _TERMINAL,
    Phase.SUCCESS: frozenset(),
    Phase.RETRYABLE_FAILURE: frozenset(),
    Phase.PERMANENT_FAILURE: frozenset(),
    Phase.ABORTED: frozenset(),
}
"""From each phase, the phases that may be reported next within one attempt (itself included: a new version)."""


def may_follow(before: Phase, after: Phase) -> bool:
    """Tell whether ``after`` may be reported once ``before`` was recorded, within one attempt."""
    return after in TRANSITIONS[before]


class LogLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Where a person finds the log of a task.

    Attributes:
        name: What the link is called.
        uri: Its address; ``file:`` for logs on this machine.
        show_while_pending: Whether the link leads anywhere before the task runs.
        hide_once_finished: Whether it leads nowhere afterwards.
    """

    name: str
    uri: str
    show_while_pending: bool = False
    hide_once_finished: bool = False


class ExternalResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job outside that an attempt stands for, or one of its parts."""

    external_id: str
    index: int = 0
    retry_attempt: int = 0
    phase: Phase = Phase.UNDEFINED
    logs: tuple[LogLink, ...] = ()
    custom_info: dict[str, Any] = {}


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened on the way, as a Kubernetes event."""

    reason: str
    occurred_at: float


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What is told along with a phase.

    Attributes:
        logs: Links for a person.
        external_resources: The jobs outside.
        progress: The share of the work that is done, 0..1.
        custom_info: Anything in JSON that helps a person.
        reasons: What happened since the last report.
        occurred_at: When it happened, Unix seconds; 0 for "when it was reported".
    """

    logs: tuple[LogLink, ...] = ()
    external_resources: tuple[ExternalResource, ...] = ()
    progress: float | None = None
    custom_info: dict[str, Any] = {}
    reasons: tuple[Reason, ...] = ()
    occurred_at: float = 0.0
