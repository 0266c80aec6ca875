"""
Who is next: the line of those who wait for units.

Guarantees: pure. By priority, then by when the wait began, then by name: the same everywhere. Whoever does not fit into
a share closes it for all behind him, and what he wants of his other share is kept for him; the pool goes on for the
others. Whoever fits into his shares and not into the pool closes the pool. So nobody is overtaken in what he lacks, and
whoever is first comes to his turn. Finding out who may go costs as many steps as may go, and one for each group of
those who want the same scopes; not one for each who waits.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airscrew.idl.ids import ExecutionId

Order = tuple[int, float, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    One who waits.

    Attributes:
        execution: Which.
        scopes: What it wants units of, all at once.
        units: How many of each.
        order: What says who goes first: the smaller.
    """

    execution: ExecutionId
    scopes: tuple[str, ...]
    units: int
    order: Order


def order_of(execution: ExecutionId, priority: int, since: float) -> Order:
    """Say where in the line somebody stands."""
    return (-priority, since, str(execution))


@dataclass(slots=True)
class Line:
    """All who wait."""

    _by_execution: dict[ExecutionId, Waiting] = field(default_factory=dict[ExecutionId, Waiting])
    _groups: dict[tuple[str, ...], list[tuple[Order, ExecutionId]]] = field(
        default_factory=dict[tuple[str, ...], list[tuple[Order, ExecutionId]]]
    )

    def __len__(self) -> int:
        """How many wait."""
        return len(self._by_execution)

    def __contains__(self, execution: ExecutionId) -> bool:
        """Whether an execution waits."""
        return execution in self._by_execution

    def __iter__(self) -> Iterator[Waiting]:
        """All who wait, in no order."""
        return iter(self._by_execution.values())

    def put(self, waiting: Waiting) -> None:
        """Stand in the line; who stands there already has the place that is given now."""
        before = self._by_execution.get(waiting.execution)
        if before == waiting:
            return
        if before is not None:
            self.remove(before.execution)
        self._by_execution[waiting.execution] = waiting
        insort(self._groups.setdefault(waiting.scopes, []), (waiting.order, waiting.execution))

    def remove(self, execution: ExecutionId) -> bool:
        """Leave the line; False for who does not stand there."""
        waiting = self._by_execution.pop(execution, None)
        if waiting is None:
            return False
        group = self._groups[waiting.scopes]
        del group[bisect_left(group, (waiting.order, execution))]
        if not group:
            del self._groups[waiting.scopes]
        return True

    def admitted(self, free: Callable[[str], int]) -> Iterator[Waiting]:
        """
        List who may go now, the first in line first, as if each of them went.

        Args:
            free: How many units of a scope are free.
        """
        left: dict[str, int] = {}
        heads = [(group[0], 0, scopes) for scopes, group in self._groups.items()]
        heapq.heapify(heads)
        while heads:
            (_, execution), at, scopes = heapq.heappop(heads)
            waiting = self._by_execution[execution]
            for scope in scopes:
                if scope not in left:
                    left[scope] = free(scope)
            if not _take(left, scopes, waiting.units):
                continue  # nor can any of the same scopes who is behind
            yield waiting
            group = self._groups.get(scopes, [])
            if at + 1 < len(group):
                heapq.heappush(heads, (group[at + 1], at + 1, scopes))


def _take(left: dict[str, int], scopes: tuple[str, ...], units: int) -> bool:
    """Take units of all scopes, a pool and its shares; else close to those behind what is lacking, and say no."""
    pool, *shares = scopes
    lacking = [share for share in shares if left[share] < units]
    if not lacking and left[pool] < units:
        left[pool] = 0
        return False
    for share in shares:
        left[share] = 0 if share in lacking else left[share] - units
    if lacking:
        return False
    left[pool] -= units
    return True
