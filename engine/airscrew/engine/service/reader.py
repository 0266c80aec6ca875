"""
Reading what is stored: an execution, pages of them, their changes, and what may still lie outside.

Works with and without a running engine; writes nothing.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from airscrew.engine.api.model import ApiError, ExecutionView, LeakView, ListReply, ListRequest
from airscrew.engine.machine import first_record
from airscrew.engine.service.views import execution_view, leak_view
from airscrew.idl.errors import UsageError
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.state import keys
from airscrew.state.errors import CompactedError
from airscrew.state.records import (
    LedgerEntry,
    LedgerState,
    Options,
    Record,
    RecordError,
    decode,
    decode_options,
    decode_record,
)
from airscrew.state.store import KeyValue, Store, prefix_end

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """An execution as it is stored; without a record while no engine has looked at it."""

    execution: ExecutionId
    options: Options
    record: Record
    revision: int


@dataclass(slots=True)
class Reader:
    """
    Reads executions.

    Attributes:
        store: Where they are.
        installation: Part of every key.
        output_prefix: Says where an attempt's files lie.
    """

    store: Store
    installation: str
    output_prefix: Callable[[ExecutionId, Options, int], str]

    async def find(self, name: str) -> Found:
        """
        Read an execution by its name.

        Raises:
            ApiError: ``invalid``, ``not_found``, or ``failed`` where what is stored of it cannot be read.
        """
        execution = parse_name(name)
        spec = await self.store.get(keys.spec_key(execution))
        if spec is None:
            raise ApiError("not_found", f"there is no execution {execution}; `airscrew list` shows those that are")
        found = await self.store.get(keys.record_key(execution))
        with _told(execution):
            options = decode_options(spec.value)
            if found is None:
                return Found(execution, options, first_record(options), spec.mod_revision)
            return Found(execution, options, decode_record(found.value), found.mod_revision)

    def show(self, found: Found) -> ExecutionView:
        """Show an execution."""
        prefix = self.output_prefix(found.execution, found.options, found.record.attempt)
        return execution_view(
            found.execution, found.options, found.record, installation=self.installation, output_prefix=prefix
        )

    async def list(self, request: ListRequest) -> ListReply:
        """Show a page; the order is that of the keys, the same in every page."""
        start = request.page_token or keys.SPECS
        if not start.startswith(keys.SPECS):
            raise ApiError("invalid", f"page token {start!r} is none of ours: leave it out to begin anew")
        shown: builtins.list[ExecutionView] = []
        limit = min(max(request.limit, 1), MAX_PAGE)
        while True:
            page = await self.store.range(start, prefix_end(keys.SPECS), limit=limit)
            for view in await self._page(page.items):
                if matches(view, request):
                    shown.append(view)
                    if len(shown) == limit:
                        return ListReply(
                            executions=shown, next_page_token=keys.spec_key(parse_name(view.execution)) + "\0"
                        )
            if not page.more:
                return ListReply(executions=shown)
            start = page.next_start

    async def _page(self, items: Sequence[KeyValue]) -> builtins.list[ExecutionView]:
        if not items:
            return []
        records = await self._records(items)
        views: builtins.list[ExecutionView] = []
        for item in items:
            execution = keys.execution_of(item.key)
            try:
                options = decode_options(item.value)
                record = records.get(execution) or first_record(options)
            except RecordError:
                continue
            views.append(self.show(Found(execution, options, record, item.mod_revision)))
        return views

    async def _records(self, specs: Sequence[KeyValue]) -> dict[ExecutionId, Record]:
        """Read the records that stand beside a run of specs: the same names under another prefix."""
        start = keys.RECORDS + specs[0].key.removeprefix(keys.SPECS)
        end = keys.RECORDS + specs[-1].key.removeprefix(keys.SPECS) + "\0"
        records: dict[ExecutionId, Record] = {}
        while True:
            page = await self.store.range(start, end, limit=MAX_PAGE)
            for item in page.items:
                try:
                    records[keys.execution_of(item.key)] = decode_record(item.value)
                except RecordError:
                    continue
            if not page.more:
                return records
            start = page.next_start

    async def watch(self, name: str) -> AsyncGenerator[ExecutionView, None]:
        """Show an execution now and after each change, until it is over."""
        found, revision = await self._look(name)
        yield self.show(found)
        key = keys.record_key(found.execution)
        while not self.show(found).is_over:
            try:
                async for batch in self.store.watch(key, key + "\0", from_revision=revision + 1):
                    revision = batch[-1].revision
                    value = batch[-1].value
                    if value is None:
                        return
                    with _told(found.execution):
                        found = Found(found.execution, found.options, decode_record(value), revision)
                    view = self.show(found)
                    yield view
                    if view.is_over:
                        return
            except CompactedError:
                found, revision = await self._look(name)
                yield self.show(found)

    async def _look(self, name: str) -> tuple[Found, int]:
        """
        Read an execution, and the revision to watch on from: the store's, for the record's own may be compacted.
        """
        key = keys.record_key(parse_name(name))
        page = await self.store.range(key, key + "\0")
        found = await self.find(name)
        return found, max(page.revision, found.revision)

    async def ledger(self) -> builtins.list[tuple[str, AttemptKey, LedgerEntry]]:
        """List every open ledger entry with its key in the store and the attempt's key."""
        start, found = keys.LEDGER, builtins.list[tuple[str, AttemptKey, LedgerEntry]]()
        while True:
            page = await self.store.range(start, prefix_end(keys.LEDGER), limit=MAX_PAGE)
            for item in page.items:
                key = AttemptKey(item.key.rsplit("/", 1)[1])
                with suppress(RecordError):
                    found.append((item.key, key, decode(item.value, LedgerEntry)))
            if not page.more:
                return found
            start = page.next_start

    async def leaks(self) -> builtins.list[LeakView]:
        """List what may still lie outside of attempts that are over."""
        leaks: builtins.list[LeakView] = []
        for _, key, entry in await self.ledger():
            note = await self._leak_note(entry)
            if note:
                leaks.append(leak_view(key, entry, note))
        return leaks

    async def _leak_note(self, entry: LedgerEntry) -> str:
        try:
            found = await self.find(entry.execution)
        except ApiError:
            return "its execution is gone; look for the key in the outside system, then clear it"
        record = found.record
        over = bool(record.ended_at) or record.attempt != entry.attempt or found.options.uid != entry.uid
        if not over:
            return ""
        if entry.state is LedgerState.UNKNOWN:
            return "whether a job was started is not known: look for the key, then clear it"
        return "the engine goes on killing it"


@contextmanager
def _told(execution: ExecutionId) -> Iterator[None]:
    """Tell whoever asks for an execution that what is stored of it cannot be read; the engine leaves it alone."""
    try:
        yield
    except RecordError as error:
        raise ApiError("failed", f"what the store holds of {execution} cannot be read: {error}") from error


def parse_name(name: str) -> ExecutionId:
    """
    Read an execution's name as people write it.

    Raises:
        ApiError: ``invalid``.
    """
    try:
        return ExecutionId.parse(name)
    except UsageError as error:
        raise ApiError("invalid", str(error)) from error


def matches(view: ExecutionView, request: ListRequest) -> bool:
    """Tell whether an execution is among those asked for."""
    if request.namespace and not view.execution.startswith(f"{request.namespace}/"):
        return False
    if request.active and view.is_over:
        return False
    if request.phases and view.phase not in request.phases:
        return False
    return all(view.labels.get(name) == value for name, value in request.labels.items())
