"""
Whole engines over one store in memory, on virtual time: one alone, or several that share its shards.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

from typing_extensions import override

from airscrew.engine.api.model import ExecutionView
from airscrew.engine.clock import LoopClock
from airscrew.engine.core import Core, CoreParts, open_core
from airscrew.engine.data.secrets import Secrets
from airscrew.engine.data.storage import Storage
from airscrew.engine.dataplane import LocalDataPlane
from airscrew.engine.executor import Executor
from airscrew.engine.registry import Registry
from airscrew.engine.taskcache import StoreTaskCache
from airscrew.engine.timebase import BootClock
from airscrew.state.members import Member, join
from airscrew.state.memory import MemoryStore
from airscrew.state.records import SCHEMA_VERSION

INSTALLATION = "i" * 32


class NeverBooted(BootClock):
    """A machine that is never booted again."""

    @override
    def boot_id(self) -> str:
        return "boot"

    @override
    def uptime(self) -> float:
        return LoopClock().monotonic()


@asynccontextmanager
async def open_whole_engine(
    store: MemoryStore, executors: Sequence[Executor[Any]], *, member: str = ""
) -> AsyncGenerator[Core, None]:
    """Run an engine over a store: its only one, or a member of those that share it."""
    clock, registry = LoopClock(), Registry()
    for executor in executors:
        registry.register(executor)
    async with AsyncExitStack() as stack:
        membership = None
        if member:
            me = Member(id=member, schema=SCHEMA_VERSION)
            joined = join(store, me, monotonic=clock.monotonic, now=clock.now, seconds=10.0)
            membership = await stack.enter_async_context(joined)
        data = LocalDataPlane(
            store=store,
            storage=await stack.enter_async_context(Storage()),
            base="memory://data",
            work_base="/nowhere/work",
            secrets=Secrets([]),
            installation=INSTALLATION,
        )
        parts = CoreParts(
            store=store,
            registry=registry,
            data=data,
            cache=StoreTaskCache.make(store, data, clock),
            clock=clock,
            boot=NeverBooted(),
            random=Random(member or 7),
            watched=False,
            membership=membership,
        )
        stack.push_async_callback(registry.close)
        yield await stack.enter_async_context(open_core(parts))


async def view_of(core: Core, name: str) -> ExecutionView:
    """Show an execution."""
    return core.api.reader.show(await core.api.reader.find(name))
