"""
The command line starts without its heavy libraries: each is imported by the first command that needs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.packaging.tree import run

HEAVY = ("grpc", "google.protobuf", "flyteidl", "yaml", "obstore", "aiohttp", "rich", "msgspec", "asyncio", "tenacity")

PROGRAM = """
import json, sys
from airscrew.engine.cli import main
sys.argv = ["airscrew", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(home: Path, *arguments: str) -> set[str]:
    """Return the modules that a new interpreter has imported when the command is over."""
    done = run(sys.executable, "-c", PROGRAM, *arguments, AIRSCREW_HOME=str(home))
    code, names = json.loads(done.stdout.splitlines()[-1])
    assert not code, done.stderr
    return set(names)


def heavy(names: set[str]) -> set[str]:
    return {name for name in names if name in HEAVY}


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["run", "--help"]], ids=" ".join)
def test_help_and_version_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    names = loaded_by(tmp_path, *arguments)

    assert heavy(names) & {"grpc", "google.protobuf", "flyteidl", "yaml", "obstore", "aiohttp", "rich"} == set()


def test_help_of_the_root_loads_none_of_the_engine(tmp_path: Path) -> None:
    names = loaded_by(tmp_path, "--help")

    own = {name for name in names if name.startswith("airscrew.")}
    assert {name for name in own if not name.startswith("airscrew.engine.cli")} <= {"airscrew.engine", "airscrew.idl"}
    assert heavy(names) == set()


def test_a_list_without_state_loads_no_wire_library(tmp_path: Path) -> None:
    names = loaded_by(tmp_path, "list")

    assert heavy(names) & {"grpc", "flyteidl", "obstore", "aiohttp"} == set()


def test_help_writes_nothing(tmp_path: Path) -> None:
    loaded_by(tmp_path / "home", "--help")

    assert not (tmp_path / "home").exists()
