"""
The rows that were last written and read, in memory.

Committed rows alone, and always the newest: the store's writes go through it, and nobody else writes the file.
"""

from __future__ import annotations

from typing import final

from airscrew.state.sqlite.group import Row

_ROW_BYTES = 300
"""About what a row takes beside its value."""


@final
class RowCache:
    """
    A bounded map in two generations.

    When the young one is full it becomes the old one, and what was old is forgotten; a hit in the old one moves the
    row back to the young one. That keeps what is used, at less cost per access than an exact order.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._half = limit_bytes // 2
        self._young: dict[str, Row] = {}
        self._old: dict[str, Row] = {}
        self._bytes = 0

    def get(self, key: str) -> Row | None:
        """Find a row."""
        row = self._young.get(key)
        if row is None:
            row = self._old.pop(key, None)
            if row is not None:
                self.put(key, row)
        return row

    def put(self, key: str, row: Row) -> None:
        """Keep a row in place of what is kept of its key."""
        self._young[key] = row
        self._bytes += len(row[1]) + _ROW_BYTES
        if self._bytes > self._half:
            self._old = self._young
            self._young = {}
            self._bytes = 0

    def update(self, rows: dict[str, Row | None]) -> None:
        """Take over what a group wrote and deleted."""
        for key, row in rows.items():
            if row is None:
                self._young.pop(key, None)
                self._old.pop(key, None)
            else:
                self.put(key, row)

    def clear(self) -> None:
        """Forget all."""
        self._young.clear()
        self._old.clear()
        self._bytes = 0
