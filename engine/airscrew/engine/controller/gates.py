"""
What holds starts back: an executor's concurrency, and its breaker.

Slots are handed out first come, first served, and are counted from the records: an execution that may have something
outside holds one, after a restart too. The breaker of an executor opens when many of its executions fail at once and
none comes through: then the executor is in trouble, not they.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from airscrew.idl.ids import ExecutionId

BREAKER_EXECUTIONS = 10
"""So many executions in trouble at once may be the executor's trouble."""

BREAKER_QUIET_SECONDS = 60.0
"""One call that came through within this time says that it is not."""

BREAKER_OPEN_SECONDS = 30.0


@dataclass(slots=True)
class Gate:
    """
    One executor's gate.

    Attributes:
        limit: How many executions may be live at once; None for no limit.
        wake: Called with the next one in line when a slot is free.
    """

    limit: int | None
    wake: Callable[[ExecutionId], None]
    _holders: set[ExecutionId] = field(default_factory=set[ExecutionId])
    _line: OrderedDict[ExecutionId, None] = field(default_factory=OrderedDict[ExecutionId, None])
    _troubled: set[ExecutionId] = field(default_factory=set[ExecutionId])
    _well_at: float = float("-inf")
    _open_until: float = 0.0

    @property
    def live(self) -> int:
        """How many hold a slot."""
        return len(self._holders)

    def why_closed(self, execution: ExecutionId, now: float) -> str:
        """Say why a start is held back, and put the execution into the line; empty when it may go."""
        if now < self._open_until:
            return f"the executor is in trouble; the next try is in {self._open_until - now:.0f} s"
        if self.limit is None or execution in self._holders:
            return ""
        ahead = self._ahead_of(execution)
        if len(self._holders) + ahead < self.limit:
            return ""
        self._line.setdefault(execution)
        return f"waits for a free slot: {len(self._holders)} of {self.limit} in use"

    def take(self, execution: ExecutionId) -> None:
        """Hold a slot."""
        if self.limit is not None:
            self._line.pop(execution, None)
            self._holders.add(execution)

    def give_back(self, execution: ExecutionId) -> None:
        """
        Free a slot, or leave the line; those in line who fit into the free slots are woken.

        Who leaves the line without a slot may have been woken for it: then the next ones are to hear of it.
        """
        was_in_line = execution in self._line
        self._line.pop(execution, None)
        if execution not in self._holders and not was_in_line:
            return
        self._holders.discard(execution)
        free = (self.limit or 0) - len(self._holders)
        for waiting in list(islice(self._line, max(free, 0))):
            self.wake(waiting)

    def trouble(self, execution: ExecutionId, now: float) -> bool:
        """
        Count an execution whose calls fail again and again; True while that may be its own trouble.

        When many are in trouble at once and no call of any execution has come through for a while, it is the
        executor's: its breaker opens, and nobody is to be quarantined for it.
        """
        self._troubled.add(execution)
        if len(self._troubled) < BREAKER_EXECUTIONS or now < self._well_at + BREAKER_QUIET_SECONDS:
            return True
        self._open_until = now + BREAKER_OPEN_SECONDS
        return False

    def well(self, execution: ExecutionId, now: float) -> None:
        """Take note of a call that came through."""
        self._well_at = now
        self._troubled.discard(execution)

    def forget(self, execution: ExecutionId) -> None:
        """Count an execution no longer: it is done, or in quarantine by itself."""
        self._troubled.discard(execution)

    def is_open(self, now: float) -> bool:
        """Whether the breaker holds calls back."""
        return now < self._open_until

    @property
    def open_until(self) -> float:
        """Until when the breaker holds starts back."""
        return self._open_until

    def breaker(self, now: float) -> str:
        """Say why the breaker is open; empty when it is not."""
        if not self.is_open(now):
            return ""
        return f"{len(self._troubled)} executions in trouble; open for {self._open_until - now:.0f} s"

    def _ahead_of(self, execution: ExecutionId) -> int:
        """Count those in line before this one, as far as they could take the free slots."""
        free = (self.limit or 0) - len(self._holders)
        for place, waiting in enumerate(self._line):
            if waiting == execution or place >= free:
                return place
        return len(self._line)
