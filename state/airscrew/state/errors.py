"""
What can go wrong with a store; each class says what its catcher does next.

``StoreError(AirscrewError)``
  ``CompactedError``          the history asked for is gone: list again, derive the deletes
  ``StoreUnavailableError``   no answer, or not one that can be trusted: ask again later; a write sent may have
  happened
    ``StoreAccessError``      it does not let us in, or a file that its address names is no good; also a ``UsageError``
  ``StoreFullError``          no room for the write; it did not happen: refuse submissions, keep running tasks
  ``StoreBusyError``          another process is the store's engine: talk to it instead
  ``SchemaError``             written by a newer airscrew: stop, touch nothing
  ``CorruptStoreError``       what lies there cannot be read: stop, touch nothing, restore
  ``TooLargeError``           a value or transaction over the limit; it did not happen and never will
  ``ShardLostError``          another member has the shard: forget it, write and call nothing more for it
  ``LeaseOverError``          the lease has ended and its keys are gone: grant another, write the keys again
"""

from __future__ import annotations

from airscrew.idl.errors import AirscrewError, UsageError


class StoreError(AirscrewError):
    """The root of all errors of stores."""


class CompactedError(StoreError):
    """
    The revision that was asked for has been compacted away.

    Attributes:
        oldest: The oldest revision that can still be watched from.
    """

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"revision {asked} is compacted; the oldest one kept is {oldest}")
        self.oldest = oldest


class StoreUnavailableError(StoreError):
    """
    The store did not answer, or lost its connection or its disk on the way.

    A write that raised this has happened or has not: settle it by reading.
    """


class StoreAccessError(StoreUnavailableError, UsageError):
    """
    The store cannot be entered with what its address names: a password, a certificate, a right.

    A command ends and says so; an engine that serves says so and tries again, for files and rights may be mended.
    """


class StoreFullError(StoreError):
    """There is no room; the write did not happen."""


class StoreBusyError(StoreError):
    """Another process holds the store."""


class SchemaError(StoreError):
    """The store was written by a newer version and is left as it is."""


class CorruptStoreError(StoreError):
    """The store's content cannot be read."""


class TooLargeError(StoreError):
    """A value or a transaction is over the store's limit; it did not happen."""


class LeaseOverError(StoreError):
    """
    The lease is over, or never was.

    Attributes:
        lease: Its id.
    """

    def __init__(self, lease: int) -> None:
        super().__init__(f"lease {lease} is over and its keys are gone: grant another and write them again")
        self.lease = lease


class ShardLostError(StoreError):
    """
    A unit is another member's; what was to be written as its owner was not.

    Attributes:
        unit: Which.
    """

    def __init__(self, unit: str) -> None:
        super().__init__(f"{unit} is another member's")
        self.unit = unit
