"""
The events of one step as the outbox holds them, and what is derived from them: pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from airscrew.idl.ids import AttemptKey, Uid
from airscrew.idl.json_tree import BAD_JSON
from airscrew.idl.phase import Phase
from airscrew.state.records import PhaseEvent

_decoder = msgspec.json.Decoder(list[PhaseEvent])


@dataclass(slots=True)
class Entry:
    """The events of one step: where they are stored, since which revision, and their bytes."""

    key: str
    revision: int
    value: bytes


def gap_event(sink: str, count: int, revision: int, now: float) -> PhaseEvent:
    """Make the event that tells a sink of the events it will never get."""
    return PhaseEvent(
        id=f"gap-{sink}-{revision}",
        execution="",
        uid=Uid(""),
        task_type="",
        attempt=0,
        version=0,
        phase=Phase.UNDEFINED,
        reason=f"events of {count} steps were dropped: the sink was too slow or away for too long",
        occurred_at=now,
        reported_at=now,
        key=AttemptKey(""),
    )


def reported_at(entry: Entry) -> float | None:
    """Say when a step was reported; None when it cannot be read."""
    events = events_of(entry)
    return events[0].reported_at if events else None


def events_of(entry: Entry) -> list[PhaseEvent]:
    """Read the events of a step; one that cannot be read has none, and holds up no other."""
    try:
        return _decoder.decode(entry.value)
    except BAD_JSON:
        return []


def runs_of(names: Sequence[str]) -> list[list[str]]:
    """Group keys into runs that one range covers: numbers of one life without a gap between them."""
    runs: list[list[str]] = []
    for name in sorted(names):
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return runs


def _follows(before: str, name: str) -> bool:
    life, _, number = name.rpartition("/")
    life_before, _, number_before = before.rpartition("/")
    try:
        return life == life_before and int(number, 16) == int(number_before, 16) + 1
    except ValueError:
        return False
