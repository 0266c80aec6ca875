"""
The file: opening, writing a group, compaction and closing; all of it blocks, and runs where the runner runs it.

``writer`` is used by one job at a time, and between jobs by the loop to judge the next group. ``reader`` is
the loop's alone.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

from airscrew.state.errors import StoreUnavailableError
from airscrew.state.sqlite.group import Group
from airscrew.state.sqlite.memtable import Memtable
from airscrew.state.sqlite.reader import NEWEST, Reader
from airscrew.state.sqlite.schema import REVISION_SHIFT, prepare, sync
from airscrew.state.sqlite.wal import count_frames

log = logging.getLogger("airscrew.state")

PAGE_BYTES = 4096
PACK_BYTES = 256 * 1024
"""How much of the log is moved together at once."""

ROWS_PER_STATEMENT = 256
"""A group of at most so many rows is one statement, which commits itself: the fewest meetings with the GIL."""

_LOG_COLUMNS = "id, key, value, prev, created, lease"
_LOG_ROW = "(?, ?, ?, ?, ?, ?)"
_COLUMNS = _LOG_ROW.count("?")
_PRAGMAS = (
    "synchronous = FULL",
    "wal_autocheckpoint = 4096",
    "journal_size_limit = 16777216",
    "cache_size = -32768",
    "cache_spill = OFF",
    "secure_delete = OFF",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
)
_READER_PRAGMAS = ("query_only = ON", "busy_timeout = 50", "cache_size = -8192", "trusted_schema = OFF")
_FLUSH = (
    f"DELETE FROM kv WHERE key IN (SELECT key FROM ({NEWEST}) WHERE newest & 1)",  # noqa: S608  # constants alone
    f"INSERT INTO kv SELECT key, newest >> 1 FROM ({NEWEST}) WHERE NOT newest & 1 "  # noqa: S608
    "ON CONFLICT (key) DO UPDATE SET id = excluded.id",
)
_SETTLED = f"SELECT {_LOG_COLUMNS} FROM log WHERE id > ? AND id < ? ORDER BY id"  # noqa: S608  # constants alone
_DELETE_REPLACED = "DELETE FROM log WHERE id IN (SELECT prev FROM log WHERE id >= ? AND id < ? AND prev != 0)"
_DELETE_DELETES = "DELETE FROM log WHERE id >= ? AND id < ? AND value IS NULL"


_LogRow = tuple[int, str, bytes | None, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteOptions:
    """
    How a store in a file is kept.

    Attributes:
        keep_revisions: How much history to keep at least; older revisions are compacted by and by.
        cache_bytes: About how much of what was last read and written stays in memory.
        flush_writes: How many writes the index may lag behind; their keys take memory until it takes them in, about 120
            bytes each, and opening the file reads them again.
        max_bytes: The file's limit; 0 for none.
        idle_seconds: How long nothing is asked before the store tidies up.
    """

    keep_revisions: int = 100_000
    cache_bytes: int = 32 * 1024 * 1024
    flush_writes: int = 20_000
    max_bytes: int = 0
    idle_seconds: float = 0.02


class Seam:
    """Where the store meets SQLite and the file system; tests put their faults here."""

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open a connection."""
        return sqlite3.connect(
            path,
            timeout=5,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=ROWS_PER_STATEMENT + 64,
        )

    def commit(self, write: Callable[[], object]) -> None:
        """Do what brings a group to the disk."""
        write()


