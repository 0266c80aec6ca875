"""
What the writer looks up while it judges a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from typing_extensions import override

from airscrew.state.sqlite.database import Database
from airscrew.state.sqlite.group import Lookup, Place, Row
from airscrew.state.sqlite.rowcache import RowCache

_WORTH_ONE_STATEMENT = 4


@final
class FileLookup(Lookup):
    """
    What is on the disk: from memory, else by the writer's own connection, whose pages stay warm.

    Made for one group: nothing is written while it is judged, so that what was found once is not looked up again.
    """

    __slots__ = ("_cache", "_found", "_reader")

    def __init__(self, rows: RowCache, database: Database) -> None:
        assert database.judge is not None, "groups are judged while the file is open"
        self._cache = rows
        self._found: dict[str, Row | None] = {}
        self._reader = database.judge

    def look_ahead(self, keys: Iterable[str]) -> None:
        """Look up at once what a group will ask for."""
        cache = self._cache
        missing = [key for key in keys if cache.get(key) is None]
        if len(missing) >= _WORTH_ONE_STATEMENT:
            self._found = dict.fromkeys(missing)
            self._found.update(self._reader.rows(missing))

    @override
    def row(self, key: str) -> Row | None:
        row = self._cache.get(key)
        if row is not None:
            return row
        if key not in self._found:
            self._found[key] = self._reader.row(key)
        return self._found[key]

    @override
    def span(self, start: str, end: str) -> Sequence[Place]:
        return self._reader.span(start, end)

    @override
    def leased(self, lease: int) -> Sequence[Place]:
        return self._reader.leased(lease)
