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
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tutorial() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "tutorial"}
    for block in BLOCK.findall(PAGE.read_text()):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.mark.parametrize("results", ["sensor_results", "job_results"])
def test_no_executor_of_the_tutorial_fails_a_check(tutorial: dict[str, Any], results: str) -> None:
    failed = [result for result in tutorial[results] if result.outcome is Outcome.FAILED]

    assert failed == []
    assert len(tutorial[results]) == len(tutorial["CHECKS"])


def test_most_checks_apply_to_the_jobs(tutorial: dict[str, Any]) -> None:
    skipped = [result.id for result in tutorial["job_results"] if result.outcome is Outcome.SKIPPED]

    assert len(skipped) <= 6


def test_the_first_executor_has_thirty_lines() -> None:
    first = BLOCK.findall(PAGE.read_text())[0]

    assert len(first.splitlines()) <= 32


def test_its_single_job_survives_the_restart(tutorial: dict[str, Any]) -> None:
    assert tutorial["last"] is Phase.SUCCESS
    assert tutorial["phases"][0] is Phase.QUEUED


def test_the_names_that_it_tells_of_exist(tutorial: dict[str, Any]) -> None:
    from airscrew.engine.errors import PermanentError, RetryableError
    from airscrew.engine.executor import AtMostOnce, Findable, StillThere

    text = PAGE.read_text()

    assert all(name.__name__ in text for name in (PermanentError, RetryableError, AtMostOnce, Findable, StillThere))
