"""
The tutorial's code is run as it stands, so that it cannot rot.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airscrew.engine.testing.conformance import Outcome
from airscrew.idl.phase import Phase

PAGE = Path(__file__).parents[2] / "docs" / "writing-an-executor.md"


@pytest.fixture(scope="module")
def tutorial() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "tutorial"}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_executor_of_the_tutorial_fails_no_check(tutorial: dict[str, Any]) -> None:
    failed = [result for result in tutorial["results"] if result.outcome is Outcome.FAILED]

    assert failed == []


def test_most_checks_apply_to_it(tutorial: dict[str, Any]) -> None:
    skipped = [result.id for result in tutorial["results"] if result.outcome is Outcome.SKIPPED]

    assert len(tutorial["results"]) == len(tutorial["CHECKS"])
    assert len(skipped) <= 6


def test_its_single_job_survives_the_restart(tutorial: dict[str, Any]) -> None:
    assert tutorial["last"] is Phase.SUCCESS
    assert tutorial["phases"][0] is Phase.QUEUED


def test_the_names_that_it_tells_of_exist(tutorial: dict[str, Any]) -> None:
    from airscrew.engine.errors import PermanentError, RetryableError
    from airscrew.engine.executor import AtMostOnce, Findable, StillThere

    text = PAGE.read_text()

    assert all(name.__name__ in text for name in (PermanentError, RetryableError, AtMostOnce, Findable, StillThere))
