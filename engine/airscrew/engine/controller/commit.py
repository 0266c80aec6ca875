"""
Writing a step: one transaction that takes the record only as it was read.

In it: the record, the requests that it consumed, the ledger entry of the attempt, the events for the outbox, and the
word to a parent.
A reply that was lost is settled by reading: the record says which write made it, and every write has a name of its
own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.controller.fitting import fitted
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import Ownership, SoleOwner
from airscrew.engine.errors import EngineError
from airscrew.engine.machine import SWEEP, Fact, open_entries
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.metrics.names import STORE_CONFLICTS
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.errors import StoreFullError, StoreUnavailableError
from airscrew.state.records import (
    Record,
    RecordError,
    Request,
    Stage,
    TokenHolder,
    decode,
    decode_record,
    encode,
    form_of,
)
from airscrew.state.store import Compare, Delete, KeyValue, Operation, Put, Store, prefix_end

T = TypeVar("T")

SUBMIT = "submit"
"""The request that every execution has until it is done: a start-up finds by it what is unfinished."""


class ExecutionGoneError(EngineError):
    """The execution that a step was taken for is not in the store any more."""


@dataclass(slots=True)
class Committer:
    """
    Writes steps for one life of the engine.

    Attributes:
        store: Where.
        life: The life's number: part of the names of writes and events.
        random: For the pauses while the store is away.
        clock: The engine's time.
        owner: Whose executions they are.
        meters: Where conflicts are counted.
        sequence: Of the last write.
        event_sequence: Of the last write with events.
    """

    store: Store
    life: int
    random: Random
    clock: Clock
    owner: Ownership = field(default_factory=SoleOwner)
    meters: Meters = NO_METERS
    sequence: int = 0
    event_sequence: int = 0
    _encoder: msgspec.json.Encoder = field(default_factory=msgspec.json.Encoder)

    async def commit(self, live: Live) -> bool:
        """
        Write what is not written yet.

        Waits as long as the store is away or full: a running task has to be written.

        Returns:
            False after a conflict: the live execution now shows what is stored, and facts are to be applied again.

        Raises:
            ShardLostError: It is another engine's; nothing was written.
        """
        live.check_kept()
        self.sequence += 1
        name, form = f"{self.life:x}.{self.sequence:x}", form_of(live.record, self.owner.schema)
        record, data = fitted(msgspec.structs.replace(live.record, write=name, v=form))
        compares, operations = self._transaction(live, record, data)
        pause = 0.05
        while True:
            live.check_kept()
            try:
                result = await self.store.txn(compares, operations)
            except StoreFullError:
                settled = None
            except StoreUnavailableError:
                settled = await self._settle(live, record)
            else:
                settled = result.revision if result.succeeded else await self._settle_lost(live, record)
            if settled is not None:
                if settled:
                    live.written(record, settled)
                else:
                    self.meters.count(STORE_CONFLICTS)
                return bool(settled)
            await asyncio.sleep(pause * (0.5 + self.random.random()))
            pause = min(pause * 2, 5.0)

    async def _settle_lost(self, live: Live, record: Record) -> int | None:
        """Find out why a transaction's compares did not hold."""
        await self._patiently(lambda: self.owner.check(live.execution))
        live.check_kept()
        return await self._settle(live, record, refused=True)

    async def _settle(self, live: Live, record: Record, *, refused: bool = False) -> int | None:
        """Find out whether a write happened: its revision, 0 when another one did, None when none did."""
        found = await self.read(live.execution)
        if found is None:
            return None if live.revision == 0 and not live.consumed and not refused else 0
        stored = decode_record(found.value)
        if stored.write == record.write and stored.uid == record.uid:
            return found.mod_revision
        if found.mod_revision == live.revision and not live.consumed and not refused:
            return None
        return 0

    async def read_again(self, live: Live) -> list[Fact]:
        """Go back to what is stored after a conflict, requests included; returns the facts to apply again."""
        found = await self.read(live.execution)
        start = keys.request_prefix(live.execution)
        requests, live.unread = requests_in(await self._patiently(lambda: self._requests(start)))
        now = self.clock.now()
        if found is None:
            if live.revision or not await self._is_accepted(live):
                raise ExecutionGoneError(f"{live.execution} was pruned meanwhile")
            return live.rebase(None, 0, requests, now)
        return live.rebase(decode_record(found.value), found.mod_revision, requests, now)

    async def read(self, execution: ExecutionId) -> KeyValue | None:
        """Read a record, as long as the store takes to answer."""
        return await self._patiently(lambda: self.store.get(keys.record_key(execution)))

    async def _is_accepted(self, live: Live) -> bool:
        spec = await self._patiently(lambda: self.store.get(keys.spec_key(live.execution)))
        return not live.accepted or (spec is not None and spec.mod_revision == live.accepted)

    async def _requests(self, start: str) -> list[KeyValue]:
        """Read the first page of the requests to an execution; the next turn brings what is beyond it."""
        page = await self.store.range(start, prefix_end(start))
        return list(page.items)

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read, as long as the store takes to answer: a fact that was learned must not be lost for want of it."""
        pause = 0.05
        while True:
            try:
                return await read()
            except StoreUnavailableError:
                await asyncio.sleep(pause * (0.5 + self.random.random()))
                pause = min(pause * 2, 5.0)

    def _transaction(self, live: Live, record: Record, data: bytes) -> tuple[list[Compare], list[Operation]]:
        name = keys.record_key(live.execution)
        compares = [Compare(name, live.revision), *self.owner.compares(live.execution)]
        if live.accepted and not live.revision:
            # It may have been pruned since it was read: without this it would begin once more.
            compares.append(Compare(keys.spec_key(live.execution), live.accepted))
        late_start = keys.request_key(live.execution, f"{SWEEP}-{record.attempt}")
        word = keys.request_of(late_start)
        if _resolves_unknown_start(live.stored, record) and word not in live.consumed:
            # Word of a start that may have been sent later than was thought; the watch may not have told of it yet.
            compares.append(Compare(late_start, live.revision_of(word)))
        operations: list[Operation] = [Put(name, data)]
        for what in live.consumed:
            request = keys.request_key(live.execution, what)
            compares.append(Compare(request, live.requests[what][1]))
            operations.append(Delete(request))
        if record.stage is Stage.DONE and (live.stored is None or live.stored.stage is not Stage.DONE):
            operations.append(Delete(keys.request_key(live.execution, SUBMIT)))
        operations += self._ledger(live, record)
        if record.tokens or record.waits is not None or (live.stored is not None and _has_quota(live.stored)):
            compares += self._quotas(live, record, operations)
        if live.events:
            # A count of its own: events that every sink has are erased by ranges of numbers without a gap.
            self.event_sequence += 1
            operations.append(Put(keys.event_key(self.life, self.event_sequence), self._encoder.encode(live.events)))
        operations += self._word_to_parent(live, record)
        return compares, operations

    def _ledger(self, live: Live, record: Record) -> list[Operation]:
        name = str(live.execution)
        before = {} if live.stored is None else open_entries(live.stored, live.options, name)
        after = open_entries(record, live.options, name)
        operations: list[Operation] = [
            Put(keys.ledger_key(live.execution, live.key_at(attempt)), encode(entry))
            for attempt, entry in after.items()
            if before.get(attempt) != entry
        ]
        operations += [
            Delete(keys.ledger_key(live.execution, live.key_at(attempt))) for attempt in before if attempt not in after
        ]
        return operations

    def _quotas(self, live: Live, record: Record, operations: list[Operation]) -> list[Compare]:
        """Take and give back units of a quota with the ledger entry; a unit that another one has fails the step."""
        before, waited = ((), None) if live.stored is None else (live.stored.tokens, live.stored.waits)
        taken = [keys.quota_token_key(token) for token in record.tokens if token not in before]
        if taken:
            project = live.options.task_id.get("project", "")
            holder = TokenHolder(execution=str(live.execution), key=live.key_of(record), project=project)
            operations += [Put(token, encode(holder)) for token in taken]
        operations += [Delete(keys.quota_token_key(token)) for token in before if token not in record.tokens]
        if record.waits != waited:
            line = keys.quota_line_key(live.execution)
            operations.append(Delete(line) if record.waits is None else Put(line, encode(record.waits)))
        return [Compare(token, 0) for token in taken]

    def _word_to_parent(self, live: Live, record: Record) -> list[Operation]:
        ended = bool(record.ended_at) and (live.stored is None or not live.stored.ended_at)
        if not live.options.parent or not ended:
            return []
        parent = ExecutionId.parse(live.options.parent)
        what = f"child-{live.options.item or 0}"
        return [Put(keys.request_key(parent, what), encode(Request(what="child", at=record.ended_at)))]


def _has_quota(record: Record) -> bool:
    """Tell whether a record has units of a quota, or waits for some."""
    return bool(record.tokens) or record.waits is not None


def _resolves_unknown_start(stored: Record | None, record: Record) -> bool:
    """Tell whether a step goes on from a start whose outcome was unknown."""
    before = None if stored is None else stored.intent
    if before is None or not before.unknown_since:
        return False
    return record.intent is None or not record.intent.unknown_since


def requests_in(items: Iterable[KeyValue]) -> tuple[dict[str, tuple[Request, int]], dict[str, int]]:
    """Read requests by name, with their revisions; of those that cannot be read, which stay where they are, these."""
    requests: dict[str, tuple[Request, int]] = {}
    unread: dict[str, int] = {}
    for item in items:
        what = keys.request_of(item.key)
        try:
            requests[what] = (decode(item.value, Request), item.mod_revision)
        except RecordError:
            unread[what] = item.mod_revision
    requests.pop(SUBMIT, None)
    return requests, unread
