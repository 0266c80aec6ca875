"""
Every store answers as one that does one thing at a time, whatever its disk does and however often it is opened again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from tests.support.histories import Fates, Recording, Round, rounds

from airscrew.state.memory import MemoryStore
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import Store

modest = partial(settings, deadline=None, derandomize=True, database=None)


def run(call: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(call)


def in_memory() -> Callable[[], AbstractAsyncContextManager[Store]]:
    store = MemoryStore()

    @asynccontextmanager
    async def make() -> AsyncIterator[Store]:
        yield store

    return make


async def in_file(workload: list[Round], *, inline: bool, cache_bytes: int = 600) -> None:
    faults = Fates()
    with tempfile.TemporaryDirectory() as folder:
        options = SqliteOptions(cache_bytes=cache_bytes, idle_seconds=0, keep_revisions=10_000)
        make = partial(
            SqliteStore.open, Path(folder) / "store.db", inline=inline, options=options, seam=faults, now=lambda: 0.0
        )
        await Recording(make, faults).run(workload)


@modest(max_examples=150)
@given(rounds(callers=5))
def test_the_store_in_memory_is_linearizable(workload: list[Round]) -> None:
    run(Recording(in_memory()).run(workload))


@modest(max_examples=120)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_on_the_loop(workload: list[Round]) -> None:
    run(in_file(workload, inline=True))


@modest(max_examples=60)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_all_it_read_in_memory(workload: list[Round]) -> None:
    run(in_file(workload, inline=True, cache_bytes=1 << 20))


@modest(max_examples=60)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_a_thread(workload: list[Round]) -> None:
    run(in_file(workload, inline=False))
