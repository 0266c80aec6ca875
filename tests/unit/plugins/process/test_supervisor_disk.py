"""
A full disk below the supervisor: what it has to write down waits for room, and is never there in part.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from airscrew.plugins.process import supervisor


def test_the_end_of_a_task_is_written_down_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DISK_PAUSE", 0.0)
    refusals = [errno.ENOSPC, errno.EDQUOT, errno.ENOSPC]

    def write() -> None:
        if refusals:
            raise OSError(refusals.pop(), "no room")
        supervisor.replace_json(f"{tmp_path}/status.json", {"exit_code": 0})

    supervisor.insist(write)

    assert json.loads((tmp_path / "status.json").read_text()) == {"exit_code": 0}


def test_a_folder_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        supervisor.insist(lambda: supervisor.replace_json(f"{tmp_path}/gone/status.json", {}))


def test_a_write_that_was_taken_in_part_goes_on_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))

    supervisor.replace_json(f"{tmp_path}/status.json", {"exit_code": 0})

    assert json.loads((tmp_path / "status.json").read_text()) == {"exit_code": 0}
