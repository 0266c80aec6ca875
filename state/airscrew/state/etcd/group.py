"""
Transactions that share one transaction of etcd: pure.

A group is right when it comes to the same as its members one after the other in some order. So none joins that writes
what another one compares, or compares what another one writes, and no key is written twice; only puts of the same
value to the same key, which nobody compares, become one put. When a group fails, etcd tells the revisions of all
compared keys as of that moment, so each member is judged by itself: the losers are answered, the others go again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.store import ANY, Compare, Delete, DeleteRange, Operation, Put, TxnResult

_OVERHEAD_BYTES = 64
"""What a compare or an operation takes beside its key and value; more than it does."""

TRIES_TOGETHER = 2
"""What has failed with others so many times goes alone."""


@dataclass(slots=True, eq=False)
class Request:
    """
    One caller's transaction.

    Attributes:
        future: Where the caller waits.
        compares: Its compares.
        operations: Its operations, without those that can change nothing.
        size: About how many bytes it takes.
        failures: How many groups it was in that failed by others.
        alone: Whether it shares with nobody: a lease that is over fails the whole transaction of etcd, and two
            compares of one key are not merged.
    """

    future: asyncio.Future[TxnResult]
    compares: Sequence[Compare]
    operations: Sequence[Operation]
    size: int = 0
    failures: int = 0
    alone: bool = False

    @property
    def frees(self) -> bool:
        """Tell whether it only makes room: etcd takes it when it is full."""
        return not any(type(operation) is Put for operation in self.operations)

    @property
    def lease(self) -> int:
        """The first lease that it names; 0 for none."""
        return next((op.lease for op in self.operations if type(op) is Put and op.lease), 0)


def make_request(
    future: asyncio.Future[TxnResult],
    compares: Sequence[Compare],
    operations: Sequence[Operation],
    prefix_bytes: int,
) -> Request:
    """Make a request of a transaction that passed ``limits.check_transaction``."""
    overhead = _OVERHEAD_BYTES + prefix_bytes
    # A compared key is named once more in what is asked on a failure.
    size = sum(2 * (len(compare.key) + overhead) for compare in compares)
    kept: list[Operation] = []
    alone = len({compare.key for compare in compares}) < len(compares)
    for operation in operations:
        if type(operation) is Put:
            size += len(operation.value) + len(operation.key)
            alone = alone or operation.lease != 0
        elif type(operation) is DeleteRange and operation.start >= operation.end:
            continue
        size += overhead
        kept.append(operation)
    return Request(future, compares, kept, size, alone=alone)


@dataclass(slots=True, eq=False)
class Group:
    """
    Requests that go to etcd together.

    Attributes:
        options: Its limits.
        requests: Them.
        size: About how many bytes they take.
    """

    options: EtcdOptions
    requests: list[Request] = field(default_factory=list[Request])
    size: int = 0
    _compared: dict[str, int] = field(default_factory=dict[str, int])
    _puts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _deletes: set[str] = field(default_factory=set[str])
    _ranges: list[DeleteRange] = field(default_factory=list[DeleteRange])

    def take(self, request: Request) -> bool:
        """Let a request join if it may; the first one always may."""
        if self.requests and not self._may_join(request):
            return False
        self.requests.append(request)
        self.size += request.size
        for compare in request.compares:
            self._compared[compare.key] = compare.mod_revision
        for operation in request.operations:
            if type(operation) is Put:
                self._puts[operation.key] = operation.value
            elif type(operation) is Delete:
                self._deletes.add(operation.key)
            elif type(operation) is DeleteRange:
                self._ranges.append(operation)
        return True

    @property
    def is_full(self) -> bool:
        """Tell whether it is hardly worth while to look for more."""
        most = self.options.group_operations
        first = self.requests[0]
        return (
            first.alone
            or first.failures >= TRIES_TOGETHER
            or self.size >= self.options.group_bytes
            or len(self._compared) >= most
            or self._count() >= most
        )

    def compares(self) -> Sequence[Compare]:
        """Return all compares, each once."""
        if len(self.requests) == 1:
            return self.requests[0].compares
        return [Compare(key, revision) for key, revision in self._compared.items()]

    def operations(self) -> Sequence[Operation]:
        """Return all operations, each once."""
        if len(self.requests) == 1:
            return self.requests[0].operations
        puts: list[Operation] = [Put(key, value) for key, value in self._puts.items()]
        return [*puts, *map(Delete, self._deletes), *self._ranges]

    def asked(self) -> Sequence[str]:
        """Return the keys whose revisions tell the losers; none for one request, which has lost when it failed."""
        return list(self._compared) if len(self.requests) > 1 else ()

    def judge(self, revisions: Sequence[int]) -> Iterator[tuple[Request, bool]]:
        """Yield each request of a failed group and whether its own compares held, by the revisions asked."""
        if len(self.requests) == 1:
            yield self.requests[0], False
            return
        found = dict(zip(self.asked(), revisions, strict=True))
        for request in self.requests:
            yield request, all(_holds(compare, found) for compare in request.compares)

    def _count(self) -> int:
        return len(self._puts) + len(self._deletes) + len(self._ranges)

    def _may_join(self, request: Request) -> bool:
        most = self.options.group_operations
        if (
            request.alone
            or request.failures >= TRIES_TOGETHER
            or self.is_full
            or self.size + request.size > self.options.group_bytes
            or len(self._compared) + len(request.compares) > most
            or self._count() + len(request.operations) > most
        ):
            return False
        return not any(self._contradicts(compare) for compare in request.compares) and not any(
            self._collides(operation) for operation in request.operations
        )

    def _contradicts(self, compare: Compare) -> bool:
        """Tell whether the group writes what this compares, or compares it with something else."""
        key = compare.key
        known = self._compared.get(key)
        return (
            key in self._puts
            or key in self._deletes
            or (known is not None and known != compare.mod_revision)
            or self._in_ranges(key)
        )

    def _collides(self, operation: Operation) -> bool:
        """Tell whether the group compares or writes what this writes."""
        if isinstance(operation, DeleteRange):
            start, end = operation.start, operation.end
            touched = (*self._compared, *self._puts)
            return any(start <= key < end for key in touched)
        if operation.key in self._compared:
            return True
        if isinstance(operation, Delete):
            return operation.key in self._puts
        key, value = operation.key, operation.value
        return key in self._deletes or self._puts.get(key, value) != value or self._in_ranges(key)

    def _in_ranges(self, key: str) -> bool:
        return any(span.start <= key < span.end for span in self._ranges)


def _holds(compare: Compare, found: Mapping[str, int]) -> bool:
    revision = found[compare.key]
    return revision == compare.mod_revision or (compare.mod_revision == ANY and revision > 0)
