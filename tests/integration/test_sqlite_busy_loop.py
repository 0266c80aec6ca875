"""
A loop that is never idle must not starve the store's thread of the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from airscrew.state.sqlite import SqliteStore
from airscrew.state.store import Put


async def busy(until: asyncio.Event) -> None:
    """Use the loop in slices of 100 microseconds, as a loop full of small tasks does."""
    while not until.is_set():
        end = time.perf_counter() + 0.0001
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


async def test_writes_go_on_while_the_loop_is_always_busy(tmp_path: Path) -> None:
    done = asyncio.Event()
    async with SqliteStore.open(tmp_path / "store.db") as store, asyncio.TaskGroup() as group:
        group.create_task(busy(done))
        begin = time.perf_counter()
        for n in range(50):
            await store.txn((), [Put("a", b"%d" % n)])
        seconds = time.perf_counter() - begin
        done.set()

    assert seconds < 5, f"50 writes one after the other took {seconds:.1f} s: the thread starves"
