from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from airscrew.state.errors import CorruptStoreError, SchemaError
from airscrew.state.sqlite import SqliteStore, schema
from airscrew.state.store import Delete, Event, Put


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(path, inline=True) as store:
        yield store


def make_version_1(path: Path) -> None:
    """Make a store as the first version wrote it, without leases."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        rows = [(1 << 20, "a", b"old", 0, 1), (2 << 20, "b", b"1", 0, 2), (3 << 20, "a", b"new", 1 << 20, 1)]
        connection.executemany("INSERT INTO log (id, key, value, prev, created) VALUES (?, ?, ?, ?, ?)", rows)


def make_version_2(path: Path) -> None:
    """Make a store as the second version wrote it: its index was kept by triggers, to the last write."""
    make_version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in schema.MIGRATIONS[1]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 2")
        connection.execute("INSERT INTO leases (id, seconds) VALUES (7, 60.0)")
        rows = [(4 << 20, "b", None, 2 << 20, 0, 0), (5 << 20, "c", b"leased", 0, 5, 7)]
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", rows)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


async def test_a_new_store_has_the_newest_schema_and_no_backup(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db"):
        pass

    assert version_of(tmp_path / "store.db") == schema.VERSION == 3
    assert names_in(tmp_path) == ["store.db", "store.db.lock"]


async def test_an_older_store_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    make_version_1(tmp_path / "store.db")

    async with opened(tmp_path / "store.db") as store:
        found = await store.get("a")
        lease = await store.grant_lease(60)
        result = await store.txn((), [Put("c", b"1", lease)])
        events = await anext(store.watch("a", "b", from_revision=1))

    assert found is not None
    assert (found.value, found.create_revision, found.mod_revision, found.lease) == (b"new", 1, 3, 0)
    assert result.revision == 4
    assert list(events) == [Event("a", b"old", 1), Event("a", b"new", 3)]
    assert version_of(tmp_path / "store.db") == 3


async def test_what_an_index_of_triggers_knew_is_known(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_version_2(path)

    async with opened(path) as store:
        assert [item.key for item in (await store.range("a", "z")).items] == ["a", "c"]
        await store.txn((), [Put("a", b"newest"), Put("b", b"again"), Delete("nothing")])
    async with opened(path) as store:
        found = {item.key: (item.value, item.create_revision) for item in (await store.range("a", "z")).items}
        assert found == {"a": (b"newest", 1), "b": (b"again", 6), "c": (b"leased", 5)}
        await store.revoke_lease(7)
        assert [item.key for item in (await store.range("a", "z")).items] == ["a", "b"]


async def test_an_older_store_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    make_version_1(tmp_path / "store.db")

    async with opened(tmp_path / "store.db") as store:
        await store.txn((), [Put("a", b"newest")])

    backup = tmp_path / "store.db.backup-v1"
    assert version_of(backup) == 1
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (3,)
    assert not (tmp_path / "store.db.backup-v1.unfinished").exists()


async def test_a_migration_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version_1(tmp_path / "store.db")
    broken = (schema.MIGRATIONS[0], (*schema.MIGRATIONS[1], "CREATE TABLE leases (id)"), *schema.MIGRATIONS[2:])
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)

        with pytest.raises(Exception, match="leases already exists"):
            async with opened(tmp_path / "store.db"):
                pass

    assert version_of(tmp_path / "store.db") == 1
    async with opened(tmp_path / "store.db") as store:
        assert await store.get("a") is not None


async def test_a_newer_store_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = path.read_bytes()

    with pytest.raises(SchemaError, match="schema version 7, and this airscrew knows versions up to 3"):
        async with opened(path):
            pass

    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["store.db", "store.db.lock"]


async def test_a_file_of_another_program_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()

    with pytest.raises(CorruptStoreError, match="of another program"):
        async with opened(path):
            pass

    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"no database at all " * 1000)
    before = path.read_bytes()

    with pytest.raises(CorruptStoreError, match=r"store\.db cannot be read: file is not a database"):
        async with opened(path):
            pass

    assert path.read_bytes() == before


async def test_a_broken_page_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        await store.txn((), [Put(f"k{n:03}", b"x" * 6000) for n in range(100)])
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)

    with pytest.raises(CorruptStoreError, match="restore it from a backup or an export"):
        async with opened(path) as store:
            await store.range("k", "l")
