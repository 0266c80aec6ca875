"""
``EngineApi`` by the process that is the store's engine, and, for reading alone, by any process.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from typing_extensions import override

from airscrew.engine.api.model import (
    ApiError,
    ExecutionView,
    ExecutorView,
    LeakView,
    ListReply,
    ListRequest,
    LoadReply,
    LogChunk,
    OutputsView,
    QuotaView,
    SubmitReply,
    SubmitRequest,
)
from airscrew.engine.api.port import EngineApi
from airscrew.engine.clock import Clock
from airscrew.engine.quotas import Pools, read_quotas
from airscrew.engine.service.prune import Pruner
from airscrew.engine.service.reader import Found, Reader, parse_name
from airscrew.engine.service.submission import Submitter, read_template_value
from airscrew.idl.errors import AirscrewError
from airscrew.state import keys
from airscrew.state.errors import StoreUnavailableError
from airscrew.state.records import LedgerEntry, LedgerState, Request, Stage, decode, decode_record, encode
from airscrew.state.store import ANY, Compare, Delete, Put, Store


class ReadingDesk(Protocol):
    """What showing an execution needs of the data plane."""

    async def read_values(self, found: Found, template: object) -> OutputsView:
        """Read inputs and outputs."""
        ...

    def read_log(
        self, found: Found, attempt: int, *, follow: bool, metrics: bool, is_over: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Read an attempt's log, with ``follow`` until it is over; or what its job measured."""
        ...


@dataclass(slots=True, kw_only=True)
class StoreViewer(EngineApi):
    """
    Shows what is stored; whatever would change something is refused.

    Attributes:
        store: Where executions are.
        reader: Reads them.
        desk: Reads their values and logs.
        list_executors: Shows what is installed.
        pools: The quotas that are set.
    """

    store: Store
    reader: Reader
    desk: ReadingDesk
    list_executors: Callable[[], list[ExecutorView]]
    pools: Pools = field(default_factory=lambda: Pools({}))

    @override
    async def submit(self, request: SubmitRequest) -> SubmitReply:
        raise self._refusal("submit")

    @override
    async def get(self, execution: str) -> ExecutionView:
        return self.reader.show(await self.reader.find(execution))

    @override
    async def list(self, request: ListRequest) -> ListReply:
        return await self.reader.list(request)

    @override
    def watch(self, execution: str) -> AsyncIterator[ExecutionView]:
        return self.reader.watch(execution)

    @override
    async def outputs(self, execution: str) -> OutputsView:
        found = await self.reader.find(execution)
        return await self.desk.read_values(found, await self._template(found))

    @override
    async def kill(self, execution: str, reason: str, *, force: bool = False) -> None:
        raise self._refusal("kill")

    @override
    async def retry(self, execution: str, *, force: bool = False) -> SubmitReply:
        raise self._refusal("retry")

    @override
    async def logs(
        self, execution: str, *, attempt: int | None = None, follow: bool = False, metrics: bool = False
    ) -> AsyncIterator[LogChunk]:
        found = await self.reader.find(execution)
        last = found.record.attempt
        if attempt is not None and not 0 <= attempt <= last:
            raise ApiError("not_found", f"{found.execution} has no attempt {attempt}; its last one is {last}")
        number = last if attempt is None else attempt

        async def is_over() -> bool:
            with suppress(StoreUnavailableError):  # the log goes on while the store is away
                now = (await self.reader.find(execution)).record
                return now.attempt != number or now.verdict is not None or now.stage is Stage.DONE
            return False

        async for data in self.desk.read_log(found, number, follow=follow, metrics=metrics, is_over=is_over):
            yield LogChunk(data=data, attempt=number)

    @override
    async def leaks(self) -> builtins.list[LeakView]:
        return await self.reader.leaks()

    @override
    async def clear_leak(self, key: str) -> None:
        raise self._refusal("clear a ledger entry")

    @override
    async def prune(self, *, older_than_seconds: float, keep: int = 0, dry_run: bool = False) -> builtins.list[str]:
        raise self._refusal("prune")

    @override
    async def executors(self) -> builtins.list[ExecutorView]:
        return self.list_executors()

    @override
    async def load_executors(self) -> LoadReply:
        raise self._refusal("load executors, and one that starts finds what is installed")

    @override
    async def quotas(self) -> builtins.list[QuotaView]:
        return await read_quotas(self.store, self.pools)

    async def _template(self, found: Found) -> object:
        stored = await self.store.get(keys.template_key(found.options.template))
        if stored is None:
            raise ApiError("failed", f"the template of {found.execution} is gone from the store")
        return read_template_value(stored.value)

    def _refusal(self, what: str) -> ApiError:
        return ApiError("unavailable", f"no engine is running: nothing here can {what}")


