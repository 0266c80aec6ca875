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
from tests.support.etcd import Etcd
from tests.support.histories import Fates, Recording, Round, rounds
from tests.support.proof_files import record

from airscrew.state.memory import MemoryStore
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import Store
from airscrew.state.testing.history import UNKNOWN, History
from airscrew.state.urls import open_store

EXAMPLES = int(os.environ.get("AIRSCREW_TEST_HISTORIES", "80"))
COUNTS: Counter[str] = Counter()

modest = partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module", autouse=True)
def proof() -> Iterator[None]:
    """Write down how much was judged, when somebody has asked for more than always."""
    COUNTS.clear()
    yield
    if "AIRSCREW_TEST_HISTORIES" in os.environ:
        record("linearizability", dict(COUNTS))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all: that of gRPC is the first that it sees."""
    with asyncio.Runner() as runner:
        yield runner


def run(runner: asyncio.Runner, recording: Recording, workload: list[Round]) -> None:
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


def in_file(runner: asyncio.Runner, workload: list[Round], *, inline: bool, cache_bytes: int = 600) -> None:
    faults = Fates()
    with tempfile.TemporaryDirectory() as folder:
        options = SqliteOptions(cache_bytes=cache_bytes, idle_seconds=0, keep_revisions=10_000, flush_writes=4)
        path = Path(folder) / "store.db"
        make = partial(SqliteStore.open, path, inline=inline, options=options, seam=faults, now=lambda: 0.0)
        run(runner, Recording(make, faults), workload)


@modest(max_examples=EXAMPLES)
@given(workload=rounds(callers=5))
def test_the_store_in_memory_is_linearizable(runner: asyncio.Runner, workload: list[Round]) -> None:
    run(runner, Recording(in_memory()), workload)


@modest(max_examples=EXAMPLES)
@given(workload=rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_on_the_loop(runner: asyncio.Runner, workload: list[Round]) -> None:
    in_file(runner, workload, inline=True)


@modest(max_examples=EXAMPLES)
@given(workload=rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_all_it_read_in_memory(
    runner: asyncio.Runner, workload: list[Round]
) -> None:
    in_file(runner, workload, inline=True, cache_bytes=1 << 20)


@modest(max_examples=EXAMPLES)
@given(workload=rounds(faulty=True))
def test_the_store_in_a_file_is_linearizable_with_a_thread(runner: asyncio.Runner, workload: list[Round]) -> None:
    in_file(runner, workload, inline=False)


@modest(max_examples=EXAMPLES // 2)
@given(workload=rounds(callers=5))
def test_the_store_in_etcd_is_linearizable(runner: asyncio.Runner, etcd: Etcd, workload: list[Round]) -> None:
    make = partial(open_store, etcd.new_url())

    run(runner, Recording(make, history=History(revived=True), shared=True), workload)
