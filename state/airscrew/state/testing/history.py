"""
Histories of a store's calls: who asked what, when it was asked and answered, and what the answer was.

``History.recording`` wraps a store for one caller; ``linearizability.check_history`` judges what was recorded. The
times are numbers that only grow: all callers live on one loop, so their order is the order of real time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import final

from typing_extensions import override

from airscrew.state.errors import StoreError, StoreUnavailableError
from airscrew.state.store import Compare, Event, KeyValue, Operation, Page, Store, StoreStatus, TxnResult

NEVER = 1 << 62
"""The time of an answer that may still come true at any moment."""


class Unknown(Enum):
    """The answer of a transaction that raised or was cancelled: it has happened, or it has not."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Get:
    """A read of one key."""

    key: str


@dataclass(frozen=True, slots=True)
class Range:
    """A read of a range."""

    start: str
    end: str
    limit: int


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction."""

    compares: tuple[Compare, ...]
    operations: tuple[Operation, ...]


Asked = Get | Range | Txn
Answer = KeyValue | None | Page | TxnResult | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call that counts: a read that raised, or a write that was refused, has told nothing and done nothing.

    Attributes:
        client: Who asked.
        asked: What.
        began: When.
        ended: When it was answered; ``NEVER`` when its effect may still come.
        answer: The answer.
    """

    client: int
    asked: Asked
    began: int
    ended: int
    answer: Answer

    @override
    def __str__(self) -> str:
        until = "..." if self.ended == NEVER else self.ended
        return f"[{self.began}, {until}] client {self.client}: {self.asked} -> {self.answer}"


class History:
    """
    What was asked of one store and what it answered, by many callers, over several lives of it.

    Attributes:
        calls: The calls that count, in the order of their answers.
        revived: Whether a transaction that raised ``StoreUnavailableError`` may still happen later, as with a server
            at the other end of a wire. A store in the process must have settled it by then.
    """

    def __init__(self, *, revived: bool = False) -> None:
        self.calls: list[Call] = []
        self.revived = revived
        self._now = 0

    def recording(self, store: Store, client: int) -> RecordingStore:
        """Wrap a store for one caller, who asks one thing at a time or many."""
        return RecordingStore(store, self, client)

    def begin(self) -> int:
        """Note that a call begins."""
        self._now += 1
        return self._now

    def end(self, client: int, asked: Asked, began: int, answer: Answer, *, open_end: bool = False) -> None:
        """Note that it was answered."""
        self._now += 1
        ended = NEVER if open_end else self._now
        self.calls.append(Call(client=client, asked=asked, began=began, ended=ended, answer=answer))


@final
class RecordingStore:
    """A ``Store`` that notes what it is asked and what the one inside answers."""

    def __init__(self, store: Store, history: History, client: int) -> None:
        self._store = store
        self._history = history
        self._client = client

    async def get(self, key: str) -> KeyValue | None:
        """Read one key, and note it."""
        began = self._history.begin()
        answer = await self._store.get(key)
        self._history.end(self._client, Get(key), began, answer)
        return answer

    async def range(self, start: str, end: str, *, limit: int = 1000) -> Page:
        """Read a range, and note it."""
        began = self._history.begin()
        answer = await self._store.range(start, end, limit=limit)
        noted = Page(tuple(answer.items), answer.revision, answer.more)
        self._history.end(self._client, Range(start, end, limit), began, noted)
        return answer

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Make a transaction, and note it; one that raised is noted when it may have happened."""
        asked, began = Txn(tuple(compares), tuple(operations)), self._history.begin()
        try:
            answer = await self._store.txn(compares, operations)
        except StoreUnavailableError:
            self._history.end(self._client, asked, began, UNKNOWN, open_end=self._history.revived)
            raise
        except (StoreError, ValueError):
            raise  # it says that it did not happen
        except BaseException:
            self._history.end(self._client, asked, began, UNKNOWN, open_end=True)
            raise
        self._history.end(self._client, asked, began, answer)
        return answer

    def watch(self, start: str, end: str, *, from_revision: int) -> AsyncIterator[Sequence[Event]]:
        """Watch; what it tells is not noted."""
        return self._store.watch(start, end, from_revision=from_revision)

    async def compact(self, revision: int) -> None:
        """Compact."""
        await self._store.compact(revision)

    async def status(self) -> StoreStatus:
        """Tell how the store stands."""
        return await self._store.status()
