"""
What is taken and what is free, as far as one engine knows.

Guarantees: pure. Pictures of a token may come in any order, from a watch, a list or a write of our own: the one of the
greatest revision counts. How much of a share is used is counted by who has units of its pool, so that a share that is
set later counts those as well that had begun before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from airscrew.engine.quotas.pools import all_scopes, scope_of
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.state.records import TokenHolder

NOBODY = TokenHolder(execution="", key=AttemptKey(""))
"""Has what cannot be read: it is taken."""


@dataclass(slots=True)
class Slots:
    """The tokens of all pools."""

    _held: dict[str, dict[int, tuple[TokenHolder, int]]] = field(
        default_factory=dict[str, dict[int, tuple[TokenHolder, int]]]
    )
    _used: Counter[str] = field(default_factory=Counter[str])
    _reserved: dict[ExecutionId, tuple[str, ...]] = field(default_factory=dict[ExecutionId, tuple[str, ...]])
    _reserved_numbers: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def used(self, scope: str) -> int:
        """How many units of a scope are taken, those that are about to be included."""
        return self._used[scope] + len(self._reserved_numbers.get(scope, ()))

    def put(self, token: str, holder: TokenHolder, revision: int) -> None:
        """Take note that somebody has a token."""
        scope, number = scope_of(token)
        numbers = self._held.setdefault(scope, {})
        known = numbers.get(number)
        if known is not None:
            if known[1] >= revision:
                return
            self._count(scope, known[0], -1)
        numbers[number] = (holder, revision)
        self._count(scope, holder, 1)

    def drop(self, token: str, revision: int) -> None:
        """Take note that a token is free."""
        scope, number = scope_of(token)
        numbers = self._held.get(scope, {})
        known = numbers.get(number)
        if known is None or known[1] > revision:
            return
        del numbers[number]
        if not numbers:
            del self._held[scope]
        self._count(scope, known[0], -1)

    def keep_only(self, tokens: Iterable[str], revision: int) -> None:
        """Take note of all that are taken at a revision; what is known to be of a later one stays."""
        there = {scope_of(token) for token in tokens}
        for scope, numbers in list(self._held.items()):
            for number in [one for one, (_, at) in numbers.items() if at <= revision and (scope, one) not in there]:
                self.drop(f"{scope}/{number}", revision)

    def choose(self, scopes: Sequence[str], limits: Sequence[int], units: int, spread: float) -> tuple[str, ...]:
        """
        Choose tokens that are free.

        Args:
            scopes: Of which.
            limits: How many each has.
            units: How many of each.
            spread: 0 to 1: from where on they are tried, so that engines seldom try the same.

        Returns:
            None at all when some scope has not so many.
        """
        chosen: list[str] = []
        for scope, limit in zip(scopes, limits, strict=True):
            taken, reserved = self._held.get(scope, {}), self._reserved_numbers.get(scope, set())
            start = int(spread * limit)
            numbers = ((start + step) % limit for step in range(limit))
            free = (number for number in numbers if number not in taken and number not in reserved)
            found = [number for number, _ in zip(free, range(units), strict=False)]
            if len(found) < units:
                return ()
            chosen += [f"{scope}/{number}" for number in found]
        return tuple(chosen)

    def reserve(self, execution: ExecutionId, tokens: tuple[str, ...]) -> None:
        """Count tokens as taken that are about to be."""
        self.unreserve(execution)
        self._reserved[execution] = tokens
        for token in tokens:
            scope, number = scope_of(token)
            self._reserved_numbers.setdefault(scope, set()).add(number)

    def unreserve(self, execution: ExecutionId) -> bool:
        """Count them no longer; False when there are none."""
        tokens = self._reserved.pop(execution, ())
        for token in tokens:
            scope, number = scope_of(token)
            self._reserved_numbers[scope].discard(number)
        return bool(tokens)

    def _count(self, scope: str, holder: TokenHolder, by: int) -> None:
        """Count by whom the units of pools are taken; the tokens of shares only say who may."""
        if "/" in scope:
            return
        namespace = ""
        with suppress(UsageError):
            namespace = ExecutionId.parse(holder.execution).namespace
        for one in all_scopes(scope, namespace, holder.project):
            self._used[one] += by
            if not self._used[one]:
                del self._used[one]
