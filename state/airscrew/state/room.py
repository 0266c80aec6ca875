"""
Whether a store still takes what is new.

A store with a limit keeps its last room for what runs already: what begins something new asks here first, and is
refused while there is still space to write the end of everything that was begun.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast, runtime_checkable

from airscrew.state.errors import StoreFullError
from airscrew.state.store import Store


@runtime_checkable
class BoundedStore(Protocol):
    """A store that knows when it comes near its limit."""

    def is_short_of_room(self) -> bool:
        """Tell whether it comes near its limit; asked before every submission, answered from memory."""
        ...


def check_room(store: Store) -> None:
    """
    Refuse what is new when a store comes near its limit.

    Raises:
        StoreFullError: It does; what was begun can still be written.
    """
    if _is_bounded(type(store)) and cast("BoundedStore", store).is_short_of_room():
        raise StoreFullError(
            "the store comes near its limit and keeps the rest for what runs: compact and defragment it, "
            "or raise its quota"
        )


@cache
def _is_bounded(kind: type[Store]) -> bool:
    """Tell once for each kind of store: a protocol's ``isinstance`` costs more than all the rest of the question."""
    return issubclass(kind, BoundedStore)
