"""
The words of the cache: what a sync function is given and what it answers.

Guarantees: frozen data and pure functions; nothing here knows the time or does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, Union

ItemT = TypeVar("ItemT")

ItemId = str
"""Names an item; unique in a cache."""


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[ItemT]):
    """
    An item as a sync function is given it.

    Attributes:
        id: Its name.
        item: Its value when the batch began.
    """

    id: ItemId
    item: ItemT


Batch = Sequence[BatchItem[ItemT]]
"""Items that are synced by one call."""


@dataclass(frozen=True, slots=True)
class Updated(Generic[ItemT]):
    """The item was asked for, and this is its value now; an equal value wakes nobody."""

    id: ItemId
    item: ItemT


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The item was asked for and is as it was."""

    id: ItemId


@dataclass(frozen=True, slots=True)
class Failed:
    """This item alone could not be asked for; it backs off alone."""

    id: ItemId
    error: BaseException


SyncResult = Union[Updated[ItemT], Unchanged, Failed]  # noqa: UP007 - a generic alias over a TypeVar needs Union on 3.11
"""What a sync function says of one item."""


class SyncFunc(Protocol[ItemT]):
    """Asks the outside how the items of a batch stand."""

    async def __call__(self, batch: Batch[ItemT], /) -> Sequence[SyncResult[ItemT]]:
        """
        Answer for each item of the batch, in any order.

        Called about once per period for each item that is not terminal, never twice at once for one item;
        calls for different batches overlap. May wait, up to the cache's deadline, after which it is
        cancelled. Must be idempotent: it only reads. Nothing is persisted. An item that it does not answer
        for counts as failed; answers for others are ignored.

        Raises:
            Exception: All items of the batch failed: they back off, and are tried in smaller batches, so that
            one bad item does not spoil the others for ever.
        """
        ...


CreateBatches = Callable[[Sequence[BatchItem[ItemT]]], Sequence[Batch[ItemT]]]
"""
Groups items that may be synced now, the longest due first, into batches.

Called when at least one of them is due. Must be pure and place each item once. A batch without any due item
is not synced yet. One that raises counts as a failed sync of the items.
"""


def single_item_batches(items: Sequence[BatchItem[ItemT]]) -> Sequence[Batch[ItemT]]:
    """Put each item into a batch of its own."""
    return [[item] for item in items]


def batches_by(key: Callable[[BatchItem[ItemT]], object]) -> CreateBatches[ItemT]:
    """Return a ``create_batches`` that puts all items with the same key into one batch, as all Pods of a namespace."""

    def create_batches(items: Sequence[BatchItem[ItemT]]) -> Sequence[Batch[ItemT]]:
        groups: dict[object, list[BatchItem[ItemT]]] = {}
        for item in items:
            groups.setdefault(key(item), []).append(item)
        return list(groups.values())

    return create_batches
