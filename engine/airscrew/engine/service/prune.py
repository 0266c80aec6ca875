"""
Forgetting what is over: records, then what nobody refers to any more.

An execution goes in one transaction, with its name and its requests, and only when nothing of it may still lie
outside; others go with it, unless one of them has changed. However many are over, a page of them is in memory at
once. A template goes when no execution refers to it, and only at the epoch that was read before the references were
listed: a submission in between bumps the epoch, and the template stays. All templates are looked at the first time,
for a crash may have left some; from then on those of what was deleted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple, TypeVar

from airscrew.engine.machine import SWEEP, open_entries
from airscrew.engine.service.reader import Found, Reader
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.errors import TooLargeError
from airscrew.state.records import Record, RecordError, Stage, decode_options, decode_record, template_in
from airscrew.state.store import Compare, Delete, DeleteRange, KeyValue, Operation, Store, prefix_end

T = TypeVar("T")

TOGETHER = 25
"""So many executions go in one transaction: four operations each, of the 128 that a store takes."""


class _Over(NamedTuple):
    """An execution that is over: when it ended, its record's key, the record and its revision."""

    ended_at: float
    key: str
    record: Record
    revision: int

    @property
    def place(self) -> tuple[float, str]:
        """Where it stands among all."""
        return self.ended_at, self.key


