"""
Makes ``docs/reached.md``: each outside system that has a way in, how it is reached, and what tests have shown of it.

    python -m tests.reached     take in what the last runs of tests have written, and make the page anew

The results lie in ``tests/data/reached.jsonl``, a line for each test and case, and the page is made from them alone. A
result of a test that has not run this time stays; that of a test that is gone, goes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tests.support.reached import CASES, FOLDER, HOWS, ROOT, Line, read, shown

PAGE = ROOT / "docs" / "reached.md"
RESULTS = ROOT / "tests" / "data" / "reached.jsonl"

INTRODUCTION = """\
# Systems that are reached

Made by `python -m tests.reached` from the results of the tests; do not edit.

*Stock unmodified* is the connector that flytekit or Flyte 2 ships, as it is published, run by the executor
[`connector`](connectors.md); *own executor* is one of ours; *host patched* is a stock connector in a process where
something of its host is replaced, shown below. The services are real HTTP services (or SSH servers) on loopback,
written from the vendors' public descriptions, which keep a log of the jobs that they made. *Requests checked against*
names what the vendor publishes that each request is compared with.

A case is `yes` when a test shows it, and has a number when what it shows is less: see below. `n/a`: there is no such
case there, and the number says why. Empty: no test.
"""

Key = tuple[str, str, str]


def key_of(line: Line) -> Key:
    return line.system, line.how, line.by


def order_of(line: Line) -> tuple[object, ...]:
    return *key_of(line), CASES.index(line.case), line.test


def merge(old: Iterable[Line], new: Iterable[Line], marked: Mapping[str, object]) -> list[Line]:
    """Take in what is new: all that a test said before goes when it has run again, or is no longer marked."""
    fresh = {(line.test, line.case): line for line in new}
    again = {line.test for line in fresh.values()}
    kept = [line for line in old if line.test not in again]
    return sorted((line for line in [*kept, *fresh.values()] if line.function in marked), key=order_of)


def marked_tests(folder: Path) -> dict[str, set[str]]:
    """Find the tests that carry ``shows``, without running anything: ``file::function``, and the cases there."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text()
        if "mark.shows(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                cases = {case for decorator in node.decorator_list for case in _cases(decorator)}
                if cases:
                    found[f"{path.relative_to(ROOT)}::{node.name}"] = cases
    return found


def _cases(decorator: ast.expr) -> Iterator[str]:
    """Give the cases of each ``shows`` in a decorator, those of parameters as well."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.shows"):
            yield from (str(value.value) for value in node.args if isinstance(value, ast.Constant))


def render(lines: Sequence[Line]) -> str:
    """Make the page."""
    notes: dict[tuple[str, ...], dict[str, None]] = {}
    for line in lines:
        if line.limit or line.absent:
            notes.setdefault(_note(line), {})[line.case] = None
    numbers = {note: number for number, note in enumerate(notes, 1)}
    heads = ["System", "How", "By", *CASES, "Requests checked against"]
    rows = [f"| {' | '.join(heads)} |", f"|{'--|' * len(heads)}"]
    for key, group in groupby(lines, key_of):
        rows.append(_row(key, list(group), numbers))
    below = [f"{numbers[note]}. {note[0]} ({note[2]}), {', '.join(cases)}: {note[3]}" for note, cases in notes.items()]
    parts = [INTRODUCTION, "\n".join(rows), "", "## What is less", "", "\n".join(below) or "Nothing.", ""]
    return "\n".join([*parts, *_patches(lines), *_tests(lines)])


def _note(line: Line) -> tuple[str, ...]:
    return *key_of(line), line.limit or line.absent


def _row(key: Key, lines: Sequence[Line], numbers: Mapping[tuple[str, ...], int]) -> str:
    cells = []
    for case in CASES:
        those = [line for line in lines if line.case == case]
        marks = sorted({numbers[_note(line)] for line in those if line.limit or line.absent})
        told = ", ".join(f"({mark})" for mark in marks)
        if not all(line.passed for line in those):
            cells.append("**FAILED**")
        elif marks:
            cells.append(f"n/a {told}" if all(line.absent for line in those) else told)
        else:
            cells.append("yes" if those else "")
    checked = "; ".join(dict.fromkeys(line.checked for line in lines))
    system, how, by = key
    return f"| {' | '.join([system, HOWS[how], by, *cells, checked])} |"


def _patches(lines: Sequence[Line]) -> list[str]:
    found = dict.fromkeys((line.system, line.by, line.patch) for line in lines if line.patch)
    parts = ["## Patches", ""] if found else []
    for system, by, patch in found:
        parts += [f"{system} ({by}):", "", "```diff", patch.strip("\n"), "```", ""]
    return parts


def _tests(lines: Sequence[Line]) -> list[str]:
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        found.setdefault(f"{line.system}, {HOWS[line.how]}", {})[f"`{line.test.partition('::')[0]}`"] = None
    return ["## Tests", "", *(f"- {name}: {', '.join(files)}" for name, files in found.items()), ""]


def main() -> int:
    """Take in the results of the last runs, and write the page."""
    old = read(RESULTS) if RESULTS.exists() else []
    files = sorted(FOLDER.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    lines = merge(old, [line for path in files for line in read(path)], marked_tests(ROOT / "tests"))
    RESULTS.write_text("".join(f"{shown(line)}\n" for line in lines))
    PAGE.write_text(render(lines))
    for path in files:
        path.unlink()
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(lines)} results\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
