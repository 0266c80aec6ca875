"""
Where an execution stands: the part that each step rewrites.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.ids import Uid
from airscrew.idl.phase import Phase, TaskInfo

NO_STATE = msgspec.Raw()
NO_INFO = TaskInfo()

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""How many. What is beyond was never counted: it is damage, which no answer has room for."""

ATTEMPTS_KEPT = 20
"""Attempts that a record tells of; the oldest ones in the middle are dropped beyond it."""


class Stage(StrEnum):
    """
    Where the engine stands with an execution; what is to be done next follows from it.

    READY: the current attempt is to be started, not before ``not_before``. STARTING: its intent is written and the
    outcome is not. LIVE: its state is known; it is checked. CHILDREN: it made child executions and waits for them.
    ENDING: its verdict is written; what it created is going. DONE: nothing is left to do.
    """

    READY = "ready"
    STARTING = "starting"
    LIVE = "live"
    CHILDREN = "children"
    ENDING = "ending"
    DONE = "done"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A start that is about to be made, or whose outcome is unknown.

    Attributes:
        nonce: Random, of this try alone: who reads his own knows that nobody started since.
        written_at: When the first intent of this attempt was written.
        unknown_since: Since when the outcome counts as unknown; 0 while it does not.
        reason: Why it is unknown.
        tries: How many times a start was begun for this attempt.
    """

    nonce: str
    written_at: float
    unknown_since: float = 0.0
    reason: str = ""
    tries: Count = 1


class Doubt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An attempt of which a start that came late may have left something that nobody can look for.

    Attributes:
        attempt: Which attempt.
        since: When its intent was written.
    """

    attempt: Count
    since: float


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A place in the line for units of a quota.

    Attributes:
        pool: Of which quota.
        units: How many.
        priority: The higher goes first.
        since: When the wait began: of one priority, the earlier goes first.
        project: Whose share of the quota counts, beside the namespace's.
        aside: Whether it stands aside, for it waits for something else too: nobody waits behind it, and it keeps its
            place for when it comes back.
    """

    pool: str
    units: Count = 1
    priority: int = 0
    since: float = 0.0
    project: str = ""
    aside: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    How an attempt ended: final from the moment it is written.

    Attributes:
        phase: A terminal phase.
        at: When it was reached.
        error: Why, for a failure or an abort.
        output_uri: Where the outputs lie.
        deck_uri: Where its deck lies.
        kill: Whether the job has to be killed; else it ended by itself and is finalized.
        hidden: Whether it shows only when all is gone: aborted and timed out.
        retry: Whether another attempt follows.
        delay: Seconds before that one at least.
    """

    phase: Phase
    at: float
    error: ExecutionError | None = None
    output_uri: str = ""
    deck_uri: str = ""
    kill: bool = False
    hidden: bool = False
    retry: bool = False
    delay: float | None = None


class PastAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that is over."""

    attempt: Count
    phase: Phase
    error: ExecutionError | None = None
    started_at: float = 0.0
    ended_at: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The mutable part of an execution.

    Attributes:
        v: Schema version of the writer.
        uid: The execution's UID; tells a record from one of an earlier execution of that name.
        write: Random, of this write alone: settles a write whose reply was lost.
        stage: Where the engine stands with it.
        phase: What is shown.
        version: Grows with each report within an attempt.
        reason: Why it is in this phase.
        since: Since when it is in this phase.
        info: What was told along with the phase.
        attempt: The current attempt, 0 for the first.
        started_at: When the current attempt was first begun; 0 before.
        running_at: When the current attempt was first seen running; 0 before.
        user_failures: Attempts that a failure of kind USER ended.
        system_failures: The same of kind SYSTEM.
        executor: The executor that has it; chosen at the first start.
        interruptible: Whether the current attempt is on capacity that can be taken away.
        intent: The start under way; None before it and after it is resolved.
        state: Custom state, as JSON; ``NO_STATE`` before the first one.
        state_version: The version of its class.
        tokens: What the current attempt has of a quota, as long as its ledger entry is open: ``<scope>/<number>``.
        waits: Its place in the line for that; None when it does not wait.
        created: Whether the current attempt has created something outside that is not known to be gone.
        not_before: When the next try of a start is due.
        next_check: When the next check, kill or look at children is due.
        failures: Calls that failed one after the other.
        verdict: How the current attempt ended.
        kill: Why it is to be killed; empty when it is not.
        kill_since: When the first kill was asked for.
        forced: Whether it became terminal with its entry open.
        quarantine: Why it is no longer asked about; empty in the normal case.
        cache: What the task cache said: ``hit``, ``miss``, ``populated``, ``skipped``, ``disabled``; empty before.
        cache_key: Its key there.
        children: How many child executions it has made.
        plan_uri: Where the plan of its children lies.
        error: Why it failed, once that shows.
        output_uri: Where its outputs lie.
        deck_uri: Where its deck lies.
        ended_at: When it became terminal; 0 before.
        attempts: Attempts that are over.
        doubts: What late starts of attempts may have left; each stays until a person has looked.
        extra: Fields of a newer version, kept as they are.
    """

    v: Count = 1
    uid: Uid
    write: str = ""
    stage: Stage = Stage.READY
    phase: Phase = Phase.NOT_READY
    version: Count = 0
    reason: str = ""
    since: float = 0.0
    info: TaskInfo = NO_INFO
    attempt: Count = 0
    started_at: float = 0.0
    running_at: float = 0.0
    user_failures: Count = 0
    system_failures: Count = 0
    executor: str = ""
    interruptible: bool = False
    intent: Intent | None = None
    state: msgspec.Raw = NO_STATE
    state_version: Count = 0
    tokens: tuple[str, ...] = ()
    waits: Place | None = None
    created: bool = False
    not_before: float = 0.0
    next_check: float = 0.0
    failures: Count = 0
    verdict: Verdict | None = None
    kill: str = ""
    kill_since: float = 0.0
    forced: bool = False
    quarantine: str = ""
    cache: str = ""
    cache_key: str = ""
    children: Count = 0
    plan_uri: str = ""
    error: ExecutionError | None = None
    output_uri: str = ""
    deck_uri: str = ""
    ended_at: float = 0.0
    attempts: tuple[PastAttempt, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    extra: dict[str, msgspec.Raw] = {}


def system_error(code: str, message: str) -> ExecutionError:
    """Make an error that the system has to answer for."""
    return ExecutionError(code=code, message=message, kind=ErrorKind.SYSTEM)


def user_error(code: str, message: str) -> ExecutionError:
    """Make an error that the user has to answer for."""
    return ExecutionError(code=code, message=message, kind=ErrorKind.USER)
