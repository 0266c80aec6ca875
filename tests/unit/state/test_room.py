from __future__ import annotations

import pytest

from airscrew.state.errors import StoreFullError
from airscrew.state.memory import MemoryStore
from airscrew.state.room import check_room


class ShortStore(MemoryStore):
    """A store that comes near its limit."""

    def is_short_of_room(self) -> bool:
        return True


def test_a_store_near_its_limit_takes_nothing_new() -> None:
    with pytest.raises(StoreFullError, match="keeps the rest for what runs"):
        check_room(ShortStore())


def test_a_store_without_a_limit_takes_all() -> None:
    check_room(MemoryStore())
