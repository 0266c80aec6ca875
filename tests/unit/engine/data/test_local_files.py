from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.data import local_files
from airscrew.engine.data.errors import FileMissingError, LocationError, SizeExceededError, StorageUnavailableError


def test_a_write_makes_the_folders_on_the_way(tmp_path: Path) -> None:
    uri = (tmp_path / "a" / "b" / "c.pb").as_uri()

    local_files.write(uri, b"x", durable=True)

    assert (tmp_path / "a" / "b" / "c.pb").read_bytes() == b"x"


def test_a_write_replaces_what_lay_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = str(tmp_path / "f")

    local_files.write(path, b"long before", durable=False)
    local_files.write(path, b"new", durable=True)

    assert local_files.read(path, 100) == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local_files.os, "fsync", full)
    with pytest.raises(StorageUnavailableError, match="No space left"):
        local_files.write(str(path), b"new", durable=True)

    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_file_that_is_not_there_is_missing_and_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError) as caught:
        local_files.read(str(tmp_path / "none"), 10)

    assert isinstance(caught.value, FileNotFoundError)
    assert "none" in str(caught.value)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")

    assert local_files.read(str(path), 5) == b"12345"
    with pytest.raises(SizeExceededError, match=r"has 5 bytes and the limit is 4") as caught:
        local_files.read(str(path), 4)

    assert caught.value.code == "OutputSizeExceeded"


def test_a_listing_has_the_files_right_below_and_no_unfinished_ones(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "deep").touch()
    (tmp_path / ".1.part").touch()
    (tmp_path / "b c.pb").write_bytes(b"22")
    (tmp_path / "a.pb").write_bytes(b"1")

    found = local_files.entries(tmp_path.as_uri() + "/")

    assert [(entry.name, entry.size) for entry in found] == [("a.pb", 1), ("b c.pb", 2)]
    assert local_files.read(found[1].uri, 10) == b"22"


def test_a_folder_that_is_not_there_lists_nothing(tmp_path: Path) -> None:
    assert local_files.entries(str(tmp_path / "none")) == []


def test_deleting_twice_is_deleting(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()

    local_files.delete(str(path))
    local_files.delete(str(path))

    assert not path.exists()


def test_a_folder_in_the_place_of_a_file_is_a_location_error(tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="directory"):
        local_files.read(str(tmp_path), 10)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/a b/c%20d", "/a b/c%20d"),
        ("file:///a%20b/c", "/a b/c"),
        ("file:/a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("FILE:///a", "/a"),
    ],
)
def test_paths_stand_for_themselves_and_file_uris_are_percent_encoded(uri: str, path: str) -> None:
    assert str(local_files.local_path(uri)) == path


@pytest.mark.parametrize("uri", ["file://elsewhere/a", "file:a", "a/b", "file:///a%00b", ""])
def test_what_names_no_file_of_this_machine_is_refused(uri: str) -> None:
    with pytest.raises(LocationError):
        local_files.local_path(uri)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1))
def test_every_path_is_found_again_by_its_uri(name: str) -> None:
    path = Path("/base") / name.lstrip("/")

    assert local_files.local_path(path.as_uri()) == path
