"""
The tables of the store and how older ones become today's.

``log`` is the truth: one row per write, numbered ``revision << 20 | place in its transaction``, a NULL value
for a delete. It is the history that watches read, and it holds the live values too. ``kv`` says which row of
the log is a key's present one, as of the revision ``flushed``; what was written since is in the memtable, and in
the log for whoever opens the file. So a whole group of transactions is one INSERT at the log's end. Each row names
the row it replaces (``prev``), so compaction deletes what it passes without searching.

A file of a newer schema, or of another program, is left untouched. An older one is copied beside itself first.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from airscrew.state.errors import CorruptStoreError, SchemaError

APPLICATION_ID = 0x41524357
"""Marks our files, in SQLite's header: "ARCW"."""

REVISION_SHIFT = 20
"""A transaction writes fewer than ``1 << 20`` keys, and revisions last for 28 years at 10,000 a second."""

_V1 = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """
    CREATE TABLE log (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        value BLOB,
        prev INTEGER NOT NULL,
        created INTEGER NOT NULL
    )
    """,
    "CREATE TABLE kv (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('compacted', 0), ('swept', 0)",
    """
    CREATE TRIGGER log_put AFTER INSERT ON log WHEN NEW.value IS NOT NULL BEGIN
        INSERT INTO kv VALUES (NEW.key, NEW.id) ON CONFLICT (key) DO UPDATE SET id = excluded.id;
    END
    """,
    """
    CREATE TRIGGER log_delete AFTER INSERT ON log WHEN NEW.value IS NULL BEGIN
        DELETE FROM kv WHERE key = NEW.key;
    END
    """,
)
_V2 = (
    "ALTER TABLE log ADD COLUMN lease INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX log_lease ON log (lease) WHERE lease != 0",
    "CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, seconds REAL NOT NULL)",
)
_V3 = (
    "DROP TRIGGER log_put",
    "DROP TRIGGER log_delete",
    f"INSERT INTO meta SELECT 'flushed', coalesce(max(id), 0) >> {REVISION_SHIFT} FROM log",  # noqa: S608  # constants alone
)

MIGRATIONS: Sequence[Sequence[str]] = (_V1, _V2, _V3)
"""The statements that lead from each version to the next; the first makes a store of an empty file."""

VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """
    Make an empty file a store, or an older store one of today.

    Raises:
        SchemaError: It was written by a newer version.
        CorruptStoreError: It belongs to another program.
        sqlite3.Error: SQLite could not do it; nothing is changed.
    """
    version = _read_version(connection, path)
    if version == 0:
        # Only an empty file takes it: room given back by deletes can then leave the file.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if version < VERSION:
        if version > 0:
            back_up(connection, path.with_name(f"{path.name}.backup-v{version}"))
        _migrate(connection, version)


def _read_version(connection: sqlite3.Connection, path: Path) -> int:
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if application != APPLICATION_ID and (version != 0 or tables != 0):
        raise CorruptStoreError(f"{path} is an SQLite file of another program; name another path for the store")
    if version > VERSION:
        raise SchemaError(
            f"the store {path} has schema version {version}, and this airscrew knows versions up to {VERSION}: "
            "run a newer airscrew; the file is left as it is"
        )
    return version


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Take all steps in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy a whole store to a file of its own, which appears under its name only when it is complete."""
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    copy = sqlite3.connect(unfinished)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    sync(unfinished)
    unfinished.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(connection: sqlite3.Connection, statement: str) -> int:
    row: tuple[int] = connection.execute(statement).fetchone()
    return row[0]
