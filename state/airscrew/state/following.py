"""
A prefix of a store, followed: listed, then watched, and listed again when its history is gone.

Guarantees:

1. Every change is taken in once or more, in order; a list after a compaction tells of what is there, and whoever takes
   it in derives what is not there any more.
2. A store that is away is asked again after ``RETRY_SECONDS``, from where the watch had come to, and not listed.
3. An error of what takes changes in comes out: nothing is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airscrew.state.errors import CompactedError, StoreUnavailableError
from airscrew.state.store import Event, KeyValue, Store, prefix_end

RETRY_SECONDS = 0.5
PAGE = 1000


@dataclass(slots=True, kw_only=True)
class Following:
    """
    Follows a prefix; see the module's guarantees.

    Attributes:
        store: Where.
        prefix: Of the keys.
        take_all: Takes in a list and the revision as of which it was made; keys may be newer than that.
        take: Takes in a batch of changes.
        revision: Up to which all is taken in; None to list first.
    """

    store: Store
    prefix: str
    take_all: Callable[[Sequence[KeyValue], int], None]
    take: Callable[[Sequence[Event]], None]
    revision: int | None = None

    async def list(self) -> None:
        """
        List now; a watch that is under way goes on as it did.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        items, revision = await read_all(self.store, self.prefix)
        self.revision = max(self.revision or 0, revision)
        self.take_all(items, revision)

    async def follow(self) -> None:
        """Follow, until cancelled."""
        while True:
            try:
                if self.revision is None:
                    await self.list()
                await self._watch()
            except CompactedError:
                self.revision = None
            except StoreUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self) -> None:
        known = self.revision or 0
        async for batch in self.store.watch(self.prefix, prefix_end(self.prefix), from_revision=known + 1):
            self.take(batch)
            self.revision = max(self.revision or 0, batch[-1].revision)


async def read_all(store: Store, prefix: str, *, page_size: int = PAGE) -> tuple[list[KeyValue], int]:
    """
    Read all keys below a prefix, page by page, and the revision as of which the first was read.

    Raises:
        StoreUnavailableError: The store does not answer.
    """
    items, start, revision = list[KeyValue](), prefix, 0
    while True:
        page = await store.range(start, prefix_end(prefix), limit=page_size)
        revision = revision or page.revision
        items += page.items
        if not page.more:
            return items, revision
        start = page.next_start
