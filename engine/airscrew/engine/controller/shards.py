"""
Which shards an engine works on, what of each it has under control, and which turns are under way in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from airscrew.idl.ids import SHARDS, ExecutionId


class OpenShards:
    """
    The book of shards.

    Args:
        shards: Those that are open from the start.
    """

    def __init__(self, shards: frozenset[int] = frozenset()) -> None:
        self._open = set(shards)
        self._members: dict[int, set[ExecutionId]] = {}
        self._turns: dict[int, int] = {}
        self._terms: dict[int, int] = {}
        self._ended = asyncio.Event()

    @classmethod
    def all(cls) -> OpenShards:
        """Make the book of an engine that has them all."""
        return cls(frozenset(range(-1, SHARDS)))

    def open(self, shard: int) -> None:
        """Begin to work on a shard."""
        self._open.add(shard)
        self._ended.set()

    def close(self, shard: int) -> None:
        """Begin no more turns in a shard."""
        self._open.discard(shard)
        self._terms[shard] = self.term(shard) + 1

    def term(self, shard: int) -> int:
        """Return a number that is another one once the shard was closed, even when it is open again."""
        return self._terms.get(shard, 0)

    def is_open(self, shard: int) -> bool:
        """Tell whether a shard is worked on."""
        return shard in self._open

    @property
    def count(self) -> int:
        """How many shards are worked on."""
        return len(self._open)

    def add(self, execution: ExecutionId) -> None:
        """Keep an execution that came under control."""
        self._members.setdefault(execution.shard, set()).add(execution)

    def remove(self, execution: ExecutionId) -> None:
        """Drop an execution that is under control no more."""
        self._members.get(execution.shard, set()).discard(execution)

    def take_all(self, shard: int) -> list[ExecutionId]:
        """Drop all executions of a shard, and return them."""
        return sorted(self._members.pop(shard, ()))

    @contextmanager
    def turn(self, shard: int) -> Iterator[None]:
        """Count a turn in a shard."""
        self._turns[shard] = self._turns.get(shard, 0) + 1
        try:
            yield
        finally:
            self._turns[shard] -= 1
            if not self._turns[shard]:
                del self._turns[shard]
                self._ended.set()

    async def quiet(self, shard: int) -> bool:
        """Wait until no turn is under way in a closed shard; False when it is open again before."""
        while shard in self._turns and shard not in self._open:
            self._ended.clear()
            await self._ended.wait()
        return shard not in self._open
