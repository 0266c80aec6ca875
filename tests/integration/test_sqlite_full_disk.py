"""
A disk that is really full.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airscrew.state.errors import StoreFullError
from airscrew.state.sqlite import SqliteStore
from airscrew.state.store import Put, Store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small file system to fill it")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


async def fill(store: Store, prefix: str) -> list[str]:
    """Write until there is no room and return the keys that were acknowledged."""
    keys: list[str] = []
    for n in range(10_000):
        try:
            await store.txn((), [Put(f"{prefix}{n:05}", b"x" * 5000)])
        except StoreFullError:
            return keys
        keys.append(f"{prefix}{n:05}")
    raise AssertionError("the disk was never full")


async def test_a_full_disk_loses_nothing_and_is_left_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "store.db"
    async with SqliteStore.open(path) as store:
        keys = await fill(store, "k")
        assert len(keys) > 100
        assert [item.key for item in (await store.range("k", "l")).items] == keys
        for _ in range(3):
            with pytest.raises(StoreFullError, match="free some space"):
                await store.txn((), [Put("more", b"x" * 500_000)])

        enlarge(small_disk)

        await store.txn((), [Put("more", b"x" * 500_000)])
        assert await store.get("more") is not None
    async with SqliteStore.open(path) as store:
        assert [item.key for item in (await store.range("k", "l")).items] == keys
        assert await store.get("more") is not None


async def test_a_store_closed_on_a_full_disk_is_whole_when_it_is_opened_with_room(small_disk: Path) -> None:
    path = small_disk / "store.db"
    async with SqliteStore.open(path) as store:
        keys = await fill(store, "k")

    enlarge(small_disk)

    async with SqliteStore.open(path) as store:
        assert [item.key for item in (await store.range("k", "l")).items] == keys
        await store.txn((), [Put("more", b"x" * 500_000)])
