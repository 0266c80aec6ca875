"""
Whether a history of a store could have come from one that does one thing at a time: ``check_history``.

The search is Wing and Gong's, in Lowe's just-in-time form: the history is walked in the order of time, and when a
call is answered, every order of the calls that are open then is tried that puts this one last; equal outcomes are
followed once. So its cost grows with the length of the history and explodes only with the calls that are open at once.

Revisions bind all keys together, and every answer shows one: so a history cannot be split by keys, but it falls apart
by itself wherever nothing is open.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge

from airscrew.state.store import ANY, Delete, DeleteRange, Event, KeyValue, Operation, Page, Put, TxnResult
from airscrew.state.testing.history import NEVER, UNKNOWN, Answer, Asked, Call, Get, Range, Txn

SHOWN = 12
"""How many calls of the history are shown around the one that does not fit."""


class NotLinearizableError(AssertionError):
    """The history cannot have come from a store that keeps its guarantees; says where it breaks."""


@dataclass(frozen=True, slots=True)
class Content:
    """
    What a store holds at a point in time: the whole model.

    Attributes:
        revision: Its revision.
        rows: Its keys, in order.
    """

    revision: int = 0
    rows: tuple[KeyValue, ...] = ()

    def find(self, key: str) -> KeyValue | None:
        """Find a key."""
        place = bisect_left(self.rows, key, key=_key)
        return self.rows[place] if place < len(self.rows) and self.rows[place].key == key else None

    def page(self, asked: Range) -> Page:
        """Answer a read of a range."""
        found = tuple(row for row in self.rows if asked.start <= row.key < asked.end)
        return Page(found[: asked.limit], self.revision, len(found) > asked.limit)

    def holds(self, asked: Txn) -> bool:
        """Judge the compares."""
        for compare in asked.compares:
            row = self.find(compare.key)
            revision = 0 if row is None else row.mod_revision
            if revision != compare.mod_revision and (compare.mod_revision != ANY or row is None):
                return False
        return True

    def after(self, operations: Sequence[Operation], revision: int) -> tuple[Content, list[Event]]:
        """Make the writes at a revision, and tell the events; without any, nothing has happened."""
        rows, events = {row.key: row for row in self.rows}, list[Event]()
        for operation in operations:
            if isinstance(operation, Put):
                old = rows.get(operation.key)
                rows[operation.key] = KeyValue(
                    key=operation.key,
                    value=operation.value,
                    create_revision=revision if old is None else old.create_revision,
                    mod_revision=revision,
                    lease=operation.lease,
                )
                events.append(Event(operation.key, operation.value, revision))
                continue
            for key in _deleted(operation, rows):
                del rows[key]
                events.append(Event(key, None, revision))
        if not events:
            return self, events
        return Content(revision, tuple(sorted(rows.values(), key=_key))), events


def check_history(
    calls: Iterable[Call],
    *,
    begin: Content | None = None,
    told: Mapping[int, Sequence[Event]] | None = None,
    shared: bool = False,
) -> None:
    """
    Judge a history.

    Args:
        calls: What was asked and answered.
        begin: What the store held before; None for nothing.
        told: What a watch of all keys told, by revision, as far as it came: the writes must be those.
        shared: Whether others write to the store too, and transactions may go together at one revision: revisions then
            grow as they like, and ``told`` must be whole.

    Raises:
        NotLinearizableError: There is no order of the calls, within their times, that explains every answer.
    """
    search = _Search(list(calls), told or {}, shared)
    search.run(begin or Content())


def by_revision(batches: Iterable[Sequence[Event]]) -> dict[int, list[Event]]:
    """Sort what a watch told by revision, for ``check_history``."""
    told: dict[int, list[Event]] = {}
    for batch in batches:
        for event in batch:
            told.setdefault(event.revision, []).append(event)
    return told


@dataclass(frozen=True, slots=True)
class _Outlook:
    """One way in which it may have gone so far: which of the open calls have happened, and what the store holds."""

    happened: frozenset[int]
    content: Content


@dataclass(slots=True)
class _Search:
    calls: list[Call]
    told: Mapping[int, Sequence[Event]]
    shared: bool
    open: set[int] = field(default_factory=set[int])

    def run(self, begin: Content) -> None:
        outlooks = {_Outlook(frozenset(), begin)}
        for _, number, ends in _moments(self.calls):
            if not ends:
                self.open.add(number)
                continue
            before, outlooks = outlooks, self._ended(outlooks, number)
            if not outlooks:
                raise NotLinearizableError(_explain(self.calls, number, before))
            self.open.remove(number)

    def _ended(self, outlooks: set[_Outlook], number: int) -> set[_Outlook]:
        """Find all ways in which a call has happened before it was answered."""
        kept: set[_Outlook] = set()
        seen, todo = set(outlooks), list(outlooks)
        while todo:
            outlook = todo.pop()
            if number in outlook.happened:
                kept.add(_Outlook(outlook.happened - {number}, outlook.content))
                continue
            for other in self.open - outlook.happened:
                for content in self._step(outlook.content, self.calls[other]):
                    found = _Outlook(outlook.happened | {other}, content)
                    if found not in seen:
                        seen.add(found)
                        todo.append(found)
        return kept

    def _step(self, content: Content, call: Call) -> Iterator[Content]:
        """Let a call happen now: what the store may hold after it, nothing when its answer does not fit."""
        match call.asked:
            case Get(key):
                if content.find(key) == call.answer:
                    yield content
            case Range():
                if self._is_page(content, call.asked, call.answer):
                    yield content
            case Txn():
                yield from self._transact(content, call.asked, call)

    def _is_page(self, content: Content, asked: Range, answer: Answer) -> bool:
        wanted = content.page(asked)
        if self.shared and isinstance(answer, Page) and answer.revision >= wanted.revision:
            wanted = Page(wanted.items, answer.revision, wanted.more)
        return answer == wanted

    def _transact(self, content: Content, asked: Txn, call: Call) -> Iterator[Content]:
        answer = call.answer
        if answer is UNKNOWN and call.ended != NEVER:
            yield content  # it was settled as one that has not happened, or changed nothing
        if not content.holds(asked):
            if isinstance(answer, TxnResult) and not answer.succeeded and self._is_now(content, answer.revision):
                yield content
            return
        for revision in self._revisions(content, answer):
            after, events = content.after(asked.operations, revision)
            if not events:
                if isinstance(answer, TxnResult) and answer.succeeded and self._is_now(content, answer.revision):
                    yield content
                return
            if self._may_write(content, revision) and self._was_told(revision, events):
                yield after

    def _revisions(self, content: Content, answer: Answer) -> Iterable[int]:
        """Tell the revisions at which a transaction may have written, by its answer."""
        if isinstance(answer, TxnResult):
            return [answer.revision] if answer.succeeded else []
        return self.told if self.shared else [content.revision + 1]

    def _may_write(self, content: Content, revision: int) -> bool:
        return revision >= content.revision if self.shared else revision == content.revision + 1

    def _is_now(self, content: Content, revision: int) -> bool:
        return revision == content.revision or (self.shared and revision > content.revision)

    def _was_told(self, revision: int, events: Sequence[Event]) -> bool:
        """Tell whether a watch saw these very writes, if it came so far."""
        if self.shared:
            told = self.told.get(revision, ())
            return all(event in told for event in events)
        if not self.told or revision > max(self.told) or revision < min(self.told):
            return True
        return sorted(self.told.get(revision, ()), key=_event_key) == sorted(events, key=_event_key)


def _moments(calls: Sequence[Call]) -> Iterator[tuple[int, int, bool]]:
    """Tell the begins and ends in the order of time; a call that never ends may happen at any moment, or never."""
    begins = sorted((call.began, number, False) for number, call in enumerate(calls))
    ends = sorted((call.ended, number, True) for number, call in enumerate(calls) if call.ended != NEVER)
    return merge(begins, ends)


def _deleted(operation: Operation, rows: Mapping[str, KeyValue]) -> list[str]:
    match operation:
        case Delete(key):
            return [key] if key in rows else []
        case DeleteRange(start, end):
            return [key for key in rows if start <= key < end]
        case Put():
            return []


def _key(row: KeyValue) -> str:
    return row.key


def _event_key(event: Event) -> str:
    return event.key


def _explain(calls: Sequence[Call], number: int, before: Iterable[_Outlook]) -> str:
    """Say which answer has no explanation, what was asked around it, and what the store may have held."""
    wrong = calls[number]
    near = sorted((call for call in calls if call.began < wrong.ended), key=lambda call: call.began)
    lines = ["no order of the calls explains this answer:", f"  {wrong}", "the calls before and beside it:"]
    lines += [f"  {call}" for call in near[-SHOWN:] if call is not wrong]
    lines.append("the store may have held, before the calls that were open then:")
    lines += [f"  {_show(outlook.content, wrong.asked)}" for outlook in list(before)[:SHOWN]]
    return "\n".join(lines)


def _show(content: Content, asked: Asked) -> str:
    """Show what matters to a call."""
    match asked:
        case Get(key):
            rows: Sequence[KeyValue | None] = [content.find(key)]
        case Range():
            rows = content.page(asked).items
        case Txn():
            rows = [content.find(compare.key) for compare in asked.compares]
    return f"revision {content.revision}: {list(rows)}"
