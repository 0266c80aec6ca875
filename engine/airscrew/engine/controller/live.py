"""
What is kept in memory of an execution between two looks at it.

The record here is the stored one plus the steps that are not written yet. Facts learned since the last write are kept,
so that after a conflict they are applied again to what was written meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from airscrew.engine.machine import Fact, NeedsTold, first_record, phase_event, tidied
from airscrew.idl.ids import AttemptKey, ExecutionId, attempt_key
from airscrew.state.errors import ShardLostError
from airscrew.state.members import shard_unit
from airscrew.state.records import Options, PhaseEvent, Record, Request


@dataclass(slots=True)
class Live:
    """
    An execution under control.

    Attributes:
        execution: Its name.
        options: Its immutable part.
        installation: Part of every key.
        record: The record as it stands.
        stored: The record as it is stored, but for when to look next; None when there is none yet.
        revision: The stored record's mod_revision; 0 when there is none yet.
        accepted: The revision at which it was accepted: its first record is written only while it is still there.
        facts: Learned since the last write.
        requests: What others ask, by name, with the revision of the request.
        unread: The revisions of requests that nobody can read, as of the last conflict; None before.
        consumed: Names of requests taken in since the last write.
        events: Reports made since the last write.
        fresh: Whether the intent is of this life and its start was not called yet.
        asked: The record with which a start was asked for since the last write; None when none was.
        woken: Whether something outside asks for a look before the timer.
        indexed: The key under which executors can wake it.
        lost: Whether another engine had it since it came under control here; for good, even if it comes back.
        counted_to: Until when its time is accounted for; 0 before its first turn.
        outside: Where its jobs run, once that is known; see ``Executor.outside``.
        needs: What an attempt takes of a quota, once the executor was asked.
        in_calls: Seconds that calls of executors took in the current turn.
        learned: When word of a start that came late was first seen here, by its revision; None before.
    """

    execution: ExecutionId
    options: Options
    installation: str
    record: Record
    stored: Record | None = None
    revision: int = 0
    accepted: int = 0
    facts: list[Fact] = field(default_factory=list[Fact])
    requests: dict[str, tuple[Request, int]] = field(default_factory=dict[str, tuple[Request, int]])
    unread: dict[str, int] | None = None
    consumed: list[str] = field(default_factory=list[str])
    events: list[PhaseEvent] = field(default_factory=list[PhaseEvent])
    fresh: bool = False
    asked: Record | None = None
    woken: bool = False
    indexed: str = ""
    lost: bool = False
    counted_to: float = 0.0
    outside: str = ""
    needs: NeedsTold | None = None
    in_calls: float = 0.0
    learned: dict[int, float] | None = None

    def check_kept(self) -> None:
        """
        Let a turn that began before its shard went to another engine end, even when the shard is back by now.

        Raises:
            ShardLostError: It went.
        """
        if self.lost:
            raise ShardLostError(shard_unit(self.execution.shard))

    @property
    def key(self) -> AttemptKey:
        """The current attempt's key."""
        return self.key_of(self.record)

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written."""
        return self.record is not self.stored or bool(self.consumed)

    def revision_of(self, request: str) -> int:
        """Return the revision of a request; 0 when it is not known of."""
        known = self.requests.get(request)
        return (self.unread or {}).get(request, 0) if known is None else known[1]

    def learned_at(self, request: str, now: float) -> float:
        """Return when word of a start that came late was first seen here: now, when it was not yet."""
        if self.learned is None:
            self.learned = {}
        return self.learned.setdefault(self.requests[request][1], now)

    def let_be(self) -> bool:
        """
        Write nothing where nothing is different but when to look next; True then.

        Most looks find a job as it was. Whoever takes over looks at once: nobody reads that time from the store.
        """
        record, stored = self.record, self.stored
        if stored is None or self.consumed or self.events:
            return False
        if msgspec.structs.replace(record, next_check=stored.next_check) != stored:
            return False
        self.stored = record
        self.facts.clear()
        return True

    def key_of(self, record: Record) -> AttemptKey:
        """Derive the key of a record's attempt."""
        return self.key_at(record.attempt)

    def key_at(self, attempt: int) -> AttemptKey:
        """Derive the key of an attempt."""
        return attempt_key(self.installation, self.options.uid, attempt)

    def consume(self, request: str) -> None:
        """Take note that a request is taken in, and goes with the next write."""
        if request not in self.consumed:
            self.consumed.append(request)

    def apply(self, record: Record, now: float) -> None:
        """Go on with another record, and keep the report that it makes."""
        before = self.record
        if record.tokens or record.waits is not None:
            record = tidied(record)
        self.record = record
        if (record.attempt, record.version) != (before.attempt, before.version):
            self.report(now)

    def report(self, now: float) -> None:
        """Keep the report that the record shows, for the outbox."""
        self.events.append(phase_event(self.record, self.options, str(self.execution), self.key, now))

    def written(self, record: Record, revision: int) -> None:
        """Take note that the record was written."""
        self.record = self.stored = record
        self.revision = revision
        for name in self.consumed:
            self.requests.pop(name, None)
        self.asked = None
        self.facts.clear()
        self.consumed.clear()
        self.events.clear()

    def rebase(
        self, stored: Record | None, revision: int, requests: dict[str, tuple[Request, int]], now: float
    ) -> list[Fact]:
        """Go back to what is stored, and return the facts to apply again."""
        facts = list(self.facts)
        self.stored, self.revision = stored, revision
        self.record = first_record(self.options) if stored is None else stored
        self.requests = requests
        self.fresh = False
        self.facts.clear()
        self.consumed.clear()
        self.events.clear()
        if stored is None:
            self.report(now)
        return facts
