"""
What the machine is given: the record, and all that a decision may depend on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from airscrew.engine.executor.declarations import NoEffect, StartDeclaration
from airscrew.idl.phase import Phase
from airscrew.state.records import Options, Place, Record, Request, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What the operator decides; every duration in seconds.

    Attributes:
        system_retries: How many attempts failures of kind SYSTEM may cost.
        check_failures: How many failed calls in a row quarantine an execution.
        backoff: The first delay after a failed call; doubled up to ``backoff_cap``.
        backoff_cap: The longest delay.
        retry_delay: The first delay before another attempt; doubled up to ``backoff_cap``.
        kill_deadline: After so long a kill that is not confirmed shows as terminal, with its entry open.
        kill_pace: How often a kill is repeated while the job is still there.
        unknown_start_again: Task types whose unknown starts are simply made again, at the operator's risk.
        interruptible_failures: From so many SYSTEM failures on, attempts are no longer interruptible; negative counts
            back from the last one allowed.
        max_versions: How many reports an attempt may make.
    """

    system_retries: int = 3
    check_failures: int = 10
    backoff: float = 1.0
    backoff_cap: float = 300.0
    retry_delay: float = 1.0
    kill_deadline: float = 900.0
    kill_pace: float = 5.0
    unknown_start_again: frozenset[str] = frozenset()
    interruptible_failures: int = -1
    max_versions: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """
    What the machine needs to know of the executor.

    Attributes:
        id: Its name.
        start: How an unknown start is resolved.
        check_interval: Seconds between checks.
        finalizes: Whether it has a ``finalize`` of its own.
        uses_cache: Whether the task cache may answer for it.
        says_needs: Whether it says what its tasks take of a quota.
    """

    id: str
    start: StartDeclaration
    check_interval: float = 10.0
    finalizes: bool = False
    uses_cache: bool = True
    says_needs: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether a start creates anything outside."""
        return not isinstance(self.start, NoEffect)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """
    One look at an execution.

    Attributes:
        record: The record as it stands, with steps that are not written yet.
        options: The immutable part.
        traits: The executor's; None when it is not there at the moment.
        absent: Why it is not there.
        policy: The operator's.
        now: The engine's time.
        requests: What others ask, by name.
        learned: When this engine first saw word of a start that came late, by the request's name; whoever left it may
            have another clock.
        fresh: Whether the record's intent was written by this life and its start was not called yet.
        woken: Whether something outside says that a look is worth it before the timer.
        gate: Why no start is let through at the moment; empty when it is.
        place: The place in the line for a quota, when that is why.
        opens_at: When that may be otherwise though nobody wakes the execution; None for never.
        tokens: What a start takes of a quota; nothing when none applies.
        asks_needs: Whether the executor is to be asked first what the attempt takes of a quota.
        calm: Whether quarantine is allowed: not while a whole plugin is in trouble.
    """

    record: Record
    options: Options
    traits: Traits | None
    absent: str = ""
    policy: Policy
    now: float
    requests: Mapping[str, Request]
    learned: Mapping[str, float] = {}
    fresh: bool = False
    woken: bool = False
    gate: str = ""
    place: Place | None = None
    opens_at: float | None = None
    tokens: tuple[str, ...] = ()
    asks_needs: bool = False
    calm: bool = True


def first_record(options: Options) -> Record:
    """Make the record of an execution that has just been accepted; not written yet."""
    return Record(
        uid=options.uid,
        stage=Stage.READY,
        phase=Phase.QUEUED,
        version=1,
        reason="accepted",
        since=options.accepted_at,
    )


def spread(text: str) -> float:
    """Draw a number in 0..1 out of a text: jitter that every process computes alike."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 0xFFFFFFFF
