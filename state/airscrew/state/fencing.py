"""
Fences: what makes every write of a former owner fail.

A fence is a key that is written by each who takes a thing over. Whoever holds it compares that key's revision in every
transaction, so what a paused former holder sends later changes nothing, however late it arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

from airscrew.state.room import BoundedStore
from airscrew.state.store import Compare, LeaseStore, Operation, TxnResult


class Fence(Protocol):
    """Something that is held until another one takes it."""

    def compares(self) -> Sequence[Compare]:
        """Say what every transaction of the holder compares; asked anew for each."""
        ...

    async def check(self) -> None:
        """
        Find out whether it is still held; called when a transaction's compares did not hold.

        Raises:
            StoreError: It is another's.
            StoreUnavailableError: That cannot be told now.
        """
        ...


@final
class FencedStore:
    """A ``LeaseStore`` that writes only as long as its fence is not another's; all else is the store's own."""

    def __init__(self, store: LeaseStore, fence: Fence) -> None:
        """Wrap a store."""
        self._store = store
        self._fence = fence
        self.get = store.get
        self.range = store.range
        self.watch = store.watch
        self.compact = store.compact
        self.status = store.status
        self.grant_lease = store.grant_lease
        self.keep_alive = store.keep_alive
        self.revoke_lease = store.revoke_lease

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """
        Make all the writes if all the compares hold and the fence is not another's, else none.

        Raises:
            StoreError: It is another's, as ``Fence.check`` says it; nothing was written.
        """
        result = await self._store.txn([*compares, *self._fence.compares()], operations)
        if not result.succeeded:
            await self._fence.check()
        return result

    def is_short_of_room(self) -> bool:
        """Tell whether the store comes near its limit."""
        return isinstance(self._store, BoundedStore) and self._store.is_short_of_room()