@dataclass(slots=True)
class Pruner:
    """
    Deletes executions that ended long ago.

    Attributes:
        store: Where they are.
        reader: Reads them.
        delete_files: Deletes an execution's files, where they are the engine's own.
        looked_at_all: Whether every template without a reference has been found once.
        left: Templates of what was deleted, as long as nobody has looked whether others refer to them.
    """

    store: Store
    reader: Reader
    delete_files: Callable[[Found], Awaitable[None]]
    looked_at_all: bool = False
    left: set[str] = field(default_factory=set[str])

    async def prune(self, *, ended_before: float, keep: int, dry_run: bool) -> list[str]:
        """
        Delete what ended before a time, but for the ``keep`` that ended last.

        Returns:
            The names of those deleted, or with ``dry_run`` of those that would be, the oldest first.
        """
        gone: list[tuple[float, str]] = []

        def note(found: Found) -> None:
            gone.append((found.record.ended_at, str(found.execution)))

        await self._go_through(ended_before, keep, note, dry_run=dry_run)
        return [name for _, name in sorted(gone)]

    async def collect(self, *, ended_before: float, keep: int) -> int:
        """Do the same, and return only how many were deleted: no more than a page of them is in memory at once."""
        gone = 0

        def count(_found: Found) -> None:
            nonlocal gone
            gone += 1

        await self._go_through(ended_before, keep, count, dry_run=False)
        return gone

    async def _go_through(
        self, ended_before: float, keep: int, tell: Callable[[Found], None], *, dry_run: bool
    ) -> None:
        """Delete page by page, and tell of each that is gone."""
        first_kept = await self._first_kept(keep) if keep else None
        async for page in self._pages():
            over = [
                one for one in _over(page) if one[0] < ended_before and (first_kept is None or one[:2] < first_kept)
            ]
            chosen = [found for one in over if (found := await self._found(one)) is not None]
            for found in chosen if dry_run else await self._delete(chosen):
                if not dry_run:
                    self.left.add(found.options.template)
                tell(found)
        if self.left and not dry_run:
            await self._delete_templates()

    async def _first_kept(self, keep: int) -> tuple[float, str]:
        """Find the first of those that ended last and are kept."""
        kept: list[tuple[float, str]] = []
        async for page in self._pages():
            kept = nlargest(keep, [*kept, *(one.place for one in _over(page))])
        return kept[-1] if len(kept) == keep else (0.0, "")

    async def _pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        start = keys.RECORDS
        while True:
            page = await self.store.range(start, prefix_end(keys.RECORDS))
            yield page.items
            if not page.more:
                return
            start = page.next_start

    async def _found(self, one: _Over) -> Found | None:
        """Read the rest of an execution that is over; None when it has to stay."""
        execution, record = keys.execution_of(one.key), one.record
        spec = await self.store.get(keys.spec_key(execution))
        if spec is None:
            return None
        try:
            options = decode_options(spec.value)
        except RecordError:
            return None
        if open_entries(record, options, str(execution)):
            return None
        if options.parent and await self._is_at_work(options.parent):
            return None
        words = keys.request_key(execution, SWEEP)
        if (await self.store.range(words, prefix_end(words), limit=1)).items:
            return None  # what a late start made is in nobody's record
        return Found(execution, options, record, one.revision)

    async def _is_at_work(self, parent: str) -> bool:
        """Tell whether a parent may still ask for its children: one that is gone would be made again."""
        found = await self.store.get(keys.record_key(ExecutionId.parse(parent)))
        if found is None:
            return False
        try:
            return decode_record(found.value).stage is not Stage.DONE
        except RecordError:
            return True

    async def _delete(self, chosen: Sequence[Found]) -> list[Found]:
        """Delete executions, many in one transaction; returns those that are gone."""
        gone: list[Found] = []
        for some in batched(chosen, TOGETHER):
            for found in some:
                await self.delete_files(found)
            if await self._delete_together(some):
                gone += some
            else:  # one of them has changed meanwhile, and stays
                gone += [found for found in some if await self._delete_together([found])]
        return gone

    async def _delete_together(self, some: Sequence[Found]) -> bool:
        compares: list[Compare] = []
        operations: list[Operation] = []
        for found in some:
            execution = found.execution
            record, children = keys.record_key(execution), keys.child_prefix(execution)
            # Word of a late start may have come since: it stays for the engine that takes it in.
            requests, words = keys.request_prefix(execution), keys.request_key(execution, SWEEP)
            compares.append(Compare(record, found.revision))
            operations += (
                Delete(record),
                Delete(keys.spec_key(execution)),
                DeleteRange(children, prefix_end(children)),
                DeleteRange(requests, words),
            )
        try:
            return (await self.store.txn(compares, operations)).succeeded
        except TooLargeError:  # ten thousand children of one, and others beside it
            if len(some) == 1:
                raise
            return False

    async def _delete_templates(self) -> None:
        """Delete those of the templates that nothing refers to any more."""
        left = set(self.left)
        epochs = await self._epochs(left if self.looked_at_all else None)
        try:
            unused = await self._unused({*epochs})
        except RecordError:
            return  # nobody knows what those need that cannot be read
        for name in unused:
            epoch = keys.template_epoch_key(name)
            operations: list[Operation] = [Delete(keys.template_key(name)), Delete(epoch)]
            await self.store.txn([Compare(epoch, epochs[name])], operations)
        self.looked_at_all = True
        self.left -= left

    async def _epochs(self, names: set[str] | None) -> dict[str, int]:
        """Read at which revision templates were last referred to; of all of them without names."""
        if names is None:
            prefix = keys.template_epoch_key("")
            return {key.removeprefix(prefix): revision async for key, revision in self._scan(prefix)}
        found = {name: await self.store.get(keys.template_epoch_key(name)) for name in names}
        return {name: item.mod_revision for name, item in found.items() if item is not None}

    async def _unused(self, names: set[str]) -> set[str]:
        """Return those that no execution refers to; reads no farther than it has to."""
        start = keys.SPECS
        while names:
            page = await self.store.range(start, prefix_end(keys.SPECS))
            names.difference_update(template_in(item.value) for item in page.items)
            if not page.more:
                break
            start = page.next_start
        return names

    async def _scan(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        start = prefix
        while True:
            page = await self.store.range(start, prefix_end(prefix))
            for item in page.items:
                yield item.key, item.mod_revision
            if not page.more:
                return
            start = page.next_start


def _over(page: Sequence[KeyValue]) -> Iterator[_Over]:
    """Read those records of a page that are over; one that cannot be read is left alone."""
    for item in page:
        try:
            record = decode_record(item.value)
        except RecordError:
            continue
        if record.stage is Stage.DONE:
            yield _Over(record.ended_at, item.key, record, item.mod_revision)


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Part a sequence into pieces of at most so many."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
