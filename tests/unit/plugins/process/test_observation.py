"""
Looking at an attempt's files and lock.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec
import pytest

from airscrew.plugins.process.executor import log_tail
from airscrew.plugins.process.observation import Claim, ExitStatus, Observation, forbid, has_lock, observe
from airscrew.plugins.process.processes import ProcessName, is_alive, name_of, send
from airscrew.plugins.process.state import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path), "akey")


def test_nothing_is_seen_where_nothing_is(place: Place) -> None:
    assert observe(place) == Observation()


def test_a_half_written_claim_is_none(place: Place) -> None:
    Path(place.claim).write_text('{"key": "ak')

    assert observe(place).claim is None


def test_a_lock_is_seen_and_left_as_it_is(place: Place) -> None:
    with Path(place.lock).open("w") as holder:
        assert not has_lock(place)
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)

        assert has_lock(place)
        assert observe(place).is_locked

    assert not has_lock(place)


def test_a_process_with_the_number_but_not_the_start_of_the_supervisor_is_a_stranger(place: Place) -> None:
    own = name_of(msgspec.json.decode(Path("/proc/self/stat").read_text().split()[0]))
    assert own is not None
    stranger = msgspec.structs.replace(own, start=own.start + 1)
    Path(place.claim).write_bytes(msgspec.json.encode(Claim(supervisor=stranger)))

    assert is_alive(own)
    assert not is_alive(stranger)
    assert not send(stranger, 0)  # type: ignore[arg-type]
    assert not observe(place).is_supervised


def test_nobody_is_no_process() -> None:
    assert not is_alive(ProcessName())
    assert not send(ProcessName(), 0)  # type: ignore[arg-type]


def test_what_is_forbidden_stays_so_and_what_has_begun_cannot_be(place: Place, tmp_path: Path) -> None:
    begun = Place(str(tmp_path / "begun"), "akey")
    Path(begun.directory).mkdir()
    Path(begun.claim).write_bytes(msgspec.json.encode(Claim(key="akey")))

    assert (forbid(place), forbid(place)) == (True, True)
    assert not forbid(begun)
    assert not observe(place).is_locked


def test_a_status_is_read_with_fields_of_later_versions(place: Place) -> None:
    Path(place.status).write_text('{"exit_code": 3, "signal": null, "of_the_future": 1}')

    assert observe(place).status == ExitStatus(exit_code=3)


def test_the_end_of_a_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    log.write_text("first line\nsecond line\nthird line\n")

    assert log_tail(str(log), 25) == "second line\nthird line"
    assert log_tail(str(log), 1000) == "first line\nsecond line\nthird line"
    assert log_tail(str(tmp_path / "missing")) == ""
