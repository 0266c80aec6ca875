"""
A process that is killed in the midst of its writes loses nothing that it was told is written.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from airscrew.state.sqlite import SqliteStore
from airscrew.state.store import DeleteRange

WRITER = """
import asyncio, sys
from airscrew.state.sqlite import SqliteOptions, SqliteStore
from airscrew.state.store import Compare, Put

async def write(store, caller):
    for n in range(1_000_000):
        pair = [Put(f"a/{caller}/{n}", b"x" * 600), Put(f"b/{caller}/{n}", b"x" * 600)]
        result = await store.txn([Compare(pair[0].key, 0)], pair)
        print(caller, n, result.revision, flush=True)

async def main():
    async with SqliteStore.open(sys.argv[1], options=SqliteOptions(keep_revisions=2000, flush_writes=500)) as store:
        async with asyncio.TaskGroup() as group:
            for caller in range(16):
                group.create_task(write(store, caller))

asyncio.run(main())
"""


async def killed_writer(path: Path, lines: int) -> list[tuple[int, int, int]]:
    """Run a writer, kill it after so many acknowledged writes, and return all that it was told."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    try:
        output = [await process.stdout.readline() for _ in range(lines)]
    finally:
        process.kill()
    output += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    acknowledged = [line.split() for line in output if line.endswith(b"\n")]
    return [(int(caller), int(n), int(revision)) for caller, n, revision in acknowledged]


@pytest.mark.parametrize("seed", range(3))
async def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "store.db"

    acknowledged = await killed_writer(path, random.Random(seed).randrange(20, 6000))

    async with SqliteStore.open(path) as store:
        for caller, n, revision in acknowledged:
            a, b = await store.get(f"a/{caller}/{n}"), await store.get(f"b/{caller}/{n}")
            assert a is not None
            assert b is not None
            assert a.mod_revision == b.mod_revision == revision
        newest = (await store.status()).revision
        assert newest >= max(revision for _, _, revision in acknowledged)
        assert await count(store, "a/") == await count(store, "b/") == newest


async def test_a_store_is_killed_and_goes_on_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    newest = 0
    for _ in range(3):
        await killed_writer(path, 200)
        async with SqliteStore.open(path) as store:
            revision = (await store.status()).revision
            assert revision > newest
            for caller in range(16):
                await forget(store, caller)
            newest = (await store.status()).revision


async def forget(store: SqliteStore, caller: int) -> None:
    """Make room for the next writer, which creates the same keys."""
    await store.txn((), [DeleteRange(f"a/{caller}/", f"a/{caller}0"), DeleteRange(f"b/{caller}/", f"b/{caller}0")])


async def count(store: SqliteStore, prefix: str) -> int:
    start, end, found = prefix, prefix[:-1] + "0", 0
    while True:
        page = await store.range(start, end)
        found += len(page.items)
        if not page.more:
            return found
        start = page.next_start
