"""The root: names, help, and what is imported on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from tests.unit.engine.cli.conftest import Result

from airscrew.engine.cli.app import App
from airscrew.engine.cli.root import COMMANDS, LazyGroup, cli

Airscrew = Callable[..., Result]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_of_a_command_is_its_own(name: str, app: App) -> None:
    assert isinstance(cli, LazyGroup)
    command = cli.get_command(click.Context(cli, obj=app), name)

    assert command is not None
    assert command.name == name
    assert (command.help or "").strip().splitlines()[0] == COMMANDS[name][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(airscrew: Airscrew, name: str) -> None:
    result = airscrew(name, "--help")

    assert result.code == 0
    assert result.out.startswith(f"Usage: airscrew {name}")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]], ids=" ".join)
def test_examples_are_shown_a_line_each(airscrew: Airscrew, arguments: list[str]) -> None:
    lines = [line.strip() for line in airscrew(*arguments).out.splitlines()]

    examples = [line for line in lines if line.startswith("airscrew ")]
    assert len(examples) == 3
    assert not any("\\b" in line for line in lines)


@pytest.mark.parametrize("word", ["lsit", "lis"])
def test_an_unknown_command_names_the_nearest(airscrew: Airscrew, word: str) -> None:
    result = airscrew(word)

    assert (result.code, result.out) == (2, "")
    assert result.err == f"airscrew: error: no command is called {word!r}; did you mean 'list'?\n"


def test_a_wrong_option_is_one_line(airscrew: Airscrew) -> None:
    result = airscrew("list", "--nonsense")

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("airscrew: error: ")


def test_the_version_is_that_of_the_distribution(airscrew: Airscrew) -> None:
    assert airscrew("version").out.startswith(f"airscrew {version('airscrew')} (Python 3.")


def test_settings_that_are_wrong_are_a_usage_error(airscrew: Airscrew, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("retention: {keap: 3}\n")

    result = airscrew("list", "--config", tmp_path / "c.yaml")

    assert result.code == 2
    assert "unknown key 'retention.keap'; did you mean 'keep'?" in result.err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from airscrew.engine.cli.root import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    loaded = set(done.stderr.split())
    assert not loaded & {"asyncio", "grpc", "google.protobuf", "flyteidl", "yaml", "rich", "obstore", "msgspec"}
