"""
The entries of a cache, bounded in number.

Guarantees:

1. Never more entries than the bound. To make room, the item that has been terminal for longest leaves; when
   none is, the one that was not looked at for longest.
2. Every eviction is told to the owner of the entries; none is silent.
3. ``oldest()`` is the live entry whose value is oldest, at no cost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from cachetools import LRUCache
from typing_extensions import override

from airscrew.engine.cache.items import ItemId, ItemT
from airscrew.engine.cache.schedule import Entry


class BoundedEntries(LRUCache[ItemId, Entry[ItemT]]):
    """
    Entries by id; looking one up by ``get`` or ``[]`` makes it the last to leave.

    Args:
        maxsize: The bound.
        on_evict: Called with each entry that had to leave.
    """

    def __init__(self, maxsize: int, on_evict: Callable[[Entry[ItemT]], None]) -> None:
        super().__init__(maxsize)
        self._on_evict = on_evict
        self._live: OrderedDict[ItemId, Entry[ItemT]] = OrderedDict()  # the oldest value first
        self._terminal: OrderedDict[ItemId, Entry[ItemT]] = OrderedDict()  # the longest terminal first

    @override
    def popitem(self) -> tuple[ItemId, Entry[ItemT]]:
        """Take out the entry that has to leave first; called when there is no room."""
        finished = next(iter(self._terminal), None)
        evicted = super().popitem() if finished is None else (finished, self.pop(finished))
        self._forget(evicted[1])
        self._on_evict(evicted[1])
        return evicted

    def peek(self, item_id: ItemId) -> Entry[ItemT] | None:
        """Find an entry without making it the last to leave."""
        return self._live.get(item_id) or self._terminal.get(item_id)

    def put(self, entry: Entry[ItemT]) -> None:
        """Add a new entry."""
        self[entry.id] = entry
        self._file(entry)

    def remove(self, entry: Entry[ItemT]) -> None:
        """Take an entry out, if it is in."""
        if entry.is_alive:
            del self[entry.id]
            self._forget(entry)

    def renew(self, entry: Entry[ItemT], at: float) -> None:
        """Note that an entry's value is that of a certain time, and whether it is terminal."""
        entry.synced_at = max(entry.synced_at, at)
        self._live.pop(entry.id, None)
        self._file(entry)

    def oldest(self) -> Entry[ItemT] | None:
        """Return the live entry with the oldest value."""
        return next(iter(self._live.values()), None)

    def live(self) -> list[Entry[ItemT]]:
        """Return the entries that are not terminal, the oldest value first."""
        return list(self._live.values())

    def live_count(self) -> int:
        """Return how many entries are not terminal."""
        return len(self._live)

    def _file(self, entry: Entry[ItemT]) -> None:
        if entry.is_terminal:
            self._terminal[entry.id] = entry
        else:
            self._live[entry.id] = entry

    def _forget(self, entry: Entry[ItemT]) -> None:
        entry.is_alive = False
        self._live.pop(entry.id, None)
        self._terminal.pop(entry.id, None)
