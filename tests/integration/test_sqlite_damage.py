"""
A damaged file: the store says so, and goes on from its last good state or refuses; it never tells what is wrong.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
from pathlib import Path

import pytest

from airscrew.state.errors import CorruptStoreError
from airscrew.state.sqlite import SqliteStore
from airscrew.state.store import Put

PAGE = 4096
KEYS = [f"k{n:03}" for n in range(200)]


def value(key: str) -> bytes:
    return key.encode() * 20


@pytest.fixture
async def closed(tmp_path: Path) -> Path:
    """A store that was closed, and beside it what lay on the disk when it was still open."""
    path = tmp_path / "closed.db"
    async with SqliteStore.open(path) as store:
        for key in KEYS:
            await store.txn((), [Put(key, value(key))])
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", tmp_path / f"crashed.db{end}")
    return path


@pytest.fixture
def crashed(closed: Path) -> Path:
    return closed.with_name("crashed.db")


def content(path: Path) -> bytes:
    return path.read_bytes()


def damage(path: Path, place: int, length: int, seed: int = 1, whole: bytes = b"") -> None:
    data = bytearray(whole or path.read_bytes())
    place %= len(data)
    data[place : place + length] = random.Random(seed).randbytes(length)
    path.write_bytes(data)


async def read_all(path: Path) -> list[str]:
    """Read key by key what can be read; a value that is not what was written fails the test."""
    found = []
    async with SqliteStore.open(path) as store:
        for key in KEYS:
            item = await store.get(key)
            if item is not None:
                assert item.value == value(key)
                found.append(key)
        assert [item.key for item in (await store.range("a", "z")).items] == found
        await store.txn((), [Put("new", b"1")])
    return found


async def test_a_file_whose_last_page_is_damaged_is_refused_and_left_as_it_is(closed: Path) -> None:
    damage(closed, -PAGE, PAGE)
    before = content(closed)

    with pytest.raises(CorruptStoreError, match="restore it from a backup"):
        await read_all(closed)

    assert content(closed) == before


async def test_no_damaged_page_makes_the_store_hang_or_tell_a_lie(closed: Path) -> None:
    whole = content(closed)
    refused = 0
    for page in range(len(whole) // PAGE):
        damage(closed, page * PAGE, PAGE, seed=page, whole=whole)
        try:
            assert await read_all(closed) == KEYS, page
        except CorruptStoreError:
            refused += 1

    assert refused > len(whole) // PAGE // 2


async def test_a_log_that_is_whole_is_taken_without_a_word(crashed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "airscrew.state"):
        assert await read_all(crashed) == KEYS

    assert caplog.messages == []


async def test_a_log_whose_end_is_damaged_is_told_and_left_at_its_last_good_state(
    crashed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(crashed.with_name("crashed.db-wal"), -100, 100)

    with caplog.at_level(logging.WARNING, "airscrew.state"):
        found = await read_all(crashed)

    assert found == KEYS[: len(found)]
    assert len(found) == len(KEYS) - 1
    assert [message for message in caplog.messages if "going on from the last good state" in message]


@pytest.mark.parametrize("place", [0, 16, 32 + 8], ids=["magic", "salt", "first page"])
async def test_a_log_whose_begin_is_damaged_is_told(
    crashed: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    damage(crashed.with_name("crashed.db-wal"), place, 8)

    with caplog.at_level(logging.WARNING, "airscrew.state"):
        found = await read_all(crashed)

    assert found == KEYS[: len(found)]
    assert [message for message in caplog.messages if "going on from the last good state" in message]


async def test_a_log_that_was_cut_in_a_page_is_told(crashed: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = crashed.with_name("crashed.db-wal")
    os.truncate(log, len(content(log)) - 100)

    with caplog.at_level(logging.WARNING, "airscrew.state"):
        assert await read_all(crashed) == KEYS[:-1]

    assert len(caplog.messages) == 1
