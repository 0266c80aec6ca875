"""
What is shown of each outside system, written down by the tests that show it: ``build/reached``, a line of JSON each.

    pytestmark = pytest.mark.reaches("bigquery", how="stock", by="flytekitplugins-bigquery", checked="...")

    @pytest.mark.shows("kill", "restart")
    async def test_...

``reaches`` says which system a test talks to and how, most often for a whole module; ``shows`` which cases it shows.
``python -m tests.reached`` makes ``docs/reached.md`` of the lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "reached"

HOWS: Mapping[str, str] = {"stock": "stock unmodified", "own": "own executor", "patched": "host patched"}
CASES = (
    "start",
    "poll",
    "succeed",
    "user failure",
    "system failure",
    "kill",
    "restart",
    "outage",
    "garbage",
    "lost reply",
)


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What one test shows of one case of one system.

    Attributes:
        system: ``bigquery``, say.
        how: How it is reached, one of ``HOWS``.
        by: The package, class or plugin that talks to it.
        checked: What the vendor publishes that requests are checked against.
        case: One of ``CASES``.
        limit: What cannot be had there, shown by the test; empty when all is as it should be.
        absent: Why there is no such case there; the test is one by which that can be seen.
        patch: The patch of the host, with ``patched``.
        test: ``file::function``, with parameters.
        passed: Whether the test passed.
    """

    system: str
    how: str
    by: str = ""
    checked: str = "unchecked"
    case: str
    limit: str = ""
    absent: str = ""
    patch: str = ""
    test: str
    passed: bool = True

    @property
    def function(self) -> str:
        """The test without its parameters."""
        return self.test.partition("[")[0]


def pytest_configure(config: pytest.Config) -> None:
    marks = (
        "reaches(system, *, how, by, checked, patch, limits): which outside system is talked to, and how; inner ones "
        "add; limits says for each case what cannot be had",
        "shows(*cases, limit=..., absent=...): which cases the test shows; with a limit, what cannot be had; or why "
        "there are no such cases",
    )
    for each in marks:
        config.addinivalue_line("markers", each)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        try:
            list(lines_of(item, passed=True))
        except (TypeError, ValueError, KeyError) as error:
            raise pytest.UsageError(f"{item.nodeid}: reaches, shows: {error}") from None


def lines_of(item: pytest.Item, *, passed: bool) -> Iterator[Line]:
    """
    Say what a test shows, by its marks.

    Raises:
        ValueError: A mark says what it cannot.
    """
    told: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("reaches"))):  # the innermost has the last word
        told |= {"system": mark.args[0]} if mark.args else {}
        told |= mark.kwargs
    limits = told.pop("limits", {})
    for mark in item.iter_markers("shows"):
        for case in mark.args:
            limit = ({} if "absent" in mark.kwargs else {"limit": limits.get(case, "")}) | mark.kwargs
            line = Line(**told, **limit, case=case, test=item.nodeid, passed=passed)
            if line.case not in CASES:
                raise ValueError(f"there is no case {line.case!r}: there are {', '.join(CASES)}")
            if line.how not in HOWS:
                raise ValueError(f"there is no way {line.how!r}: there are {', '.join(HOWS)}")
            if (line.how == "patched") != bool(line.patch):
                raise ValueError("a patch belongs to how='patched', and to nothing else")
            yield line


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call" or (call.when == "setup" and call.excinfo is not None):
        skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
        if not skipped:
            record(list(lines_of(item, passed=call.excinfo is None)))
    return report


def record(lines: list[Line], folder: Path | None = None) -> None:
    """Write lines down; each process of a run has a file of its own."""
    if not lines:
        return
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{os.getpid()}.jsonl").open("a") as file:
        file.writelines(shown(line) + "\n" for line in lines)


def read(path: Path) -> list[Line]:
    """Read the lines of a file."""
    return [msgspec.convert(json.loads(text), Line) for text in path.read_text().splitlines() if text]


def shown(line: Line) -> str:
    """Show a line as the files have it; what is as always is left out."""
    told = msgspec.to_builtins(line)
    return json.dumps({name: value for name, value in told.items() if value != ""})
