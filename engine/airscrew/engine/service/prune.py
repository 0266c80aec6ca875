"""
Forgetting what is over: records, then what nobody refers to any more.

An execution goes in one transaction, with its name and its requests, and only when nothing of it may still lie
outside. A template goes when
no execution refers to it, and only at the epoch that was read before the references were listed: a submission in
between bumps the epoch, and the template stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from airscrew.engine.machine import open_entries
from airscrew.engine.service.reader import Found, Reader
from airscrew.idl.ids import ExecutionId
from airscrew.state import keys
from airscrew.state.records import Record, RecordError, Stage, decode_options, decode_record
from airscrew.state.store import Compare, Delete, DeleteRange, Operation, Store, prefix_end


@dataclass(slots=True)
class Pruner:
    """
    Deletes executions that ended long ago.

    Attributes:
        store: Where they are.
        reader: Reads them.
        delete_files: Deletes an execution's files, where they are the engine's own.
    """

    store: Store
    reader: Reader
    delete_files: Callable[[Found], Awaitable[None]]

    async def prune(self, *, ended_before: float, keep: int, dry_run: bool) -> list[str]:
        """
        Delete what ended before a time, but for the ``keep`` that ended last.

        Returns:
            The names of those deleted, or with ``dry_run`` of those that would be, the oldest first.
        """
        over = sorted(await self._over(), key=lambda found: found.record.ended_at)
        if keep:
            over = over[:-keep]
        chosen = [found for found in over if found.record.ended_at < ended_before]
        names = [str(found.execution) for found in chosen if dry_run or await self._delete(found)]
        if names and not dry_run:
            await self._delete_templates()
        return names

    async def _over(self) -> list[Found]:
        start, over = keys.RECORDS, list[Found]()
        while True:
            page = await self.store.range(start, prefix_end(keys.RECORDS))
            for item in page.items:
                try:
                    record = decode_record(item.value)
                except RecordError:
                    continue
                if record.stage is Stage.DONE:
                    found = await self._found(keys.execution_of(item.key), record, item.mod_revision)
                    over += [] if found is None else [found]
            if not page.more:
                return over
            start = page.next_start

    async def _found(self, execution: ExecutionId, record: Record, revision: int) -> Found | None:
        """Read the rest of an execution that is over; None when it has to stay."""
        spec = await self.store.get(keys.spec_key(execution))
        if spec is None:
            return None
        try:
            options = decode_options(spec.value)
        except RecordError:
            return None
        may_be_outside = bool(open_entries(record, options, str(execution)))
        if may_be_outside or (options.parent and await self._is_at_work(options.parent)):
            return None
        return Found(execution, options, record, revision)

    async def _is_at_work(self, parent: str) -> bool:
        """Tell whether a parent may still ask for its children: one that is gone would be made again."""
        found = await self.store.get(keys.record_key(ExecutionId.parse(parent)))
        if found is None:
            return False
        try:
            return decode_record(found.value).stage is not Stage.DONE
        except RecordError:
            return True

    async def _delete(self, found: Found) -> bool:
        execution = found.execution
        record, requests = keys.record_key(execution), keys.request_prefix(execution)
        children = keys.child_prefix(execution)
        operations: list[Operation] = [
            Delete(record),
            Delete(keys.spec_key(execution)),
            DeleteRange(requests, prefix_end(requests)),
            DeleteRange(children, prefix_end(children)),
        ]
        await self.delete_files(found)
        result = await self.store.txn([Compare(record, found.revision)], operations)
        return result.succeeded

    async def _delete_templates(self) -> None:
        epochs: dict[str, int] = {}
        prefix = keys.template_epoch_key("")
        async for key, revision in self._scan(prefix):
            epochs[key.removeprefix(prefix)] = revision
        used = await self._templates_in_use()
        for name, revision in epochs.items():
            if used is not None and name not in used:
                epoch = keys.template_epoch_key(name)
                operations: list[Operation] = [Delete(keys.template_key(name)), Delete(epoch)]
                await self.store.txn([Compare(epoch, revision)], operations)

    async def _templates_in_use(self) -> set[str] | None:
        """List what executions refer to; None when one of them cannot be read: nobody knows what that one needs."""
        start, used = keys.SPECS, set[str]()
        while True:
            page = await self.store.range(start, prefix_end(keys.SPECS))
            try:
                used.update(decode_options(item.value).template for item in page.items)
            except RecordError:
                return None
            if not page.more:
                return used
            start = page.next_start

    async def _scan(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        start = prefix
        while True:
            page = await self.store.range(start, prefix_end(prefix))
            for item in page.items:
                yield item.key, item.mod_revision
            if not page.more:
                return
            start = page.next_start
