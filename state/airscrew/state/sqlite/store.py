"""
The store in a file: SQLite, one writer, group commit.

Requests wait in a queue. Whenever the disk is free, all that wait are judged one by one, written by one
statement, brought to the disk by one fsync on the store's thread, and answered together. Until then nobody
sees them: a read of a key that is on its way to the disk waits for it; any other is answered at once, from
memory or by a read of a few microseconds.

After an error whose outcome is unknown (a failed fsync) nothing in memory is trusted: the file is closed,
opened again and read, and then the group's callers are told ``StoreUnavailableError``. While it cannot be
opened, every request tries again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import final

from airscrew.state.leases import LeaseBook
from airscrew.state.limits import check_key, check_range, check_transaction
from airscrew.state.lock import EngineLock, absolute
from airscrew.state.sqlite.database import PAGE_BYTES, Database, Seam, SqliteOptions
from airscrew.state.sqlite.group import Compact, Grant, Revoke, Transaction
from airscrew.state.sqlite.reader import Reader, to_key_value
from airscrew.state.sqlite.runner import InlineRunner, ThreadRunner
from airscrew.state.sqlite.writer import Writer
from airscrew.state.store import Compare, Event, KeyValue, Operation, Page, StoreStatus, TxnResult


@final
class SqliteStore:
    """A ``LeaseStore`` in a file of SQLite; see ``open``."""

    def __init__(self, path: Path, writer: Writer) -> None:
        """Wrap a writer; use ``open`` instead."""
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._writer = writer
        self._book = writer.book

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path | str,
        *,
        now: Callable[[], float] = time.monotonic,
        inline: bool = False,
        options: SqliteOptions | None = None,
        lock: EngineLock | None = None,
        seam: Seam | None = None,
    ) -> AsyncIterator[SqliteStore]:
        """
        Open the store of a file, making it when there is none, and own its thread until the block ends.

        Args:
            path: The file.
            now: The clock that leases end by, in seconds.
            inline: Do all on the loop and start no thread: for simulation.
            options: How to keep it.
            lock: The store's lock when the caller holds it already; else it is taken and given back.
            seam: Where tests put their faults.

        Raises:
            StoreBusyError: Another process has it open.
            SchemaError: It was written by a newer airscrew.
            CorruptStoreError: It is no store, or is broken.
            StoreUnavailableError: It cannot be opened now.
            UsageError: It would lie on a network file system.
        """
        path = absolute(path)
        with _locked(path, lock):
            runner = InlineRunner() if inline else ThreadRunner(f"airscrew-store-{path.name}")
            database = Database(path, options or SqliteOptions(), seam or Seam())
            store = cls(path, Writer(database, runner, LeaseBook(now)))
            try:
                await store._writer.begin()
                yield store
                await store._writer.drain()
            finally:
                store._writer.end()

    async def get(self, key: str) -> KeyValue | None:
        """Read one key."""
        check_key(key)
        await self._settle_leases()
        writer = self._writer
        while (flight := writer.flight) is not None and key in flight.overlay:
            await flight.settled.wait()
        writer.check_open()
        row = writer.cache.get(key)
        if row is None:
            row = await writer.read(lambda reader: reader.row(key))
            if row is None:
                return None
            writer.cache.put(key, row)
        return to_key_value(key, row)

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read a range of keys, from the file."""
        check_range(start, end, limit)
        await self._settle_leases()
        return await self._writer.read(lambda reader: reader.page(start, end, limit))

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make all the writes if all the compares hold, else none."""
        check_transaction(compares, operations)
        if self._book.next_due != math.inf:
            self._writer.expire()
        return await self._writer.ask(Transaction(self._loop.create_future(), compares, operations))

    def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Tell the writes from a revision on."""
        return self._writer.feed.watch(start, end, from_revision)

    async def compact(self, revision: int) -> None:
        """Forget the history up to and with a revision; its room is given back in the pauses that follow."""
        await self._writer.ask(Compact(self._loop.create_future(), revision))

    async def status(self) -> StoreStatus:
        """Tell how the store stands."""
        return await self._writer.read(self._status)

    async def grant_lease(self, seconds: float) -> int:
        """Begin a lease."""
        self._writer.last_lease += 1
        lease = self._writer.last_lease
        return await self._writer.ask(Grant(self._loop.create_future(), lease, seconds))

    async def keep_alive(self, lease: int) -> float:
        """Begin a lease's time anew; nothing is written for it."""
        self._writer.check_open()
        return self._book.keep_alive(lease)

    async def revoke_lease(self, lease: int) -> None:
        """End a lease and delete its keys."""
        self._writer.expire()
        await self._writer.ask(Revoke(self._loop.create_future(), lease))

    async def _settle_leases(self) -> None:
        if self._book.next_due != math.inf and self._writer.expire():
            await self._writer.settle_queue()

    def _status(self, reader: Reader) -> StoreStatus:
        log = self._path.with_name(self._path.name + "-wal")
        files = (path.stat().st_size for path in (self._path, log) if path.exists())
        return StoreStatus(
            revision=self._writer.feed.revision,
            compacted=self._writer.feed.compacted,
            size_bytes=sum(files),
            in_use_bytes=(reader.pages() - reader.free_pages()) * PAGE_BYTES,
            description=f"sqlite:{self._path}",
        )


def _locked(path: Path, lock: EngineLock | None) -> EngineLock | nullcontext[None]:
    """Return what holds the store's lock while it is open."""
    if lock is None:
        return EngineLock(path)
    if not lock.is_held or lock.store_path != path:
        raise ValueError(f"the lock of {lock.store_path} is not held, or is not the lock of {path}")
    return nullcontext()
