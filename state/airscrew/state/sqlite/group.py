"""
A group of requests that are judged one by one and written by one COMMIT: pure but for two lookups.

Each request sees what those before it in the group have written, in ``overlay``. Nobody else sees it before
the group is on the disk, and no request of it is answered before: not even one that only read, since what it
read might never come to be.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Generic, TypeVar, final

from typing_extensions import override

from airscrew.state.errors import LeaseOverError, TooLargeError
from airscrew.state.feed import Change
from airscrew.state.sqlite.schema import REVISION_SHIFT
from airscrew.state.store import ANY, Compare, Delete, DeleteRange, Operation, Put, TxnResult

Row = tuple[int, bytes, int, int]
"""A live key's row of the log: its id, value, create_revision and lease."""

Place = tuple[str, int]
"""A live key and the id of its row."""

SqlValue = int | str | bytes | float | None
AnswerT = TypeVar("AnswerT")

_MOST_WRITES = 1 << REVISION_SHIFT


class Lookup(ABC):
    """What a group must know of the state that it begins from."""

    @abstractmethod
    def row(self, key: str) -> Row | None:
        """Find a live key."""

    @abstractmethod
    def span(self, start: str, end: str) -> Sequence[Place]:
        """Find the live keys of a range."""

    @abstractmethod
    def leased(self, lease: int) -> Sequence[Place]:
        """Find the live keys of a lease."""


@final
class Group:
    """
    What a group of requests comes to.

    Attributes:
        revision: The revision after the requests judged so far.
        overlay: What they wrote: a key's new row, None when it was deleted.
        parameters: The same as rows of the log, one after the other, in the order of its columns.
        rows: How many rows these are.
        changes: The same once more, by revision, for the feed.
        granted: Leases that begin, with their seconds.
        ended: Leases that end.
        compacted: The revision to compact; 0 for none.
        settled: Set when the group was written or given up, and its requests are answered.
    """

    __slots__ = (
        "_lookup",
        "changes",
        "compacted",
        "ended",
        "granted",
        "leases",
        "overlay",
        "parameters",
        "requests",
        "revision",
        "rows",
        "settled",
    )

    def __init__(self, revision: int, lookup: Lookup, leases: Container[int]) -> None:
        self.revision = revision
        self.leases = leases
        self.overlay: dict[str, Row | None] = {}
        self.parameters: list[SqlValue] = []
        self.rows = 0
        self.changes: list[Sequence[Change]] = []
        self.granted: list[tuple[int, float]] = []
        self.ended: list[int] = []
        self.compacted = 0
        self.requests: list[Request[TxnResult] | Request[int] | Request[None]] = []
        self.settled = asyncio.Event()
        self._lookup = lookup

    @property
    def writes_rows_alone(self) -> bool:
        """Tell whether there is nothing to write but rows of the log."""
        return not (self.granted or self.ended or self.compacted)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not self.rows and self.writes_rows_alone

    def settle(self, error: Exception | None) -> None:
        """Answer all its requests."""
        for request in self.requests:
            request.settle(error)
        self.settled.set()

    def transact(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Judge a transaction and make its writes."""
        for compare in compares:
            row = self._row(compare.key)
            found = 0 if row is None else row[0] >> REVISION_SHIFT
            if found != compare.mod_revision and (compare.mod_revision != ANY or not found):
                return TxnResult(False, self.revision)
        self._check(operations)
        changes: list[Change] = []
        for operation in operations:
            if type(operation) is Put:
                self._put(operation, changes)
            elif type(operation) is Delete:
                row = self._row(operation.key)
                if row is not None:
                    self._delete(operation.key, row[0], changes)
            elif type(operation) is DeleteRange:
                for key, place in self._span(operation.start, operation.end):
                    self._delete(key, place, changes)
        self._close_revision(changes)
        return TxnResult(True, self.revision)

    def end_lease(self, lease: int) -> None:
        """End a lease and delete its keys in a revision of their own."""
        if not self._is_alive(lease):
            raise LeaseOverError(lease)
        self.ended.append(lease)
        places = self._merge(self._lookup.leased(lease), lambda _, row: row[3] == lease)
        changes: list[Change] = []
        for key, place in places:
            self._delete(key, place, changes)
        self._close_revision(changes)

    def _check(self, operations: Sequence[Operation]) -> None:
        """Refuse what the port's limits let pass, before anything is written."""
        for operation in operations:
            if type(operation) is Put:
                if operation.lease and not self._is_alive(operation.lease):
                    raise LeaseOverError(operation.lease)
            elif type(operation) is DeleteRange:
                count = len(self._span(operation.start, operation.end))
                if count * len(operations) >= _MOST_WRITES:
                    raise TooLargeError(f"deleting {count} keys at once is over the limit: delete them in parts")

    def _is_alive(self, lease: int) -> bool:
        return lease in self.leases and lease not in self.ended

    def _row(self, key: str) -> Row | None:
        if key in self.overlay:
            return self.overlay[key]
        return self._lookup.row(key)

    def _span(self, start: str, end: str) -> list[Place]:
        return self._merge(self._lookup.span(start, end), lambda key, _: start <= key < end)

    def _merge(self, places: Iterable[Place], belongs: Callable[[str, Row], bool]) -> list[Place]:
        """Bring what was looked up to where the group stands."""
        merged = {key: place for key, place in places if key not in self.overlay}
        for key, row in self.overlay.items():
            if row is not None and belongs(key, row):
                merged[key] = row[0]
        return sorted(merged.items())

    def _put(self, put: Put, changes: list[Change]) -> None:
        key, value, lease = put.key, put.value, put.lease
        row = self._row(key)
        revision = self.revision + 1
        place = revision << REVISION_SHIFT | len(changes)
        previous, created = (0, revision) if row is None else (row[0], row[2])
        self.overlay[key] = (place, value, created, lease)
        self.parameters += (place, key, value, previous, created, lease)
        changes.append((key, value))

    def _delete(self, key: str, previous: int, changes: list[Change]) -> None:
        place = self.revision + 1 << REVISION_SHIFT | len(changes)
        self.overlay[key] = None
        self.parameters += (place, key, None, previous, 0, 0)
        changes.append((key, None))

    def _close_revision(self, changes: list[Change]) -> None:
        if changes:
            self.revision += 1
            self.rows += len(changes)
            self.changes.append(changes)


class Request(ABC, Generic[AnswerT]):
    """Something asked of the writer; its future is answered when its group is settled."""

    __slots__ = ("_outcome", "future")

    def __init__(self, future: asyncio.Future[AnswerT]) -> None:
        self.future = future
        self._outcome: AnswerT | Exception | None = None

    def judge(self, group: Group) -> None:
        """Take part in a group, or be refused by it alone."""
        try:
            self._outcome = self.carry_out(group)
        except (LeaseOverError, TooLargeError) as error:
            self._outcome = error

    def looks_up(self) -> Sequence[str]:
        """Name the keys that it will look up, as far as that is known."""
        return ()

    @abstractmethod
    def carry_out(self, group: Group) -> AnswerT:
        """Do it upon the group and return the answer, for when the group is written."""

    def settle(self, error: Exception | None) -> None:
        """Answer: with the error that the group met, or with what was judged."""
        if self.future.done():
            return
        outcome = self._outcome if error is None else error
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)  # type: ignore[arg-type]  # None only where the answer is None


