"""What once failed does not fail any more: a file each, below ``corpus/<target>``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.target import CORPUS, load, names


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_once_failed_does_not(file: Path) -> None:
    load(file.parent.name).check(file.read_bytes())


def test_every_folder_of_the_corpus_is_of_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} <= set(names())
