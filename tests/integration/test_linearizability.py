"""
Every store answers as one that does one thing at a time, whatever its disk does and however often it is opened again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.etcd import Etcd, etcd
from tests.support.histories import Fates, Recording, Round, rounds
from tests.support.proof_files import record

from airscrew.state.memory import MemoryStore
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import Store
from airscrew.state.testing.history import UNKNOWN, History
from airscrew.state.urls import open_store

__all__ = ["etcd"]

EXAMPLES = int(os.environ.get("AIRSCREW_TEST_HISTORIES", "300"))
COUNTS: Counter[str] = Counter()

modest = partial(settings, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module", autouse=True)
def proof() -> Iterator[None]:
    """Write down how much was judged."""
    COUNTS.clear()
    yield
    record("linearizability", dict(COUNTS))


def run(recording: Recording, workload: list[Round]) -> None:
    with asyncio.Runner() as runner:
        runner.run(recording.run(workload))
    calls = recording.history.calls
    COUNTS["histories"] += 1
    COUNTS["calls"] += len(calls)
    COUNTS["calls with unknown outcome"] += sum(call.answer is UNKNOWN for call in calls)
    COUNTS["lives of the store"] += len(workload) + 2
    COUNTS["failed commits"] += recording.faults.met if recording.faults is not None else 0


def in_memory() -> Callable[[], AbstractAsyncContextManager[Store]]:
    store = MemoryStore()

    @asynccontextmanager
    async def make() -> AsyncIterator[Store]:
        yield store

    return make


def in_file(workload: list[Round], *, inline: bool, cache_bytes: int = 600) -> None:
    faults = Fates()
    with tempfile.TemporaryDirectory() as folder:
        options = SqliteOptions(cache_bytes=cache_bytes, idle_seconds=0, keep_revisions=10_000)
        path = Path(folder) / "store.db"
        make = partial(SqliteStore.open, path, inline=inline, options=options, seam=faults, now=lambda: 0.0)
        run(Recording(make, faults), workload)


@modest(max_examples=EXAMPLES)
@given(rounds(callers=5))
def test_the_store_in_memory_is_linearizable(workload: list[Round]) -> None:
    run(Recording(in_memory()), workload)


@modest(max_examples=EXAMPLES)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_on_the_loop(workload: list[Round]) -> None:
    in_file(workload, inline=True)


@modest(max_examples=EXAMPLES)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_all_it_read_in_memory(workload: list[Round]) -> None:
    in_file(workload, inline=True, cache_bytes=1 << 20)


@modest(max_examples=EXAMPLES)
@given(rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_a_thread(workload: list[Round]) -> None:
    in_file(workload, inline=False)


@modest(max_examples=EXAMPLES // 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workload=rounds(callers=5))
def test_the_store_in_etcd_is_linearizable(etcd: Etcd, workload: list[Round]) -> None:
    make = partial(open_store, etcd.new_url())

    run(Recording(make, history=History(revived=True), shared=True), workload)
