"""
Reads of committed state, on a connection of their own.

The loop calls these itself: SQLite answers from memory in microseconds, while a thread would cost more than
the read and wait for the interpreter's lock after every row. So every read here is bounded, by rows and bytes.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import cast, final

from airscrew.state.sqlite.group import Place, Row
from airscrew.state.sqlite.memtable import DELETED, Memtable
from airscrew.state.sqlite.schema import REVISION_SHIFT
from airscrew.state.store import MAX_PAGE_BYTES, Event, KeyValue, Page

_ROW = """
    SELECT log.id, log.value, log.created, log.lease FROM kv JOIN log ON log.id = kv.id WHERE kv.key = ?
"""
_ROW_AT = "SELECT id, value, created, lease FROM log WHERE id = ?"
_ROWS = """
    SELECT kv.key, log.id, log.value, log.created, log.lease
    FROM kv JOIN log ON log.id = kv.id WHERE kv.key IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ROWS_AT_ONCE = _ROWS.count("?")
_ROWS_BETWEEN = """
    SELECT kv.key, log.id, log.value, log.created, log.lease
    FROM kv JOIN log ON log.id = kv.id WHERE kv.key >= ? AND kv.key < ? ORDER BY kv.key
"""
_EVENTS = "SELECT key, value, id FROM log WHERE id >= ? AND id < ? AND key >= ? AND key < ? ORDER BY id"
_SPAN = "SELECT key, id FROM kv WHERE key >= ? AND key < ?"
_LEASED = """
    SELECT log.key, log.id, kv.id FROM log LEFT JOIN kv ON kv.key = log.key WHERE log.lease = ? AND log.lease != 0
"""
NEWEST = "SELECT key, max(id * 2 + (created = 0)) AS newest FROM log WHERE id >= ? GROUP BY key"
"""The newest place of each key that was written since; the last bit says that it was deleted, so created by nobody."""

_REVISION = "SELECT coalesce(max(id), 0) FROM log"


@final
class Reader:
    """
    The reads that the store needs, over one connection.

    What they find is what the memtable has and, of all other keys, what the index has.
    """

    def __init__(self, connection: sqlite3.Connection, newer: Memtable) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._newer = newer

    def row(self, key: str) -> Row | None:
        """Find a live key."""
        place = self._newer.get(key)
        if place is not None:
            return self._row_at(place)
        return cast("Row | None", self._execute(_ROW, (key,)).fetchone())

    def _row_at(self, place: int) -> Row | None:
        return None if place == DELETED else cast("Row", self._execute(_ROW_AT, (place,)).fetchone())

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Find those of many keys that are live, at a fifth of what each costs alone."""
        newer = {key: place for key in keys if (place := self._newer.get(key)) is not None}
        found = {key: row for key, place in newer.items() if (row := self._row_at(place)) is not None}
        keys = [key for key in keys if key not in newer]
        for start in range(0, len(keys), _ROWS_AT_ONCE):
            part = keys[start : start + _ROWS_AT_ONCE]
            part = [*part, *[part[-1]] * (_ROWS_AT_ONCE - len(part))]  # one statement, however many there are
            found |= {row[0]: row[1:] for row in self._execute(_ROWS, part)}
        return found

    def span(self, start: str, end: str) -> Sequence[Place]:
        """Find the live keys of a range."""
        newer = self._newer.span(start, end)
        places: list[Place] = self._execute(_SPAN, (start, end)).fetchall()
        if not newer:
            return places
        return sorted((key, place) for key, place in {**dict(places), **dict(newer)}.items() if place != DELETED)

    def leased(self, lease: int) -> Sequence[Place]:
        """Find the live keys of a lease."""
        rows: list[tuple[str, int, int | None]] = self._execute(_LEASED, (lease,)).fetchall()
        known = ((key, place, self._newer.get(key), indexed) for key, place, indexed in rows)
        return [(key, place) for key, place, newer, indexed in known if place == (indexed if newer is None else newer)]

    def page(self, start: str, end: str, limit: int) -> Page:
        """Read a page of a range and the revision that it was read at."""
        self._execute("BEGIN")
        try:
            items, more = self._items(start, end, limit)
            return Page(items, self._newer.revision, more)
        finally:
            self._execute("ROLLBACK")

    def _items(self, start: str, end: str, limit: int) -> tuple[list[KeyValue], bool]:
        items: list[KeyValue] = []
        size = 0
        with closing(self._rows_between(start, end)) as rows:
            for key, row in rows:
                if len(items) == limit or size >= MAX_PAGE_BYTES:
                    return items, True
                size += len(row[1])
                items.append(to_key_value(key, row))
        return items, False

    def _rows_between(self, start: str, end: str) -> Generator[tuple[str, Row]]:
        """Go through the live keys of a range in their order."""
        newer = deque(self._newer.span(start, end))
        with closing(self._execute(_ROWS_BETWEEN, (start, end))) as indexed:
            for key, *row in indexed:
                while newer and newer[0][0] < key:
                    yield from self._live(*newer.popleft())
                if newer and newer[0][0] == key:
                    yield from self._live(*newer.popleft())
                else:
                    yield key, cast("Row", row)
        for place in newer:
            yield from self._live(*place)

    def _live(self, key: str, place: int) -> Iterator[tuple[str, Row]]:
        if (row := self._row_at(place)) is not None:
            yield key, row

    def events(self, first: int, stop: int, start: str, end: str) -> Sequence[Event]:
        """Read the events from a revision up to and without another."""
        bounds = (first << REVISION_SHIFT, stop << REVISION_SHIFT, start, end)
        return [Event(key, value, place >> REVISION_SHIFT) for key, value, place in self._execute(_EVENTS, bounds)]

    def revision(self) -> int:
        """Read the newest revision; the compacted one is newer when the log's end was swept away."""
        newest = self._number(_REVISION) >> REVISION_SHIFT
        return max(newest, self.meta("compacted"))

    def newer_than(self, flushed: int) -> Sequence[Place]:
        """Find the newest place of each key that was written after a revision."""
        newest: list[Place] = self._execute(NEWEST, (flushed + 1 << REVISION_SHIFT,)).fetchall()
        return [(key, DELETED if place & 1 else place >> 1) for key, place in newest]

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
