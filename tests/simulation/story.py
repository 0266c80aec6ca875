"""
The story of a run: what happened, in order, in lines that people can read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from airscrew.state.records import Record, decode_record

_DULL = frozenset({"write", "v", "uid", "attempts", "since", "started_at", "running_at", "executor", "interruptible"})


@dataclass(slots=True)
class Story:
    """
    Keeps what happened.

    Attributes:
        now: The time.
        lines: When, who, what.
        told: Whether to keep lines at all.
    """

    now: Callable[[], float]
    told: bool
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, who: str, what: Callable[[], str] | str) -> None:
        """Keep a line; it is only made when it is wanted."""
        if self.told:
            self.lines.append((self.now(), who, what if isinstance(what, str) else what()))

    def render(self, about: str = "") -> str:
        """Write the lines, or those that name something."""
        return "\n".join(
            f"{at:9.3f}  {who:<14} {what}" for at, who, what in self.lines if about in f"{who} {what}" or "==" in who
        )


def changes(before: bytes | None, after: bytes) -> str:
    """Say what a write changes in a record."""
    old = None if before is None else decode_record(before)
    new = decode_record(after)
    if old is None:
        return f"new: {_brief(new)}"
    told = []
    for name in Record.__struct_fields__:
        one, other = getattr(old, name), getattr(new, name)
        if name not in _DULL and one != other:
            told.append(f"{name}: {_value(one)} -> {_value(other)}")
    return f"[{new.write}] " + ("; ".join(told) or "nothing")


def _brief(record: Record) -> str:
    return f"[{record.write}] {record.stage} {record.phase.title} attempt {record.attempt} version {record.version}"


def _value(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode(errors="replace") or "-"
    if isinstance(value, float):
        return f"{value % 100000:.2f}"
    if isinstance(value, msgspec.Struct):
        return msgspec.json.encode(value).decode()
    return str(value) if value not in (None, "") else "-"
