"""
Where keys are that were written since the file's index was last brought up to date: the memtable of an LSM tree.

The index ``kv`` orders keys, so each write of a large store would change a page of its own there, and a page is
written to the log and to the file as a whole. Kept here until there are many, several go into a page at once. The
log of the file has the same, so that nothing is lost with the process: opening the file reads it again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import final

from airscrew.state.sqlite.group import Place, Row

DELETED = 0
"""The place of a key that was deleted; no row of the log has it."""


@final
class Memtable:
    """
    The newest place of each key that was written since the last flush.

    Committed writes alone: the loop takes in a group when it hears that it is on the disk.

    Attributes:
        revision: The newest revision that is in it, or was when it was flushed.
        writes: About how many writes came since the last flush: what is to be read again when the file is opened.
    """

    __slots__ = ("_added", "_keys", "_places", "revision", "writes")

    def __init__(self, places: Iterable[Place], revision: int) -> None:
        self.revision = revision
        self._places = dict(places)
        self._keys: list[str] = []
        self._added = list(self._places)
        self.writes = len(self._places)

    def get(self, key: str) -> int | None:
        """Return a key's place, ``DELETED`` when it is gone, None when the index knows."""
        return self._places.get(key)

    def span(self, start: str, end: str) -> Sequence[Place]:
        """Return the keys of a range in their order, those that are gone among them."""
        keys, places = self._keys, self._places
        if self._added:
            keys += self._added
            keys.sort()  # most are in order: that takes a tenth of sorting them anew
            self._added.clear()
        return [(key, places[key]) for key in keys[bisect_left(keys, start) : bisect_left(keys, end)]]

    def update(self, rows: Mapping[str, Row | None], revision: int, writes: int) -> None:
        """Take in what a group wrote and deleted."""
        places = self._places
        for key, row in rows.items():
            if key not in places:
                self._added.append(key)
            places[key] = DELETED if row is None else row[0]
        self.revision = revision
        self.writes += writes

    def forget(self, flushed: int) -> None:
        """Forget what the index has by now: everything or nothing, since nothing is written while it is flushed."""
        if flushed >= self.revision:
            self._places.clear()
            self._keys.clear()
            self._added.clear()
            self.writes = 0
