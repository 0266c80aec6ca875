from __future__ import annotations

from pathlib import Path

import pytest

from airscrew.engine.dataplane import delete_folders


def test_an_attempt_without_a_folder_does_not_cost_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "here" / "kept"
    kept.parent.mkdir()
    kept.touch()
    monkeypatch.chdir(kept.parent)

    delete_folders([Path()])

    assert kept.exists()


def test_the_folders_of_attempts_are_deleted_with_all_that_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "attempt"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").touch()

    delete_folders([folder, tmp_path / "never there"])

    assert list(tmp_path.iterdir()) == []
