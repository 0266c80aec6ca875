"""A user at a terminal: the real ``airscrew``, with a home of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.user import User


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with an empty home; whatever is left of what they started is ended, by its own pid."""
    someone = User(tmp_path)
    try:
        yield someone
    finally:
        someone.leave()
