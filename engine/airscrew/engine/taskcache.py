"""
The task cache as the controller uses it.

Keys come from options and inputs; reservations are kept alive; waiting executions are woken.

A reservation is extended for as long as the execution that holds it is under this engine's control; after a crash it
ends by itself unless the next engine takes it up. Those who wait look again when the reservation is given back, and
now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from airscrew.engine.clock import Clock
from airscrew.engine.controller.ports import AttemptPlace, CacheAnswer, DataPlane
from airscrew.engine.data.catalog import (
    RESERVATIONS,
    CacheEntry,
    CacheKey,
    Catalog,
    HeldBy,
    StoreCatalog,
    cache_key,
    key_of_reservation,
)
from airscrew.idl.ids import ExecutionId
from airscrew.idl.wire import WireForm
from airscrew.state.errors import CompactedError, StoreError
from airscrew.state.store import Store, prefix_end

HOLD_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class StoreTaskCache:
    """
    The task cache in the store.

    Attributes:
        store: Where it is.
        catalog: Keeps the outputs.
        data: Loads templates and inputs.
        clock: The wall clock, which all who share the cache read alike.
    """

    store: Store
    catalog: Catalog
    data: DataPlane
    clock: Clock
    _held: dict[str, CacheKey] = field(default_factory=dict[str, CacheKey])
    _waiting: dict[CacheKey, dict[ExecutionId, None]] = field(default_factory=dict[CacheKey, dict[ExecutionId, None]])

    @classmethod
    def make(
        cls, store: Store, data: DataPlane, clock: Clock, exists: Callable[[str], Awaitable[bool]] | None = None
    ) -> StoreTaskCache:
        """Make the cache of a store."""
        return cls(store=store, catalog=StoreCatalog(store, clock, exists), data=data, clock=clock)

    async def lookup(self, place: AttemptPlace) -> CacheAnswer:
        """Look, and reserve when the template wants one run at a time."""
        options = place.options.cache
        assert options is not None
        key = await self._key(place)
        if not options.overwrite:
            entry = await self.catalog.lookup(key, max_age=options.max_age)
            if entry is not None:
                return CacheAnswer(key=key, output_uri=entry.output_uri or EMPTY_OUTPUTS)
        if not options.serializable:
            return CacheAnswer(key=key)
        reserved = await self.catalog.reserve(key, owner_of(place), HOLD_SECONDS)
        if isinstance(reserved, HeldBy):
            self._waiting.setdefault(key, {})[place.execution] = None
            left = reserved.until - self.clock.now()
            pause = min(max(left, 1.0), LOOK_AGAIN_SECONDS)
            return CacheAnswer(key=key, owner=name_in(reserved.owner), retry_after=pause)
        self.hold(place, key)
        return CacheAnswer(key=key)

    def hold(self, place: AttemptPlace, key: str) -> None:
        """Keep a reservation alive until it is given back."""
        self._held[owner_of(place)] = CacheKey(key)

    def drop(self, place: AttemptPlace) -> None:
        """Keep a reservation alive no more: another engine has the execution, or it is gone."""
        self._held.pop(owner_of(place), None)

    async def put(self, place: AttemptPlace, key: str, output_uri: str) -> None:
        """Keep outputs, and release the reservation."""
        entry = CacheEntry(
            output_uri=output_uri,
            at=self.clock.now(),
            task_name=place.options.task_name,
            execution=str(place.execution),
            uid=place.options.uid,
        )
        self.drop(place)
        await self.catalog.put(CacheKey(key), entry, owner=owner_of(place))

    async def release(self, place: AttemptPlace, key: str) -> None:
        """Release the reservation without outputs."""
        self.drop(place)
        await self.catalog.release(CacheKey(key), owner_of(place))

    async def run(self, wake: Callable[[ExecutionId], None]) -> None:
        """Keep reservations alive and wake those who wait, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_alive(), name="cache-reservations")
            group.create_task(self._watch(wake), name="cache-watch")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(HOLD_SECONDS / 3)
            for owner, key in list(self._held.items()):
                with suppress(StoreError):
                    await self.catalog.reserve(key, owner, HOLD_SECONDS)

    async def _watch(self, wake: Callable[[ExecutionId], None]) -> None:
        end = prefix_end(RESERVATIONS)
        while True:
            try:
                revision = (await self.store.status()).revision + 1
                async for batch in self.store.watch(RESERVATIONS, end, from_revision=revision):
                    for event in batch:
                        if event.value is None:
                            self._wake(key_of_reservation(event.key), wake)
            except (CompactedError, StoreError):
                await asyncio.sleep(1.0)

    def _wake(self, key: CacheKey, wake: Callable[[ExecutionId], None]) -> None:
        for execution in self._waiting.pop(key, ()):
            wake(execution)

    async def _key(self, place: AttemptPlace) -> CacheKey:
        options = place.options
        assert options.cache is not None
        template = await self.data.template(options)
        literals = (await self.data.access(place, self.data.locations(place)).read_inputs()).literals
        return cache_key(
            options.task_id,
            options.cache.version,
            template.interface,
            dict(literals),
            ignored=options.cache.ignore_inputs,
            wire=WireForm(options.wire),
        )


EMPTY_OUTPUTS = "data:,"
"""Where the outputs of a task lie that has none."""


def owner_of(place: AttemptPlace) -> str:
    """Name who holds a reservation: the execution, and which one of that name."""
    return f"{place.execution}#{place.options.uid}"


def name_in(owner: str) -> str:
    """Read the execution's name out of an owner."""
    return owner.partition("#")[0]
