"""
What a call taught: facts. They stay true whatever else was written meanwhile, and are applied again after a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase, TaskInfo


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """
    The executor told how the attempt stands; also the end of the children of an execution.

    Attributes:
        phase: As told, after the outputs were read: a success whose outputs are bad is a failure here.
        reason: One line for people.
        info: Links and progress.
        state: The custom state, encoded; None to keep what is stored.
        state_version: Of its class.
        check_after: Seconds until the next check; None for the interval.
        error: Why it failed.
        cleanup: Whether a failed job is still there.
        delay: Seconds before the next attempt at least.
        output_uri: Where the outputs lie.
        deck_uri: Where the deck lies.
        plan_uri: Where the plan of children lies that the attempt made instead of outputs.
        executor: Who told it.
    """

    phase: Phase
    reason: str = ""
    info: TaskInfo
    state: msgspec.Raw | None = None
    state_version: int = 0
    check_after: float | None = None
    error: ExecutionError | None = None
    cleanup: bool = False
    delay: float | None = None
    output_uri: str = ""
    deck_uri: str = ""
    plan_uri: str = ""
    executor: str = ""


@dataclass(frozen=True, slots=True)
class NeedsTold:
    """
    What the attempt takes of a quota; kept by who asked, it changes no record.

    Attributes:
        pool: Of which; empty for none.
        units: How many.
    """

    pool: str = ""
    units: int = 1


@dataclass(frozen=True, slots=True)
class NothingStarted:
    """``NotStarted``: certainly nothing was created; the same attempt is tried again."""

    reason: str
    delay: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailed:
    """The start ended the attempt and left nothing behind."""

    retryable: bool
    code: str
    message: str
    kind: ErrorKind
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class StartUnknown:
    """
    The start's reply was lost.

    Attributes:
        message: Why.
        is_outage: Whether nobody could have been asked; held against no execution.
        delay: Seconds until it is worth asking again; None for the engine's back-off.
    """

    message: str
    is_outage: bool = False
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class JobsFound:
    """
    What ``find`` listed.

    Attributes:
        state: The state of the one to adopt, encoded; None when nothing was found.
        state_version: Of its class.
        twins: How many others were found, and told to go.
        asked_at: When it was asked: the list is no newer than that, however late it is learned; None for now.
    """

    state: msgspec.Raw | None
    state_version: int = 0
    twins: int = 0
    asked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """
    Nothing is there now of a start that came late.

    Attributes:
        request: The name of the request that asked for the sweep.
        revision: Its revision: another that takes its place asks for a look of its own.
        strays: How many jobs were found, and are gone.
        again_at: When to look once more, as absence does not count yet; None when it counts.
    """

    request: str
    revision: int
    strays: int
    again_at: float | None = None


@dataclass(frozen=True, slots=True)
class SweepFailed:
    """Whether a start came late cannot be told yet, or what came of it is not gone yet."""

    message: str


@dataclass(frozen=True, slots=True)
class JobGone:
    """All that the attempt created is gone, the children too."""


@dataclass(frozen=True, slots=True)
class JobStillThere:
    """It was told to go and is not gone yet; the state for the next call, when there is another one."""

    state: msgspec.Raw | None = None
    check_after: float | None = None
    state_version: int = 0


@dataclass(frozen=True, slots=True)
class Finalized:
    """``finalize`` returned."""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """
    A check, kill, find or finalize, or a read of the outputs, failed: the job is left alone.

    Attributes:
        message: Why.
        is_outage: Whether nobody could have been asked; held against no execution.
        delay: Seconds until it is worth asking again; None for the engine's back-off.
    """

    message: str
    is_outage: bool = False
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class StateUnreadable:
    """
    The custom state cannot be used.

    Attributes:
        message: Why.
        wait: Whether a newer executor version may read it: then it is waited for, else quarantined.
    """

    message: str
    wait: bool = False


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The task cache holds the outputs."""

    key: str
    output_uri: str


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """
    The task cache does not hold the outputs, or could not be asked.

    Attributes:
        key: The key to put them under; empty when they are not to be put.
        status: ``miss``, ``skipped`` or ``disabled``.
    """

    key: str
    status: str = "miss"


@dataclass(frozen=True, slots=True)
class CacheHeld:
    """Another execution is making the outputs."""

    key: str
    owner: str
    retry_after: float


@dataclass(frozen=True, slots=True)
class CacheStored:
    """The outputs are in the task cache (``populated``), or could not be put there (``put_failed``)."""

    status: str = "populated"


@dataclass(frozen=True, slots=True)
class ChildrenAtWork:
    """Some children are not done."""

    count: int
    done: int
    reason: str


Fact = (
    Told
    | NeedsTold
    | NothingStarted
    | StartFailed
    | StartUnknown
    | JobsFound
    | Swept
    | SweepFailed
    | JobGone
    | JobStillThere
    | Finalized
    | CallFailed
    | StateUnreadable
    | CacheHit
    | CacheMiss
    | CacheHeld
    | CacheStored
    | ChildrenAtWork
)
