"""
The store in etcd.

It keeps the port's guarantees by etcd's own: linearizable reads, serializable transactions, ordered watches,
leases. What is added: many transactions in one of etcd's (``committer``), pages bounded by bytes, watches that
outlive their streams (``watch``), other members when one is away (``link``), and upkeep.

etcd's revision counts the writes of all who use it, so revisions here have gaps when others do; compaction is for all
as well. Callers whose transactions went together see one revision: it is as if they had agreed on it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import final

from airscrew.state.errors import LeaseOverError, StoreAccessError, StoreError, StoreUnavailableError
from airscrew.state.etcd.address import EtcdAddress
from airscrew.state.etcd.committer import Committer, Outcome
from airscrew.state.etcd.failures import CallError, Trouble, translate
from airscrew.state.etcd.group import Group, make_request
from airscrew.state.etcd.link import Link, Pick
from airscrew.state.etcd.options import EtcdOptions
from airscrew.state.etcd.upkeep import History, Sizes
from airscrew.state.etcd.watch import Watcher, compacted_revision
from airscrew.state.etcd.wire import Message, Namespace, found_revisions, quota_of, rpc
from airscrew.state.limits import check_key, check_range, check_transaction
from airscrew.state.store import (
    MAX_PAGE_BYTES,
    Compare,
    Event,
    KeyValue,
    Operation,
    Page,
    StoreStatus,
    TxnResult,
)

log = logging.getLogger("airscrew.state.etcd")

_FIRST_ROWS = 128
"""How many keys are asked for before it is known how large they are."""


@final
class EtcdStore:
    """A ``LeaseStore`` in etcd; see ``open``."""

    def __init__(self, link: Link, tasks: asyncio.TaskGroup, options: EtcdOptions) -> None:
        """Wrap a line to etcd; use ``open`` instead."""
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._tasks = tasks
        self._address = link.address
        self._options = options
        self._names = Namespace(link.address.prefix.encode())
        self._prefix_bytes = len(self._names.prefix)
        self._committer = Committer(self._send, tasks, options, str(link.address))
        self._compacted = 0
        self._sizes = Sizes()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        address: EtcdAddress,
        *,
        now: Callable[[], float] = time.monotonic,
        options: EtcdOptions | None = None,
    ) -> AsyncIterator[EtcdStore]:
        """
        Open the store at an address, and own its connections and tasks until the block ends.

        Args:
            address: Where it is.
            now: The clock that history is kept by, in seconds.
            options: How to keep it.

        Raises:
            StoreUnavailableError: No member answers.
            StoreAccessError: A file that the address names is no good, or we are not let in.
        """
        options = options or EtcdOptions()
        failure: Exception | None = None
        async with Link(address, options) as link:
            async with asyncio.TaskGroup() as tasks:
                try:
                    async with cls(link, tasks, options)._working(now) as store:
                        yield store
                except Exception as error:  # noqa: BLE001  # raised again below, as it is: a task group would wrap it
                    failure = error
            if failure is not None:
                try:
                    raise failure
                finally:
                    failure = None  # a cycle of error and frame would keep the connections, which go on trying

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        check_key(key)
        answer = await self._ask(lambda member: member.kv.Range, self._names.get(key), is_read=True)
        return self._names.key_value(answer.kvs[0]) if answer.kvs else None

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read a range of keys, in pieces as of one revision, so that large values do not come all at once."""
        check_range(start, end, limit)
        items: list[KeyValue] = []
        size = revision = 0
        begin, rows = start, min(limit, _FIRST_ROWS)
        while True:
            request = self._names.range(begin, end, rows, revision)
            try:
                answer = await self._call(lambda member: member.kv.Range, request, is_read=True)
            except CallError as failure:
                if failure.trouble is Trouble.COMPACTED and items:
                    return Page(items, revision, more=True)
                raise translate(failure, self._address) from None
            revision = revision or answer.header.revision
            for kv in answer.kvs:
                if size >= MAX_PAGE_BYTES:
                    return Page(items, revision, more=True)
                items.append(self._names.key_value(kv))
                size += len(kv.value)
            if not answer.more or len(items) >= limit or size >= MAX_PAGE_BYTES:
                return Page(items, revision, more=answer.more)
            begin = items[-1].key + "\0"
            room = math.ceil((MAX_PAGE_BYTES - size) * len(items) / max(size, 1))
            rows = min(limit - len(items), max(room, 1), 8 * len(items))

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make all the writes if all the compares hold, else none; others' may go with it."""
        check_transaction(compares, operations)
        request = make_request(self._loop.create_future(), compares, operations, self._prefix_bytes)
        return await self._committer.ask(request)

    def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Tell the writes from a revision on; a broken stream is begun again by the store itself."""
        watcher = Watcher(self._link, self._names, self._options, self._saw_compacted)
        return watcher.run(start, end, from_revision)

    async def compact(self, revision: int) -> None:
        """Forget the history up to and with a revision, of all who use this etcd."""
        request = rpc.CompactionRequest(revision=revision)
        try:
            await self._call(lambda member: member.kv.Compact, request)
        except CallError as failure:
            if failure.trouble is not Trouble.COMPACTED:  # that far or farther already: as was asked
                raise translate(failure, self._address) from None
        else:
            self._saw_compacted(revision)

    async def status(self) -> StoreStatus:
        """Tell how the store stands; the sizes are those of the whole etcd."""
        try:
            revision = await self._measure()
            compacted = await self._find_compacted()
        except CallError as failure:
            raise translate(failure, self._address) from None
        return StoreStatus(
            revision=revision,
            compacted=compacted,
            size_bytes=self._sizes.total,
            in_use_bytes=self._sizes.in_use,
            description=str(self._address),
        )

    async def grant_lease(self, seconds: float) -> int:
        """Begin a lease, of whole seconds and at least what etcd gives."""
        request = rpc.LeaseGrantRequest(TTL=max(1, math.ceil(seconds)))
        answer = await self._ask(lambda member: member.lease.LeaseGrant, request)
        return int(answer.ID)

    async def keep_alive(self, lease: int) -> float:
        """Begin a lease's time anew."""
        request = rpc.LeaseKeepAliveRequest(ID=lease)
        try:
            async with asyncio.timeout(self._options.call_seconds):
                async with self._link.stream(lambda member: member.lease.LeaseKeepAlive, request) as stream:
                    answer = await self._link.receive(stream)
        except TimeoutError:
            raise StoreUnavailableError(f"the store {self._address} does not answer") from None
        except CallError as failure:
            raise translate(failure, self._address) from None
        if answer.TTL <= 0:
            raise LeaseOverError(lease)
        return float(answer.TTL)

    async def revoke_lease(self, lease: int) -> None:
        """End a lease and delete its keys."""
        try:
            await self._call(lambda member: member.lease.LeaseRevoke, rpc.LeaseRevokeRequest(ID=lease))
        except CallError as failure:
            if failure.trouble is Trouble.NO_LEASE:
                raise LeaseOverError(lease) from None
            raise translate(failure, self._address) from None

    def is_short_of_room(self) -> bool:
        """Tell whether etcd comes near its quota, as of the last look."""
        return self._sizes.is_short(self._options.room_share)

    @asynccontextmanager
    async def _working(self, now: Callable[[], float]) -> AsyncIterator[EtcdStore]:
        await self._greet()
        upkeep = self._tasks.create_task(self._keep_up(History(self._options), now), name="etcd-upkeep")
        try:
            yield self
        finally:
            upkeep.cancel()
            await self._committer.close(f"the store {self._address} was closed")

    async def _greet(self) -> None:
        """Ask for a key below the prefix, so that what is wrong with the address is known at once."""
        try:
            await self._call(lambda member: member.kv.Range, self._names.range("", "\0", 1, 0), is_read=True)
            await self._measure()
        except CallError as failure:
            raise _refused(failure, self._address) from None

    async def _send(self, group: Group) -> Outcome:
        request = self._names.txn(group.compares(), group.operations(), group.asked())
        answer = await self._call(lambda member: member.kv.Txn, request)
        revisions = () if answer.succeeded else found_revisions(answer)
        return answer.succeeded, answer.header.revision, revisions

    async def _ask(self, pick: Pick, request: Message, *, is_read: bool = False) -> Message:
        try:
            return await self._link.call(pick, request, is_read=is_read)
        except CallError as failure:
            raise translate(failure, self._address) from None

    async def _call(self, pick: Pick, request: Message, *, is_read: bool = False) -> Message:
        return await self._link.call(pick, request, is_read=is_read)

    async def _measure(self) -> int:
        """Look at the file's size and return the newest revision that an acknowledged write may have."""
        newest = await self._call(lambda member: member.kv.Range, self._names.range("", "\0", 1, 0), is_read=True)
        try:
            answer = await self._call(lambda member: member.maintenance.Status, rpc.StatusRequest(), is_read=True)
        except CallError as failure:
            if failure.trouble is not Trouble.DENIED:
                raise
        else:
            quota = quota_of(answer) or self._address.quota_bytes
            self._sizes = Sizes(total=answer.dbSize, in_use=answer.dbSizeInUse, quota=quota)
        return int(newest.header.revision)

    async def _find_compacted(self) -> int:
        """Find the compacted revision: the one that is known, as long as it can still be read at."""
        known = self._compacted  # the upkeep may learn of a later one meanwhile, from which a watch is not refused
        request = self._names.range("", "\0", 1, max(known, 1))
        try:
            await self._call(lambda member: member.kv.Range, request, is_read=True)
        except CallError as failure:
            if failure.trouble is not Trouble.COMPACTED:
                raise
            found = await compacted_revision(self._link, self._names, known, self._options.call_seconds)
            self._saw_compacted(found)
        return self._compacted

    def _saw_compacted(self, revision: int) -> None:
        self._compacted = max(self._compacted, revision)

    async def _keep_up(self, history: History, now: Callable[[], float]) -> None:
        """Look at the size, and compact, for as long as the store is open."""
        while True:
            await asyncio.sleep(self._options.upkeep_seconds)
            try:
                revision = await self._measure()
                old = history.note(now(), revision)
                if old > self._compacted and self._address.compacts:
                    await self.compact(old)
            except (CallError, StoreError) as error:
                log.info("the upkeep of the store waits", extra={"why": str(error)})


def _refused(failure: CallError, address: EtcdAddress) -> StoreError:
    """Turn the failure of the first call into what ``open`` raises."""
    error = translate(failure, address)
    return StoreAccessError(str(error)) if failure.trouble is Trouble.DENIED else error
