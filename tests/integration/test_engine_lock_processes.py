"""
The engine's lock between processes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from airscrew.state.errors import StoreBusyError
from airscrew.state.lock import EngineLock
from airscrew.state.sqlite import SqliteStore

HOLDER = """
import sys
from airscrew.state.lock import EngineLock

with EngineLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@asynccontextmanager
async def holder(path: Path) -> AsyncIterator[Process]:
    """Run a process that holds the lock until its input ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        yield process
        await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_store_of_another_process_is_busy_and_free_when_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with holder(path) as process:
        with pytest.raises(StoreBusyError, match="in use by another airscrew process"):
            async with SqliteStore.open(path):
                pass

        process.kill()

    async with SqliteStore.open(path) as store:
        assert (await store.status()).revision == 0


async def test_one_that_waits_takes_over_when_the_holder_ends(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "store.db")
    async with asyncio.TaskGroup() as group, holder(tmp_path / "store.db"):
        waiting = group.create_task(lock.wait(poll_seconds=0.01))
        await asyncio.sleep(0.05)

        assert not waiting.done()

    assert lock.is_held
    lock.release()


async def test_a_wait_can_be_cancelled(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "store.db")
    async with holder(tmp_path / "store.db"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lock.wait(poll_seconds=0.01)

    assert not lock.is_held


async def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "store.db")
    lock.acquire()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "import sys; sys.stdin.read()", stdin=PIPE)

    lock.release()

    with EngineLock(tmp_path / "store.db") as other:
        assert other.is_held
    await child.communicate(b"")