@final
class Database:
    """
    An open store file.

    Attributes:
        path: Where it is.
        options: How it is kept.
        reader: The loop's reads; None while the file is not open.
        judge: The reads of the writer's own connection, for the loop between two jobs.
        newer: What the index does not have yet.
        flushed: The newest revision that the index has.
        swept: The newest revision whose superseded rows are deleted.
        gaps: How many rows went from the log since those beside them were moved together.
        free_pages: How many pages could be given back, when last counted.
    """

    def __init__(self, path: Path, options: SqliteOptions, seam: Seam) -> None:
        self.path = path
        self.reader: Reader | None = None
        self.judge: Reader | None = None
        self.newer = Memtable((), 0)
        self.flushed = 0
        self.swept = 0
        self.gaps = 0
        self.free_pages = 0
        self.options = options
        self._seam = seam
        self._writer: sqlite3.Connection | None = None
        self._packed = 0
        """Up to which row."""

    def open(self) -> None:
        """Open the file, make or migrate it, and read how it stands."""
        if not self.path.exists():
            self.path.touch(mode=0o600)
            sync(self.path.parent)
        frames = count_frames(self.path)
        try:
            writer = self._writer = self._seam.connect(self.path)
            prepare(writer, self.path)
            _configure(writer, self.options)
            self._tell_dropped(writer, frames)
            # What a failed fsync left in the page cache may not be on the disk: write it there once more.
            if not _checkpoint(writer):
                raise StoreUnavailableError(f"another program reads the store {self.path}: end it")
            self._read_standing(Reader(writer, self.newer))
            reading = self._seam.connect(self.path)
            self.reader = Reader(reading, self.newer)
            for pragma in _READER_PRAGMAS:
                reading.execute(f"PRAGMA {pragma}")
            self.judge = Reader(writer, self.newer)
        except BaseException:
            self.close()
            raise

    def _read_standing(self, reader: Reader) -> None:
        self.flushed, self.swept = reader.meta("flushed"), reader.meta("swept")
        self.free_pages = reader.free_pages()
        self.newer = Memtable(reader.newer_than(self.flushed), reader.revision())

    def _tell_dropped(self, writer: sqlite3.Connection, frames: int) -> None:
        """Say when the end of the log was not whole: the write that a crash cut short, or a damaged disk."""
        row: tuple[int, int, int] = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if 0 <= row[1] < frames:
            fields = {
                "store": str(self.path),
                "pages": frames - row[1],
                "revision": Reader(writer, self.newer).revision(),
            }
            log.warning("the end of the store's log was not whole: going on from the last good state", extra=fields)

    def reopen(self) -> None:
        """Close the file after an error and open it again, to find out what is in it."""
        self.close()
        self.open()

    def close(self) -> None:
        """Close the file; SQLite folds its log into it."""
        if self.reader is not None:
            self.reader.close()
        if self._writer is not None:
            self._writer.close()
        self.reader = self.judge = self._writer = None

    def write(self, group: Group) -> None:
        """Bring a group to the disk, as a whole or not at all."""
        writer = self._open_writer()
        if group.writes_rows_alone and group.rows <= ROWS_PER_STATEMENT:
            self._seam.commit(lambda: writer.execute(_insert(group.rows), group.parameters))
        else:
            self._transact(lambda: _write_in_pieces(writer, group))

    def flush(self) -> None:
        """Bring the index up to date."""
        writer = self._open_writer()
        self._transact(lambda: self._flush(writer))
        self.flushed = self.newer.revision

    def forget_flushed(self) -> None:
        """Keep what the index has no longer in memory; for the loop, which reads it."""
        self.newer.forget(self.flushed)

    def _flush(self, writer: sqlite3.Connection) -> None:
        for statement in _FLUSH:
            writer.execute(statement, (self.flushed + 1 << REVISION_SHIFT,))
        writer.execute("UPDATE meta SET value = ? WHERE name = 'flushed'", (self.newer.revision,))

    def sweep(self, last: int) -> None:
        """Delete what was superseded up to and with a revision."""
        writer = self._open_writer()
        bounds, is_ahead = (self.swept + 1 << REVISION_SHIFT, last + 1 << REVISION_SHIFT), last > self.flushed
        gone = 0

        def delete() -> None:
            nonlocal gone
            gone = writer.execute(_DELETE_REPLACED, bounds).rowcount
            if is_ahead:  # before the deletes go, of which the index would never hear; after what makes room for it
                self._flush(writer)
            gone += writer.execute(_DELETE_DELETES, bounds).rowcount
            writer.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'compacted'", (last,))
            writer.execute("UPDATE meta SET value = ? WHERE name = 'swept'", (last,))

        self._transact(delete)
        self.swept = last
        self.gaps += gone
        if is_ahead:
            self.flushed = self.newer.revision
        self.free_pages = Reader(writer, self.newer).free_pages()

    def pack(self) -> None:
        """
        Move the next rows together, from the oldest on and round again.

        SQLite joins pages of the log only when two thirds of them are free. Rows that are taken out and put back in
        their order fill theirs.
        """
        writer = self._open_writer()
        bounds = (self._packed, self.swept + 1 << REVISION_SHIFT)
        with closing(writer.execute(_SETTLED, bounds)) as found:
            rows = list(_until(PACK_BYTES, found))

        def move() -> None:
            writer.execute("DELETE FROM log WHERE id > ? AND id <= ?", (self._packed, rows[-1][0]))
            writer.executemany(_insert(1), rows)

        if rows:
            self._transact(move)
            self._packed = rows[-1][0]
            self.gaps = max(0, self.gaps - len(rows))
            self.free_pages = Reader(writer, self.newer).free_pages()
        else:
            self._packed = self.gaps = 0

    def shrink(self, pages: int, *, fold: bool) -> None:
        """Give some free pages back; with ``fold``, then fold SQLite's log into the file, so that both shrink."""
        writer = self._open_writer()
        # As a script: ``execute`` would stop after the first page.
        self._seam.commit(lambda: writer.executescript(f"PRAGMA incremental_vacuum({pages});"))
        before, self.free_pages = self.free_pages, Reader(writer, self.newer).free_pages()
        if self.free_pages >= before:
            self.free_pages = 0
        if fold:
            _checkpoint(writer)

    def _transact(self, write: Callable[[], object]) -> None:
        writer = self._open_writer()
        writer.execute("BEGIN IMMEDIATE")
        try:
            write()
            self._seam.commit(lambda: writer.execute("COMMIT"))
        finally:
            if writer.in_transaction:
                writer.execute("ROLLBACK")

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            raise StoreUnavailableError(f"the store {self.path} is not open")
        return self._writer


