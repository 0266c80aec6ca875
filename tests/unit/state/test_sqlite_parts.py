"""
The small parts of the store in a file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from airscrew.state.errors import CorruptStoreError, StoreError, StoreFullError, StoreUnavailableError
from airscrew.state.sqlite import runner as runner_module
from airscrew.state.sqlite.failures import translate
from airscrew.state.sqlite.memtable import Memtable
from airscrew.state.sqlite.reader import Reader
from airscrew.state.sqlite.rowcache import RowCache
from airscrew.state.sqlite.runner import ThreadRunner
from airscrew.state.sqlite.schema import prepare


def test_the_row_cache_is_bounded_and_keeps_what_is_used() -> None:
    rows = RowCache(limit_bytes=20_000)
    rows.put("used", (1, b"", 1, 0))
    for n in range(1000):
        rows.put(f"k{n}", (1, b"x" * 100, 1, 0))
        assert rows.get("used") is not None

    kept = sum(rows.get(f"k{n}") is not None for n in range(1000))

    assert 10 <= kept <= 50


def test_the_row_cache_forgets_a_deleted_row_in_both_generations() -> None:
    rows = RowCache(limit_bytes=2_000)
    rows.put("a", (1, b"old", 1, 0))
    rows.put("filler", (1, b"x" * 1000, 1, 0))

    rows.update({"a": None})

    assert rows.get("a") is None


def test_the_row_cache_answers_the_newest_row_whatever_its_generation() -> None:
    rows = RowCache(limit_bytes=2_000)
    rows.put("a", (1, b"old", 1, 0))
    rows.put("filler", (1, b"x" * 1000, 1, 0))

    rows.update({"a": (2, b"new", 1, 0)})

    assert rows.get("a") == (2, b"new", 1, 0)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_many_rows_are_found_as_each_is_alone(count: int, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.isolation_level = None  # as the store has it: schemas are made in transactions of their own
    prepare(connection, tmp_path / "store.db")
    names = [f"k{n}\0{n}" if n % 3 else f"k{n}" for n in range(count)]
    for n, name in enumerate(names[::2], start=1):
        connection.execute("INSERT INTO log VALUES (?, ?, ?, 0, ?, 0)", (n, name, name.encode(), n))
        if n % 2:
            connection.execute("INSERT INTO kv VALUES (?, ?)", (name, n))
    newer = [(name, n) for n, name in enumerate(names[::2], start=1) if not n % 2]
    reader = Reader(connection, Memtable(newer, 0))

    found = reader.rows(names)

    assert {name: found.get(name) for name in names} == {name: reader.row(name) for name in names}
    assert sorted(found) == sorted(names[::2])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", StoreFullError),
        ("database disk image is malformed", CorruptStoreError),
        ("file is not a database", CorruptStoreError),
        ("disk I/O error", StoreUnavailableError),
        ("unable to open database file", StoreUnavailableError),
        ("", StoreUnavailableError),
    ],
)
def test_an_error_is_named_by_what_its_catcher_does_next(text: str, kind: type[StoreError]) -> None:
    error = translate(OSError(text), Path("/data/store.db"))

    assert type(error) is kind
    assert "/data/store.db" in str(error)


async def test_jobs_run_on_the_thread_and_are_answered_on_the_loop() -> None:
    runner = ThreadRunner("test")
    seen: list[str] = []
    answered = asyncio.Event()

    def done(error: Exception | None) -> None:
        seen.append(f"{threading.current_thread().name} {error!r}")
        answered.set()

    def job() -> None:
        seen.append(threading.current_thread().name)
        raise ValueError("no")

    runner.submit(job, done)
    await answered.wait()
    runner.stop(lambda: seen.append("last"))

    assert seen == ["test", f"{threading.current_thread().name} ValueError('no')", "last"]


async def test_the_loop_lends_the_interpreter_while_a_job_is_out_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime()
    monkeypatch.setattr(runner_module, "time", clock)
    runner = ThreadRunner("test")
    release, answered = threading.Event(), asyncio.Event()

    runner.submit(lambda: _ignore(release.wait()), lambda _: answered.set())
    await clock.slept_thrice.wait()
    release.set()
    await answered.wait()
    count = clock.slept
    await asyncio.sleep(0.005)

    assert clock.slept == count
    runner.stop(lambda: None)


class FakeTime:
    """Counts how often the loop sleeps, and sleeps."""

    def __init__(self) -> None:
        self.slept = 0
        self.slept_thrice = asyncio.Event()

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        if self.slept == 3:
            self.slept_thrice.set()
        time.sleep(seconds)


def _ignore(_: bool) -> None:
    pass
