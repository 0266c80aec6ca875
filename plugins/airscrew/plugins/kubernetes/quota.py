"""
Full quotas, remembered for each namespace: who would be refused is not sent. Pure; the time comes as an argument.

An attempt that a quota refused closes its namespace for all that need as much of what is used up; who needs nothing of
that, or little enough, goes on. One at a time tries again: when a pause is over, which doubles, or at once when one of
our objects has ended. The next one is woken as soon as that try comes through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from airscrew.engine.executor import NotStarted
from airscrew.plugins.kubernetes.refusals import QuotaFull

FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 60.0
PROBE_SECONDS = 60.0
"""A try that nobody heard of for so long is over."""

WOKEN = 3
"""So many are woken for one try: those that are over do not come."""

Demand = Mapping[str, Decimal]
"""How much of what quotas count an object needs, by the quotas' names for it; what is not named is not needed."""


@dataclass(slots=True)
class _Closed:
    """
    A namespace whose quota is used up.

    Attributes:
        full: What the last refusal said.
        until: When the next one may try.
        pause: How long the last pause was.
        probe: Who tries now; empty for nobody.
        probe_until: When that try is given up.
        line: Who waits, the first one first.
    """

    full: QuotaFull
    until: float
    pause: float
    probe: str = ""
    probe_until: float = 0.0
    line: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])

    def concerns(self, demand: Demand) -> bool:
        """Tell whether an object needs more than what is left of what is used up."""
        return any(demand.get(name, Decimal(0)) > left for name, left in self.full.left.items())

    def let_go(self, key: str) -> None:
        """Take somebody out of the line, and with it those before who did not come: they are over, or come again."""
        while key in self.line:
            self.line.popitem(last=False)


class QuotaGates:
    """The gates of all namespaces."""

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}

    def held(self, namespace: str, key: str, demand: Demand, now: float) -> NotStarted | None:
        """
        Say why an attempt is not to be sent now; None when it may, and is then the one that tries.

        Args:
            namespace: Where.
            key: Of the attempt.
            demand: What it needs.
            now: Unix seconds.
        """
        closed = self._closed.get(namespace)
        if closed is None or not closed.concerns(demand):
            return None
        is_free = not closed.probe or closed.probe == key or now >= closed.probe_until
        if is_free and now >= closed.until:
            closed.probe, closed.probe_until = key, now + PROBE_SECONDS
            closed.let_go(key)
            return None
        closed.line.setdefault(key)
        place = next(index for index, waiting in enumerate(closed.line) if waiting == key)
        first = max(closed.until - now, FIRST_PAUSE_SECONDS)
        return NotStarted(closed.full.reason, first if place == 0 else LAST_PAUSE_SECONDS)

    def refused(self, namespace: str, key: str, full: QuotaFull, now: float) -> NotStarted:
        """Take in that a quota refused an attempt, and say when it is to try again."""
        closed = self._closed.get(namespace)
        if closed is None:
            closed = self._closed[namespace] = _Closed(full, now, FIRST_PAUSE_SECONDS / 2)
        if closed.probe in {"", key}:
            closed.probe, closed.pause = "", min(closed.pause * 2, LAST_PAUSE_SECONDS)
            closed.until = now + closed.pause
        closed.full = full
        closed.line[key] = None
        closed.line.move_to_end(key, last=False)
        return NotStarted(full.reason, closed.pause)

    def passed(self, namespace: str, key: str, now: float) -> Iterable[str]:
        """Take in that an attempt was let in, or failed for another reason; return whom to wake for the next try."""
        closed = self._closed.get(namespace)
        if closed is None or closed.probe != key:
            return ()
        closed.probe = ""
        return self._open(namespace, closed, now)

    def freed(self, namespace: str, now: float) -> Iterable[str]:
        """Take in that one of our objects has ended; return whom to wake for the next try."""
        closed = self._closed.get(namespace)
        return () if closed is None else self._open(namespace, closed, now)

    def _open(self, namespace: str, closed: _Closed, now: float) -> Iterable[str]:
        closed.until, closed.pause = now, FIRST_PAUSE_SECONDS / 2
        if not closed.line and not closed.probe:
            del self._closed[namespace]
            return ()
        return [] if closed.probe else list(islice(closed.line, WOKEN))
