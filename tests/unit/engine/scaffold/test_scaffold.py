"""What ``airscrew plugin new`` writes, and what it refuses."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest

from airscrew.engine.scaffold import Kind, Wanted, check_free, plan_package, with_code, write_package
from airscrew.idl.errors import UsageError

SHORTEST, LONGEST = "z", "the-longest-name-there-may-be3"
EVERY = [Wanted(name=name, kind=kind, idl=idl) for name, kind, idl in product((SHORTEST, LONGEST), Kind, (False, True))]
BODY_LINES = 34


def planned(wanted: Wanted) -> dict[str, str]:
    return plan_package(wanted, version="1.2.3", protobuf="5.26.0")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of plugin under the shortest and the longest name, without the code of their messages."""
    folder = tmp_path_factory.mktemp("plugins")
    for wanted in EVERY:
        write_package(folder / f"{wanted.name}-{wanted.kind.value}-{wanted.idl}", planned(wanted))
    return folder


@pytest.mark.parametrize("command", [("check", "-q"), ("format", "-q", "--diff")], ids=["lint", "format"])
def test_what_is_written_needs_no_tidying_whatever_its_name(written: Path, command: tuple[str, ...]) -> None:
    ruff = Path(sys.executable).parent / "ruff"

    done = subprocess.run([ruff, *command, "--no-cache", "."], cwd=written, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_the_body_of_an_executor_has_about_thirty_lines(kind: Kind) -> None:
    wanted = Wanted(name="demo", kind=kind)
    code = planned(wanted)["src/demo/executor.py"]
    last = {Kind.WEBAPI: "DemoPlugin", Kind.KUBERNETES: "DemoPlugin"}.get(kind, "DemoExecutor")
    (body,) = (one for one in ast.parse(code).body if isinstance(one, ast.ClassDef) and one.name == last)

    lines = [line for line in code.splitlines()[body.lineno - 1 : body.end_lineno] if line.strip()]
    told = [line for line in lines if line.strip().startswith('"""')]

    assert len(lines) - len(told) <= BODY_LINES


@pytest.mark.parametrize("wanted", EVERY, ids=str)
def test_its_entry_point_names_its_executor(wanted: Wanted) -> None:
    files = planned(wanted)
    project = tomllib.loads(files["pyproject.toml"])["project"]

    module, _, name = project["entry-points"]["airscrew.executors"][wanted.name].partition(":")

    assert f"class {name}(" in files[f"src/{module.replace('.', '/')}.py"]
    assert project["name"] == wanted.name
    assert any(one.startswith("airscrew") and one.endswith(">=1.2.3") for one in project["dependencies"])


def test_the_code_of_a_message_is_what_protoc_writes() -> None:
    files = with_code(planned(Wanted(name="demo-one", kind=Kind.SYNC, idl=True)))

    assert "message DemoOne" in files["src/demo_one/idl/task.proto"]
    assert "class DemoOne(" in files["src/demo_one/idl/task_pb2.pyi"]
    assert "demo_one/idl/task.proto" in files["src/demo_one/idl/task_pb2.py"]
    assert "python -m grpc_tools.protoc -I src" in files["README.md"]


def test_a_message_that_protoc_does_not_take_is_said_in_one_line() -> None:
    files = planned(Wanted(name="demo", kind=Kind.SYNC, idl=True))
    files["src/demo/idl/task.proto"] = 'syntax = "proto3"; message {'

    with pytest.raises(UsageError, match=r"protoc does not write the code of src/demo/idl/task.proto"):
        with_code(files)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "no name for a plugin"),
        ("Greet", "no name for a plugin"),
        ("../greet", "no name for a plugin"),
        ("a--b", "no name for a plugin"),
        ("1st", "no name for a plugin"),
        ("grüße", "no name for a plugin"),
        ("a" * 31, "30 characters at most"),
        ("json", "a word of Python's own"),
        ("class", "a word of Python's own"),
        ("echo", "an executor called 'echo' is installed already"),
        ("fly-tekit", "a Python package called 'fly_tekit' is installed already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        check_free(name, ["echo"], ["fly_tekit"])

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["greet", "word-count", "word_count", "s3", "echo2"])
def test_a_name_that_can_be_is_taken(name: str) -> None:
    check_free(name, ["echo"], ["flytekit"])


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "greet").mkdir()

    with pytest.raises(UsageError, match=r"greet is there already: give another place by --folder"):
        write_package(tmp_path / "greet", {"a": "b"})

    assert list(tmp_path.rglob("*")) == [tmp_path / "greet"]


def test_a_place_that_is_not_there_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_package(tmp_path / "no" / "greet", {"a": "b"})

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_package(tmp_path / "greet", {"a": "b", "a/b": "c"})

    assert list(tmp_path.iterdir()) == []
