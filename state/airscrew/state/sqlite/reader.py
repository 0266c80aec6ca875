"""
Reads of committed state, on a connection of their own.

The loop calls these itself: SQLite answers from memory in microseconds, while a thread would cost more than
the read and wait for the interpreter's lock after every row. So every read here is bounded, by rows and bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import cast, final

from airscrew.state.sqlite.group import Place, Row
from airscrew.state.sqlite.schema import REVISION_SHIFT
from airscrew.state.store import MAX_PAGE_BYTES, Event, KeyValue, Page

_ROW = """
    SELECT log.id, log.value, log.created, log.lease FROM kv JOIN log ON log.id = kv.id WHERE kv.key = ?
"""
_ROWS = """
    SELECT kv.key, log.id, log.value, log.created, log.lease
    FROM kv JOIN log ON log.id = kv.id WHERE kv.key IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ROWS_AT_ONCE = _ROWS.count("?")
_PAGE = """
    SELECT kv.key, log.value, log.created, kv.id, log.lease
    FROM kv JOIN log ON log.id = kv.id WHERE kv.key >= ? AND kv.key < ? ORDER BY kv.key LIMIT ?
"""
_EVENTS = "SELECT key, value, id FROM log WHERE id >= ? AND id < ? AND key >= ? AND key < ? ORDER BY id"
_SPAN = "SELECT key, id FROM kv WHERE key >= ? AND key < ?"
_LEASED = """
    SELECT kv.key, kv.id FROM log JOIN kv ON kv.key = log.key AND kv.id = log.id
    WHERE log.lease = ? AND log.lease != 0
"""
_REVISION = "SELECT coalesce(max(id), 0) FROM log"


@final
class Reader:
    """The reads that the store needs, over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def row(self, key: str) -> Row | None:
        """Find a live key."""
        return cast("Row | None", self._execute(_ROW, (key,)).fetchone())

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Find those of many keys that are live, at a fifth of what each costs alone."""
        found: dict[str, Row] = {}
        for start in range(0, len(keys), _ROWS_AT_ONCE):
            part = keys[start : start + _ROWS_AT_ONCE]
            part = [*part, *[part[-1]] * (_ROWS_AT_ONCE - len(part))]  # one statement, however many there are
            found |= {row[0]: row[1:] for row in self._execute(_ROWS, part)}
        return found

    def span(self, start: str, end: str) -> Sequence[Place]:
        """Find the live keys of a range."""
        return self._execute(_SPAN, (start, end)).fetchall()

    def leased(self, lease: int) -> Sequence[Place]:
        """Find the live keys of a lease."""
        return self._execute(_LEASED, (lease,)).fetchall()

    def page(self, start: str, end: str, limit: int) -> Page:
        """Read a page of a range and the revision that it was read at."""
        self._execute("BEGIN")
        try:
            items, more = self._items(start, end, limit)
            return Page(items, self.revision(), more)
        finally:
            self._execute("ROLLBACK")

    def _items(self, start: str, end: str, limit: int) -> tuple[list[KeyValue], bool]:
        items: list[KeyValue] = []
        size = 0
        cursor = self._execute(_PAGE, (start, end, limit + 1))
        for key, value, created, place, lease in cursor:
            if len(items) == limit or size >= MAX_PAGE_BYTES:
                cursor.close()
                return items, True
            size += len(value)
            items.append(to_key_value(key, (place, value, created, lease)))
        return items, False

    def events(self, first: int, stop: int, start: str, end: str) -> Sequence[Event]:
        """Read the events from a revision up to and without another."""
        bounds = (first << REVISION_SHIFT, stop << REVISION_SHIFT, start, end)
        return [Event(key, value, place >> REVISION_SHIFT) for key, value, place in self._execute(_EVENTS, bounds)]

    def revision(self) -> int:
        """Read the newest revision; the compacted one is newer when the log's end was swept away."""
        newest = self._number(_REVISION) >> REVISION_SHIFT
        return max(newest, self.meta("compacted"))

    def meta(self, name: str) -> int:
        """Read one number of the store's own."""
        row: tuple[int] = self._execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0]

    def leases(self) -> Sequence[tuple[int, float]]:
        """Read all leases and their seconds."""
        return self._execute("SELECT id, seconds FROM leases").fetchall()

    def last_lease(self) -> int:
        """Read the id of the lease that was granted last."""
        return self._number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'leases'")

    def free_pages(self) -> int:
        """Read how many pages of the file are free."""
        return self._number("PRAGMA freelist_count")

    def pages(self) -> int:
        """Read how many pages the file has."""
        return self._number("PRAGMA page_count")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _number(self, statement: str) -> int:
        row: tuple[int] = self._execute(statement).fetchone()
        return row[0]


def to_key_value(key: str, row: Row) -> KeyValue:
    """Say a row in the port's words."""
    place, value, created, lease = row
    return KeyValue(key=key, value=value, create_revision=created, mod_revision=place >> REVISION_SHIFT, lease=lease)
