"""Reservations of the task cache: who keeps one alive, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.engine_kit import Rig

from airscrew.engine.clock import LoopClock
from airscrew.engine.controller.ports import AttemptPlace, place_of
from airscrew.engine.data.catalog import CacheKey, Reserved
from airscrew.engine.taskcache import HOLD_SECONDS, StoreTaskCache, owner_of
from airscrew.engine.testing.virtual_time import elapse
from airscrew.state.memory import MemoryStore

pytestmark = pytest.mark.virtual_time
KEY = CacheKey("k")


@asynccontextmanager
async def running() -> AsyncIterator[StoreTaskCache]:
    store = MemoryStore(now=asyncio.get_running_loop().time)
    cache = StoreTaskCache.make(store, Rig().data, LoopClock())  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        work = group.create_task(cache.run(lambda _: None))
        yield cache
        work.cancel()
    store.close()


def place() -> AttemptPlace:
    return place_of(Rig().live())


async def is_free(cache: StoreTaskCache) -> bool:
    return isinstance(await cache.catalog.reserve(KEY, "another", 0.0), Reserved)


async def test_a_reservation_is_kept_alive_while_its_execution_is_under_control() -> None:
    async with running() as cache:
        await cache.catalog.reserve(KEY, owner_of(place()), HOLD_SECONDS)
        cache.hold(place(), KEY)
        await elapse(10 * HOLD_SECONDS)

        assert not await is_free(cache)


async def test_a_reservation_ends_by_itself_when_its_execution_is_no_more() -> None:
    async with running() as cache:
        await cache.catalog.reserve(KEY, owner_of(place()), HOLD_SECONDS)
        cache.hold(place(), KEY)
        cache.drop(place())
        await elapse(HOLD_SECONDS + 1)

        assert await is_free(cache)
