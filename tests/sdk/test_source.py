"""Importing a user's file, and choosing and converting what is asked of it: no SDK is needed for these."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airscrew.engine.sdk import values
from airscrew.engine.sdk.model import FoundTask, Variable
from airscrew.engine.sdk.source import Source, import_root, import_source, pick
from airscrew.idl.errors import UsageError


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_outside_of_packages_is_imported_from_its_own_folder(tmp_path: Path) -> None:
    assert import_root(tmp_path / "flow.py") == (tmp_path, "flow")


def test_a_file_in_a_package_is_imported_from_above_the_package(tmp_path: Path) -> None:
    write(tmp_path / "outer" / "__init__.py")
    write(tmp_path / "outer" / "inner" / "__init__.py")

    assert import_root(tmp_path / "outer" / "inner" / "flow.py") == (tmp_path, "outer.inner.flow")
    assert import_root(tmp_path / "outer" / "inner" / "__init__.py") == (tmp_path, "outer.inner")


def test_a_file_and_its_neighbour_are_imported(tmp_path: Path) -> None:
    write(tmp_path / "neighbour_of_flow.py", "VALUE = 3")
    path = write(tmp_path / "flow_with_neighbour.py", "from neighbour_of_flow import VALUE")

    source = import_source(path)

    assert source.module.VALUE == 3
    assert source.environment["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


def test_the_import_path_that_was_given_comes_after_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/given", str(tmp_path), ""]))
    source = import_source(write(tmp_path / "flow_with_path.py"))

    assert source.environment == {"PYTHONPATH": os.pathsep.join([str(tmp_path), "/given"])}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("absent.txt", "", "is no Python file"),
        ("my-flow.py", "", "rename it"),
        ("json.py", "", "has the name of another module, 'json'"),
        ("flow_syntax.py", "def f(:\n  pass", "flow_syntax.py:1 does not compile: SyntaxError"),
        ("flow_raises.py", "x = 1\nx / 0", "flow_raises.py:2 cannot be imported: ZeroDivisionError: division by zero"),
        ("flow_exits.py", "import sys\nsys.exit(3)", "flow_exits.py:2 cannot be imported: SystemExit: 3"),
        ("flow_needs.py", "import no_such_library", "No module named 'no_such_library'; install it"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why_in_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = write(tmp_path / name, text)

    with pytest.raises(UsageError) as caught:
        import_source(path)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("library", "extra"), [("flytekit", "airscrew[flytekit]"), ("flyte", "airscrew[flyte2]")])
def test_a_missing_sdk_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    path = write(tmp_path / f"flow_without_{library}.py", f"import {library}")

    with pytest.raises(UsageError, match="which is not installed") as caught:
        import_source(path)

    assert f"pip install '{extra}'" in str(caught.value)


FOUND = {
    "add": FoundTask(variable="add", name="flow.add", task_type="python-task"),
    "first": FoundTask(variable="first", name="flow.scale", task_type="python-task"),
    "second": FoundTask(variable="second", name="flow.scale", task_type="python-task"),
    "other": FoundTask(variable="other", name="lib.deep.plus", task_type="python-task"),
}


@pytest.mark.parametrize(
    ("wanted", "variable"), [("add", "add"), ("flow.add", "add"), ("plus", "other"), ("second", "second")]
)
def test_a_task_is_picked_by_variable_name_or_last_part(wanted: str, variable: str) -> None:
    source = Source(path=Path("flow.py"), root=Path(), module=sys)

    assert pick(source, FOUND, wanted) == variable


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("nope", "no task 'nope'; its tasks: add, first, second, other"),
        ("scale", "several tasks called 'scale'; its tasks: first, second"),
    ],
)
def test_a_task_that_is_not_there_or_not_alone_is_told_with_what_there_is(wanted: str, says: str) -> None:
    source = Source(path=Path("flow.py"), root=Path(), module=sys)

    with pytest.raises(UsageError, match=says):
        pick(source, FOUND, wanted)


def test_a_type_is_written_without_its_modules() -> None:
    assert values.type_name(int) == "int"
    assert values.type_name(dict[str, list[Path]]) == "dict[str, list[Path]]"
    assert values.type_name(int | None) == "int | None"


def test_inputs_are_checked_by_name() -> None:
    inputs = (Variable(name="x", type="int"), Variable(name="y", type="str", required=False, default="'a'"))

    values.check_names(["x"], inputs)
    with pytest.raises(UsageError, match=r"no input 'z'; the task takes x: int, y: str"):
        values.check_names(["x", "z"], inputs)
    with pytest.raises(UsageError, match=r"input 'x' \(int\) is missing"):
        values.check_names(["y"], inputs)
