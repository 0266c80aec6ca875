"""
The store in a file against a model of a few lines, with restarts in between.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from airscrew.state.errors import CompactedError, LeaseOverError
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import (
    ANY,
    Compare,
    Delete,
    DeleteRange,
    Event,
    KeyValue,
    Operation,
    Put,
    TxnResult,
)

T = TypeVar("T")
KEYS = st.sampled_from(["a", "b", "c", "d\0", "é"])
VALUES = st.binary(max_size=3)
ENDS = st.sampled_from(["a", "b", "c", "d", "e", "\U0010ffff"])


class Model:
    """What a store must do, said simply."""

    def __init__(self) -> None:
        self.live: dict[str, KeyValue] = {}
        self.log: list[Event] = []
        self.leases: set[int] = set()
        self.revision = 0
        self.compacted = 0

    def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        for compare in compares:
            found = self.live[compare.key].mod_revision if compare.key in self.live else 0
            if (not found) if compare.mod_revision == ANY else found != compare.mod_revision:
                return TxnResult(False, self.revision)
        for operation in operations:
            if isinstance(operation, Put) and operation.lease and operation.lease not in self.leases:
                raise LeaseOverError(operation.lease)
        events = [event for operation in operations for event in self.apply(operation)]
        self.revision += bool(events)
        self.log += events
        return TxnResult(True, self.revision)

    def apply(self, operation: Operation) -> list[Event]:
        revision = self.revision + 1
        if isinstance(operation, Put):
            old = self.live.get(operation.key)
            self.live[operation.key] = KeyValue(
                key=operation.key,
                value=operation.value,
                create_revision=old.create_revision if old else revision,
                mod_revision=revision,
                lease=operation.lease,
            )
            return [Event(operation.key, operation.value, revision)]
        if isinstance(operation, Delete):
            gone = [operation.key] if operation.key in self.live else []
        else:
            gone = sorted(key for key in self.live if operation.start <= key < operation.end)
        for key in gone:
            del self.live[key]
        return [Event(key, None, revision) for key in gone]

    def revoke(self, lease: int) -> None:
        self.leases.discard(lease)
        self.txn((), [Delete(key) for key, item in self.live.items() if item.lease == lease])


class SqliteAgainstModel(RuleBasedStateMachine):
    """Every answer of the store is the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.leases: list[int] = [12345]

    @initialize()
    def open(self) -> None:
        options = SqliteOptions(cache_bytes=600, keep_revisions=10_000, flush_writes=3, idle_seconds=0)
        path = Path(self.folder.name) / "store.db"
        self.opening: AbstractAsyncContextManager[SqliteStore] = SqliteStore.open(
            path, inline=True, options=options, now=lambda: 0.0
        )
        self.store = self.run(self.opening.__aenter__())

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def close(self) -> None:
        self.run(self.opening.__aexit__(None, None, None))

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule(
        compare=st.one_of(st.none(), st.tuples(KEYS, st.sampled_from(["exact", "none", "any", "old"]))),
        puts=st.dictionaries(KEYS, st.tuples(VALUES, st.booleans()), max_size=3),
        deletes=st.lists(KEYS, max_size=2),
        span=st.one_of(st.none(), st.tuples(ENDS, ENDS)),
    )
    def txn(
        self,
        compare: tuple[str, str] | None,
        puts: dict[str, tuple[bytes, bool]],
        deletes: list[str],
        span: tuple[str, str] | None,
    ) -> None:
        operations: list[Operation] = [
            Put(key, value, self.leases[-1] if leased else 0) for key, (value, leased) in puts.items()
        ]
        operations += [Delete(key) for key in deletes if key not in puts]
        if span is not None and not any(span[0] <= key < span[1] for key in puts):
            operations.append(DeleteRange(*span))
        compares = [self.compare(*compare)] if compare is not None else []

        assert self.outcome(compares, operations) == self.wanted(compares, operations)

    def compare(self, key: str, how: str) -> Compare:
        found = self.model.live.get(key)
        exact = found.mod_revision if found is not None else 0
        return Compare(key, {"exact": exact, "none": 0, "any": ANY, "old": max(0, exact - 1)}[how])

    def outcome(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult | str:
        try:
            return self.run(self.store.txn(compares, operations))
        except LeaseOverError as error:
            return str(error)

    def wanted(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult | str:
        try:
            return self.model.txn(compares, operations)
        except LeaseOverError as error:
            return str(error)

    @rule()
    def grant(self) -> None:
        lease = self.run(self.store.grant_lease(60))
        assert lease not in self.leases
        self.leases.append(lease)
        self.model.leases.add(lease)

    @rule()
    def revoke(self) -> None:
        if self.model.leases:
            lease = max(self.model.leases)
            self.run(self.store.revoke_lease(lease))
            self.model.revoke(lease)

    @rule(back=st.integers(0, 5), pauses=st.integers(0, 20))
    def compact(self, back: int, pauses: int) -> None:
        revision = max(0, self.model.revision - back)
        self.run(self.store.compact(revision))
        self.model.compacted = max(self.model.compacted, revision)
        self.run(turns(pauses))

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert self.run(self.store.get(key)) == self.model.live.get(key)

    @rule(start=ENDS, end=ENDS, limit=st.integers(1, 6))
    def range(self, start: str, end: str, limit: int) -> None:
        page = self.run(self.store.range(start, end, limit=limit))
        wanted = [self.model.live[key] for key in sorted(self.model.live) if start <= key < end]
        assert list(page.items) == wanted[:limit]
        assert page.more == (len(wanted) > limit)
        assert page.revision == self.model.revision

    @rule(back=st.integers(0, 8), start=ENDS, end=ENDS)
    def watch(self, back: int, start: str, end: str) -> None:
        revision = max(1, self.model.revision - back)
        wanted = [event for event in self.model.log if event.revision >= revision and start <= event.key < end]
        if revision <= self.model.compacted:
            assert self.run(self.watched(start, end, revision, 1)) == f"oldest {self.model.compacted + 1}"
        elif wanted:
            found = self.run(self.watched(start, end, revision, len(wanted)))
            assert isinstance(found, list)
            assert sorted(found, key=order) == sorted(wanted, key=order)

    async def watched(self, start: str, end: str, revision: int, count: int) -> list[Event] | str:
        events: list[Event] = []
        try:
            async for batch in self.store.watch(start, end, from_revision=revision):
                events += batch
                if len(events) >= count:
                    break
        except CompactedError as error:
            return f"oldest {error.oldest}"
        return events

    @invariant()
    def revisions_agree(self) -> None:
        if hasattr(self, "store"):
            status = self.run(self.store.status())
            assert (status.revision, status.compacted) == (self.model.revision, self.model.compacted)

    @override
    def teardown(self) -> None:
        self.close()
        self.runner.close()
        self.folder.cleanup()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def order(event: Event) -> tuple[int, str]:
    return event.revision, event.key


TestSqliteAgainstModel = SqliteAgainstModel.TestCase
TestSqliteAgainstModel.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
