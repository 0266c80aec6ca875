from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airscrew.engine.testing.virtual_time import elapse
from airscrew.idl.errors import UsageError
from airscrew.state import lock as lock_module
from airscrew.state.errors import StoreBusyError
from airscrew.state.lock import EngineLock


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path / "store.db"), EngineLock(tmp_path / "store.db")

    with first:
        assert first.is_held
        with pytest.raises(StoreBusyError, match=r"store\.db is in use by another airscrew process"):
            second.acquire()

    with second:
        assert not first.is_held


def test_the_lock_of_a_new_folder_makes_the_folder(tmp_path: Path) -> None:
    with EngineLock(tmp_path / "new" / "store.db") as lock:
        assert lock.path.stat().st_mode & 0o777 == 0o600


def test_giving_back_twice_is_harmless(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "store.db")
    lock.acquire()

    lock.release()
    lock.release()

    assert lock.try_acquire()
    lock.release()


@pytest.mark.virtual_time
async def test_one_that_waits_takes_over(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path / "store.db"), EngineLock(tmp_path / "store.db")
    first.acquire()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(second.wait())
        await elapse(5)
        assert not waiting.done()

        first.release()

    assert second.is_held
    second.release()


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 0 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(lock_module, "_MOUNTINFO", table)

    with pytest.raises(UsageError, match=r"network file system \(nfs4 at /\).*local disk"):
        EngineLock(tmp_path / "store.db").acquire()

    with EngineLock(tmp_path / "store.db", allow_network=True) as lock:
        assert lock.is_held
