"""
From what is seen of the awaited executions to the status of the one that waits. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from airscrew.idl.phase import Phase
from airscrew.plugins.waitable.followed import Seen

SHOWN = 3
"""So many names stand in a reason."""

Look = Callable[[str], Seen | None]
"""What was seen of an execution; None when nothing was yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The wait is over, and not well.

    Attributes:
        seen: What the execution that ended it looks like.
        message: Why, for people.
        code: A short stable word.
    """

    seen: Seen
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    How a wait stands.

    Attributes:
        done: The executions that have succeeded.
        left: The others.
        reason: For people.
    """

    done: tuple[str, ...]
    left: tuple[str, ...]
    reason: str


def standing(names: Sequence[str], known_done: Collection[str], look: Look) -> Waiting | Failed:
    """
    Say how a wait stands.

    Args:
        names: What is waited for.
        known_done: What had succeeded before; it may be gone by now.
        look: Shows the others.
    """
    done, left = list[str](), list[str]()
    for name in names:
        seen = None if name in known_done else look(name)
        if seen is not None and seen.is_absent:
            return Failed(seen, f"waits for {name}, and there is no such execution", "UnknownExecution")
        if seen is not None and seen.is_over and seen.phase is not Phase.SUCCESS:
            why = f": {seen.message}" if seen.message else ""
            return Failed(seen, f"{name} ended as {seen.phase.title}{why}", "AwaitedFailed")
        is_done = name in known_done or (seen is not None and seen.is_over)
        (done if is_done else left).append(name)
    return Waiting(tuple(done), tuple(left), _told(left, len(names)))


def cycle(line: Sequence[str], names: Sequence[str], look: Look) -> list[str]:
    """
    Return the way from an execution over what it waits for back to itself or to one that it is a part of.

    Empty when there is none, or none that can be seen yet.

    Args:
        line: The execution, and what it is a part of.
        names: What it waits for.
        look: Shows others.
    """
    goals, ways = set(line), [[line[0], name] for name in names]
    met = set[str]()
    while ways:
        way = ways.pop()
        if way[-1] in goals:
            return way
        if way[-1] in met:
            continue
        met.add(way[-1])
        seen = look(way[-1])
        if seen is not None:
            ways += [[*way, name] for name in seen.waits_for]
    return []


def _told(left: Sequence[str], count: int) -> str:
    shown = ", ".join(left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "")
    return f"waits for {shown} ({count - len(left)} of {count} done)" if left else ""
