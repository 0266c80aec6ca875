"""
What the machine can ask for next.

A ``Call`` reaches outside; its result comes back as a fact. A call that is not ``persist_first`` may be made while the
record has changes that are not written yet: nothing outside hangs on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from airscrew.state.records import Record, Request


class Step(msgspec.Struct, frozen=True):
    """
    Go on with another record.

    Attributes:
        record: The record to go on with; written when a call needs it, or when nothing is left to do now.
        consumed: Requests that it takes in; deleted in the transaction that writes it.
    """

    record: Record
    consumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begin:
    """Draw a nonce, write the intent to start (``learn.begin``), and only then start."""


@dataclass(frozen=True, slots=True)
class Wait:
    """
    Nothing is to be done before this time, unless something wakes the execution.

    Attributes:
        until: Unix seconds; None for no timer.
    """

    until: float | None


@dataclass(frozen=True, slots=True)
class Start:
    """Call ``start_task``: the intent is written, or the executor has no effect."""


@dataclass(frozen=True, slots=True)
class Check:
    """Call ``check_task_status``."""


@dataclass(frozen=True, slots=True)
class FindJobs:
    """Call ``find``; adopt the first, kill the others."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """
    Kill what a start may have made that came late, from an engine that had lost its shard.

    By its state when that engine had the answer, else by ``find``.

    Attributes:
        name: Of the request that asked for it.
        request: That request.
    """

    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class KillJob:
    """Call ``kill_task``: the verdict is written."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finalize:
    """Call ``finalize``: the verdict is written."""


@dataclass(frozen=True, slots=True)
class AskNeeds:
    """Ask the executor what the attempt takes of a quota: pure, and before anything is begun."""


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """Ask the task cache, and reserve the entry when the template wants one run at a time."""


@dataclass(frozen=True, slots=True)
class CachePut:
    """Put the outputs into the task cache and release the reservation: the verdict is written."""


@dataclass(frozen=True, slots=True)
class TendChildren:
    """Submit the children whose inputs are there, look at those that run, bind the outputs when all are done."""


@dataclass(frozen=True, slots=True)
class KillChildren:
    """Ask that all children end, and see whether they have."""

    reason: str


Call = (
    AskNeeds
    | Start
    | Check
    | FindJobs
    | Sweep
    | KillJob
    | Finalize
    | CacheLookup
    | CachePut
    | TendChildren
    | KillChildren
)
Action = Step | Begin | Wait | Call