@final
class Transaction(Request[TxnResult]):
    """``Store.txn``."""

    __slots__ = ("_compares", "_operations")

    def __init__(
        self,
        future: asyncio.Future[TxnResult],
        compares: Sequence[Compare],
        operations: Sequence[Operation],
    ) -> None:
        super().__init__(future)
        self._compares = compares
        self._operations = operations

    @override
    def looks_up(self) -> Sequence[str]:
        named = [compare.key for compare in self._compares]
        return named + [operation.key for operation in self._operations if not isinstance(operation, DeleteRange)]

    @override
    def carry_out(self, group: Group) -> TxnResult:
        return group.transact(self._compares, self._operations)


@final
class Grant(Request[int]):
    """``LeaseStore.grant_lease``."""

    __slots__ = ("_lease", "_seconds")

    def __init__(self, future: asyncio.Future[int], lease: int, seconds: float) -> None:
        super().__init__(future)
        self._lease = lease
        self._seconds = seconds

    @override
    def carry_out(self, group: Group) -> int:
        group.granted.append((self._lease, self._seconds))
        return self._lease


@final
class Revoke(Request[None]):
    """
    ``LeaseStore.revoke_lease``, or the end of a lease's time.

    The second, with ``is_due``, is passed over when the lease was kept alive in the meantime.
    """

    __slots__ = ("_is_due", "_lease")

    def __init__(self, future: asyncio.Future[None], lease: int, is_due: Callable[[int], bool] | None = None) -> None:
        super().__init__(future)
        self._lease = lease
        self._is_due = is_due

    @override
    def carry_out(self, group: Group) -> None:
        if self._is_due is None or (self._is_due(self._lease) and self._lease not in group.ended):
            group.end_lease(self._lease)


@final
class Compact(Request[None]):
    """``Store.compact``."""

    __slots__ = ("_revision",)

    def __init__(self, future: asyncio.Future[None], revision: int) -> None:
        super().__init__(future)
        self._revision = revision

    @override
    def carry_out(self, group: Group) -> None:
        group.compacted = max(group.compacted, min(self._revision, group.revision))
