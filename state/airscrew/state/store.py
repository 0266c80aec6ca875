"""
The Store port: etcd's semantics, and no more of them than the engine needs.

Guarantees, of every implementation (``airscrew.state.testing.check_store`` checks them):

1. Revisions. There is one revision for the whole store; a transaction that writes anything takes the next
   one, all its writes carry it, and it is never used again, across restarts too. Transactions that were asked for
   at once and do not touch one another may take one revision together.
2. Transactions are atomic and serializable: the compares are judged and the writes made at one point in time.
   No key is written twice in one transaction: one that puts a key and touches it again is a ``ValueError``.
   One that changes nothing (no operations, or deletes of keys that are not there) takes no revision.
3. Durable before acknowledged: when ``txn`` returns, its writes survive a crash of the machine.
4. Linearizable reads: ``get`` and ``range`` see every transaction acknowledged before they were called.
5. Watches: every write to a matching key, each once, in the order of revisions, never torn apart: one batch
   holds all matching writes of a revision or several revisions. A watch from revision R delivers from R on, R
   included. When the history from R is compacted, it raises ``CompactedError``.
6. A cancelled call leaves the store sound; a ``txn`` that was cancelled or raised ``StoreUnavailableError`` has
   happened as a whole or not at all, and a read tells which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_VALUE_BYTES = 1_000_000
"""No value may be larger: etcd takes requests up to 1.5 MiB."""

MAX_TXN_OPERATIONS = 128
"""No transaction may hold more compares than this, nor more operations: etcd's limit."""

MAX_PAGE_BYTES = 3_000_000
"""A page ends when its values reach this, whatever its limit: gRPC takes answers up to 4 MiB."""

MAX_TXN_BYTES = 1_400_000
"""No transaction's keys and values together may be larger, for the same reason as a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """
    A key as it is stored.

    Attributes:
        key: Its name.
        value: Its bytes.
        create_revision: The revision that created it (since it was last deleted).
        mod_revision: The revision that wrote it last.
        lease: The lease that it goes with; 0 for none.
    """

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """
    A condition of a transaction: the key's mod_revision is this; 0 means that the key does not exist.

    Attributes:
        key: The key.
        mod_revision: What it must be. ``ANY`` (-1) means that the key must exist, whatever its revision.
    """

    key: str
    mod_revision: int


ANY = -1


@dataclass(frozen=True, slots=True)
class Put:
    """Write a key; with a lease it goes when the lease ends."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key; nothing happens when it is not there."""

    key: str


@dataclass(frozen=True, slots=True)
class DeleteRange:
    """Delete all keys from ``start`` up to and without ``end``."""

    start: str
    end: str


Operation = Put | Delete | DeleteRange


@dataclass(frozen=True, slots=True)
class TxnResult:
    """
    What became of a transaction.

    Attributes:
        succeeded: Whether all compares held and the writes were made.
        revision: The revision of the writes; when it failed, the store's revision at which it was judged.
    """

    succeeded: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of a range, in the order of keys.

    Attributes:
        items: The keys.
        revision: The store's revision at which they were read; watch from ``revision + 1`` to go on.
        more: Whether the limit cut it, or ``MAX_PAGE_BYTES`` did; go on from ``next_start``.
    """

    items: Sequence[KeyValue]
    revision: int
    more: bool

    @property
    def next_start(self) -> str:
        """The first key that may follow this page."""
        return self.items[-1].key + "\0"


@dataclass(frozen=True, slots=True)
class Event:
    """
    One write to one key.

    Attributes:
        key: The key.
        value: Its new bytes; None when it was deleted.
        revision: The revision of the write.
    """

    key: str
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """
    How a store stands.

    Attributes:
        revision: The newest revision.
        compacted: The newest revision that is compacted away; watches begin after it.
        size_bytes: What it takes on disk or in memory.
        in_use_bytes: What of that holds live data and kept history.
        description: Its address without secrets.
    """

    revision: int
    compacted: int
    size_bytes: int
    in_use_bytes: int
    description: str


class Store(Protocol):
    """
    A revisioned key-value store; see the module's guarantees.

    All methods may be called at once from many coroutines of the loop that opened the store. Close it by the exit
    stack or ``async with`` that opened it.
    """

    async def get(self, key: str) -> KeyValue | None:
        """Read one key; None when it does not exist."""
        ...

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read the keys from ``start`` up to and without ``end``, at most ``limit`` of them."""
        ...

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """
        Make all the writes if all the compares hold, else none.

        Raises:
            StoreUnavailableError: It may have happened.
            StoreFullError: It did not happen; there is no room.
            TooLargeError: It did not happen and never will.
            LeaseOverError: It did not happen; a put names a lease that is over.
            ValueError: A key is empty or is no Unicode text, or is put and touched again.
        """
        ...

    def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """
        Tell the writes to the keys from ``start`` up to and without ``end``, from a revision on.

        Raises:
            CompactedError: The revision is compacted: list again, and watch from the list's revision + 1.
            StoreUnavailableError: The stream broke: watch again from the last revision seen + 1.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget the history up to and with a revision; live keys stay."""
        ...

    async def status(self) -> StoreStatus:
        """Tell how the store stands."""
        ...


class LeaseStore(Store, Protocol):
    """A store with leases: keys that go when their owner is no longer heard of."""

    async def grant_lease(self, seconds: float) -> int:
        """Begin a lease of so many seconds and return its id, never 0."""
        ...

    async def keep_alive(self, lease: int) -> float:
        """
        Begin the lease's time anew and return its length in seconds.

        Raises:
            LeaseOverError: The lease is over.
        """
        ...

    async def revoke_lease(self, lease: int) -> None:
        """
        End a lease at once; its keys are deleted in one transaction.

        Raises:
            LeaseOverError: The lease is over already.
        """
        ...


def prefix_end(prefix: str) -> str:
    """Return the first key after all keys that begin with the prefix, for ``range`` and ``watch``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
