"""
Every store keeps the port's guarantees.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.support.etcd import Etcd

from airscrew.state.memory import MemoryStore
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import LeaseStore
from airscrew.state.testing import CHECKS, LEASE_CHECKS, Check, LeaseCheck, Sleep, check_id, check_leases, check_store
from airscrew.state.urls import open_store

MakeLeaseStore = Callable[[], AbstractAsyncContextManager[LeaseStore]]


class ManualClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def in_memory(_: Path, clock: ManualClock) -> MakeLeaseStore:
    store = MemoryStore(now=clock)

    @asynccontextmanager
    async def make() -> AsyncIterator[LeaseStore]:
        yield store

    return make


def in_sqlite(folder: Path, clock: ManualClock) -> MakeLeaseStore:
    return partial(SqliteStore.open, folder / "store.db", now=clock)


def in_sqlite_inline(folder: Path, clock: ManualClock) -> MakeLeaseStore:
    return partial(SqliteStore.open, folder / "store.db", now=clock, inline=True)


def in_sqlite_flushing(folder: Path, clock: ManualClock) -> MakeLeaseStore:
    """Let the index take in every few keys, so that what is found is partly there and partly in memory."""
    return partial(SqliteStore.open, folder / "store.db", now=clock, options=SqliteOptions(flush_writes=3))


MAKERS = [in_memory, in_sqlite, in_sqlite_inline, in_sqlite_flushing]
IN_ETCD = "in_etcd"


@pytest.fixture(params=[*MAKERS, IN_ETCD], ids=lambda param: param if param == IN_ETCD else param.__name__)
def make_store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> MakeLeaseStore:
    if request.param == IN_ETCD:
        etcd: Etcd = request.getfixturevalue("etcd")
        return partial(open_store, etcd.new_url())
    make: MakeLeaseStore = request.param(tmp_path, clock)
    return make


@pytest.fixture
def sleep(request: pytest.FixtureRequest, make_store: MakeLeaseStore, clock: ManualClock) -> Sleep:
    """Lets time pass by the clock of the store."""
    del make_store
    return asyncio.sleep if IN_ETCD in request.node.name else clock.sleep


@pytest.mark.parametrize("check", CHECKS, ids=check_id)
async def test_every_store_keeps_the_guarantees(check: Check, make_store: MakeLeaseStore) -> None:
    await check(make_store)


@pytest.mark.parametrize("check", LEASE_CHECKS, ids=check_id)
async def test_every_lease_store_keeps_leases(check: LeaseCheck, make_store: MakeLeaseStore, sleep: Sleep) -> None:
    await check(make_store, sleep)


async def test_the_checks_hold_one_after_the_other_on_one_store(
    request: pytest.FixtureRequest, make_store: MakeLeaseStore, sleep: Sleep
) -> None:
    await check_store(make_store)
    if IN_ETCD not in request.node.name:  # where time is real, once is enough
        await check_leases(make_store, sleep)