def _configure(connection: sqlite3.Connection, options: SqliteOptions) -> None:
    mode: tuple[str] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode[0] != "wal":
        raise StoreUnavailableError(f"SQLite cannot keep a write-ahead log here (it offers {mode[0]!r})")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if options.max_bytes:
        connection.execute(f"PRAGMA max_page_count = {max(1, options.max_bytes // PAGE_BYTES)}")


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Fold the log into the file and tell whether that was done; another program's read may be in the way."""
    row: tuple[int, int, int] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return row[0] == 0


def _write_in_pieces(writer: sqlite3.Connection, group: Group) -> None:
    step = ROWS_PER_STATEMENT * _COLUMNS
    for begin in range(0, len(group.parameters), step):
        piece = group.parameters[begin : begin + step]
        writer.execute(_insert(len(piece) // _COLUMNS), piece)
    writer.executemany("INSERT INTO leases (id, seconds) VALUES (?, ?)", group.granted)
    writer.executemany("DELETE FROM leases WHERE id = ?", [(lease,) for lease in group.ended])
    if group.compacted:
        compacted = (group.compacted,)
        writer.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'compacted'", compacted)


def _until(most_bytes: int, rows: Iterable[_LogRow]) -> Iterator[_LogRow]:
    """Yield rows until they are so long together."""
    size = 0
    for row in rows:
        yield row
        size += len(row[1]) + len(row[2] or b"")
        if size >= most_bytes:
            return


@cache
def _insert(rows: int) -> str:
    """Return the statement that appends so many rows to the log; always the same text, so prepared once."""
    return f"INSERT INTO log ({_LOG_COLUMNS}) VALUES " + ", ".join([_LOG_ROW] * rows)  # noqa: S608  # constants alone
