"""
The page's code is run as it stands, so that it cannot rot.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.literal_maps import literals

from airscrew.engine.executor import OutputsAt
from airscrew.engine.testing.conformance import CHECKS, Outcome
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import make_template
from airscrew.plugins import webapi

PAGE = Path(__file__).parents[2] / "docs" / "external-jobs.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCK.findall(PAGE.read_text()):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_plugin_of_the_page_fails_no_check_and_most_apply(page: dict[str, Any]) -> None:
    results = page["render_results"]

    assert [result for result in results if result.outcome is Outcome.FAILED] == []
    assert len(results) == len(CHECKS)
    assert sum(result.outcome is Outcome.SKIPPED for result in results) <= 6


def test_the_call_of_the_page_answers(page: dict[str, Any]) -> None:
    async def run() -> Any:
        async with ExecutorEnvironment(page["Shout"]) as environment:
            template = make_template("shout", inputs={"text": str}, outputs={"o0": str})
            attempt = environment.attempt(template, literals(text=("hi", str)))
            status = await attempt.run()
            assert isinstance(status.outputs, OutputsAt)
            return attempt.data.files[f"{status.outputs.prefix}/outputs.pb"]

    assert b"HI" in asyncio.run(run())


def test_the_names_that_the_page_tells_of_exist() -> None:
    told = set(re.findall(r"`(\w+Error)`", PAGE.read_text())) - {"OSError", "TimeoutError", "ConnectionRefusedError"}

    assert told
    assert all(hasattr(webapi, name) for name in told)