@dataclass(slots=True, kw_only=True)
class EngineService(StoreViewer):
    """
    The whole interface, by the store's engine.

    Attributes:
        submitter: Accepts executions.
        pruner: Forgets them.
        clock: The engine's time.
        is_draining: Whether nothing new is taken.
        on_known: Called with the name of what had been accepted before: it is worked on from now on.
        take_in: Takes in executors that were installed meanwhile; None where they are given by a program.
    """

    submitter: Submitter
    pruner: Pruner
    clock: Clock
    is_draining: Callable[[], bool]
    on_known: Callable[[str], None]
    take_in: Callable[[], Awaitable[LoadReply]] | None = None

    @override
    async def submit(self, request: SubmitRequest) -> SubmitReply:
        if self.is_draining():
            raise ApiError("unavailable", "the engine is stopping; submit the same again to the next one")
        reply = await self.submitter.submit(request)
        if not reply.created:
            self.on_known(reply.execution)
        return reply

    @override
    async def kill(self, execution: str, reason: str, *, force: bool = False) -> None:
        found = await self.reader.find(execution)
        if found.record.stage is Stage.DONE:
            return
        await self._ask(found, Request(what="kill", reason=reason or "killed", force=force, at=self.clock.now()))

    @override
    async def retry(self, execution: str, *, force: bool = False) -> SubmitReply:
        found = await self.reader.find(execution)
        if found.record.quarantine:
            await self._ask(found, Request(what="retry", force=force, at=self.clock.now()))
            return SubmitReply(execution=str(found.execution), uid=found.options.uid, created=False)
        if not found.record.ended_at:
            raise ApiError("invalid", f"{found.execution} is not over: kill it first, or wait")
        if found.record.stage is not Stage.DONE and not force:
            raise ApiError("invalid", f"something of {found.execution} is not gone yet: wait, or use --force")
        return await self.submit(await self._again(found))

    @override
    async def load_executors(self) -> LoadReply:
        if self.take_in is None:
            raise ApiError("invalid", "the executors of this engine are given by the program that it is part of")
        try:
            return await self.take_in()
        except AirscrewError as error:
            raise ApiError("invalid", str(error)) from error

    @override
    async def clear_leak(self, key: str) -> None:
        for name, found, entry in await self.reader.ledger():
            if found != key:
                continue
            if entry.state is not LedgerState.UNKNOWN:
                raise ApiError("invalid", f"ledger entry {key} is {entry.state}: the engine itself sees to it")
            execution = parse_name(entry.execution)
            record = await self.store.get(keys.record_key(execution))
            if record is None or decode_record(record.value).uid != entry.uid:
                await self._strike_off(name)  # its execution is gone; another one may have its name
                return
            clear = Request(what="clear", attempt=entry.attempt, at=self.clock.now())
            await self._ask(await self.reader.find(entry.execution), clear, f"clear-{entry.attempt}")
            return
        raise ApiError("not_found", f"there is no open ledger entry {key}; `airscrew leaks` lists them")

    @override
    async def prune(self, *, older_than_seconds: float, keep: int = 0, dry_run: bool = False) -> builtins.list[str]:
        before = self.clock.now() - older_than_seconds
        return await self.pruner.prune(ended_before=before, keep=keep, dry_run=dry_run)

    async def _strike_off(self, name: str) -> None:
        """Delete a ledger entry with its units of quotas: as it is now, for what it had before may be another's."""
        while (item := await self.store.get(name)) is not None:
            units = (keys.quota_token_key(token) for token in decode(item.value, LedgerEntry).tokens)
            done = await self.store.txn([Compare(name, item.mod_revision)], [Delete(name), *map(Delete, units)])
            if done.succeeded:
                return

    async def _ask(self, found: Found, request: Request, name: str = "") -> None:
        """Leave a request for the owner, if the execution is still there."""
        key = keys.request_key(found.execution, name or request.what)
        spec = keys.spec_key(found.execution)
        result = await self.store.txn([Compare(spec, ANY)], [Put(key, encode(request))])
        if not result.succeeded:
            raise ApiError("not_found", f"{found.execution} is gone")

    async def _again(self, found: Found) -> SubmitRequest:
        """Make the request that runs an execution once more, under a new name."""
        options = found.options
        stored = await self.store.get(keys.template_key(options.template))
        if stored is None:
            raise ApiError("failed", f"the template of {found.execution} is gone from the store")
        return SubmitRequest(
            namespace=found.execution.namespace,
            template=stored.value[1:],
            wire=options.wire,
            input_uri=options.input_uri,
            labels=options.labels,
            annotations=options.annotations,
            environment=options.environment,
            executor=options.executor,
            overrides=msgspec.json.decode(msgspec.json.encode(options.overrides)),
            service_account=options.service_account,
            interruptible=options.interruptible,
            max_attempts=options.max_attempts,
            timeouts=options.timeouts,
            output_prefix=options.output_base,
            cache_overwrite=bool(options.cache and options.cache.overwrite),
            cache_skip=options.cache is None,
            origin=str(found.execution),
        )
