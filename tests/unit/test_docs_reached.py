"""
The page of the systems that are reached is made of results, and those are of tests that are there and pass.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import reached
from tests.support.reached import CASES, Line, lines_of, read, record

pytest_plugins = ["pytester"]

KILL = Line(system="bigquery", how="stock", by="a package", case="kill", test="tests/x.py::test_a")


def test_the_page_is_made_of_the_results() -> None:
    assert reached.PAGE.read_text() == reached.render(read(reached.RESULTS)), "run: python -m tests.reached"


def test_the_results_are_in_order_and_all_well() -> None:
    lines = read(reached.RESULTS)

    assert lines == sorted(lines, key=reached.order_of)
    assert [line for line in lines if not line.passed] == []


def test_each_test_that_is_marked_has_its_results_and_no_other_test_has() -> None:
    told: dict[str, set[str]] = {}
    for line in read(reached.RESULTS):
        told.setdefault(line.function, set()).add(line.case)

    assert told == reached.marked_tests(reached.ROOT / "tests"), "run the tests, then: python -m tests.reached"


def test_a_row_tells_what_is_shown_what_is_less_and_what_failed() -> None:
    less = Line(system="bigquery", how="stock", by="a package", case="lost reply", limit="a twin", test="t::test_b")
    failed = Line(system="bigquery", how="stock", by="a package", case="start", passed=False, test="t::test_c")

    page = reached.render(sorted([KILL, less, failed], key=reached.order_of))

    cells = {"start": "**FAILED**", "kill": "yes", "lost reply": "(1)"}
    row = " | ".join(
        ["bigquery", "stock unmodified", "a package", *(cells.get(case, "") for case in CASES), "unchecked"]
    )
    assert f"| {row} |" in page
    assert "1. bigquery (a package), lost reply: a twin" in page


def test_a_case_that_there_is_not_is_told_with_why_and_once_for_all_cases() -> None:
    lines = [
        Line(system="chatgpt", how="stock", by="a package", case=case, absent="one call", test="t::test_b")
        for case in ("poll", "kill")
    ]

    page = reached.render(lines)

    assert "| n/a (1) |" in page
    assert "1. chatgpt (a package), poll, kill: one call" in page


def test_a_patch_is_shown() -> None:
    page = reached.render([Line(system="slurm", how="patched", case="kill", patch="+import logging", test="t::test_d")])

    assert "host patched" in page
    assert "```diff\n+import logging\n```" in page


def test_a_test_that_ran_again_replaces_its_results_and_one_that_is_gone_takes_them_along() -> None:
    marked = {"tests/x.py::test_a": {"kill"}}
    again = Line(system="bigquery", how="stock", by="a package", case="poll", test="tests/x.py::test_a")
    gone = Line(system="bigquery", how="stock", case="kill", test="tests/x.py::test_gone")

    assert reached.merge([KILL, gone], [], marked) == [KILL]
    assert reached.merge([KILL], [again], marked) == [again]


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    record([KILL], tmp_path)

    (file,) = tmp_path.iterdir()
    assert read(file) == [KILL]
    assert "limit" not in json.loads(file.read_text())


MARKED = """
import pytest
pytestmark = pytest.mark.reaches("hive", how="own", by="qubole")

@pytest.mark.shows("start", "poll")
def test_well(): pass

@pytest.mark.shows("kill", limit="it goes on")
@pytest.mark.reaches(checked="a model")
def test_bad(): raise ValueError
"""


def run_inside(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    pytester.makeconftest(
        f"from pathlib import Path\nfrom tests.support import reached\n"
        f"reached.FOLDER = Path({str(pytester.path / 'out')!r})\npytest_plugins = ['tests.support.reached']"
    )
    pytester.makepyfile(text)
    return pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:asyncio")


def test_marked_tests_write_their_lines(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(reached.ROOT))

    run_inside(pytester, MARKED).assert_outcomes(passed=1, failed=1)

    (file,) = (pytester.path / "out").iterdir()
    told = {(line.case, line.passed, line.limit, line.checked) for line in read(file)}
    assert told == {
        ("start", True, "", "unchecked"),
        ("poll", True, "", "unchecked"),
        ("kill", False, "it goes on", "a model"),
    }


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"start"', '"begin"', "there is no case 'begin'"),
        ('how="own"', 'how="luck"', "there is no way 'luck'"),
        ('how="own"', 'how="patched"', "a patch belongs to"),
        ('how="own", ', "", "how"),
    ],
)
def test_a_mark_that_says_what_it_cannot_is_refused(
    pytester: pytest.Pytester, old: str, new: str, complaint: str
) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")

    item = pytester.getitem(MARKED.replace(old, new), "test_well")

    with pytest.raises((TypeError, ValueError), match=complaint):
        list(lines_of(item, passed=True))
