"""
The layers hold, and a breach of them would be found.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.tree import PARTS, ROOT, run

# A breach of each kind: a file of ours, and the line that must never be in it.
BREACHES = {
    "the engine imports a plugin": ("engine/airscrew/engine/workqueue.py", "import airscrew.plugins.echo"),
    "the state imports the engine": ("state/airscrew/state/keys.py", "import airscrew.engine.errors"),
    "a lower layer of the engine imports a higher one": ("engine/airscrew/engine/clock.py", "import airscrew.engine.core"),
    "a backend imports another": ("state/airscrew/state/memory.py", "import airscrew.state.sqlite.store"),
    "a plugin imports another": ("plugins/airscrew/plugins/noop.py", "import airscrew.plugins.echo"),
    "a plugin reaches into the controller": ("plugins/airscrew/plugins/echo.py", "import airscrew.engine.controller.live"),
    "the state machine reads a clock": ("engine/airscrew/engine/machine/decide.py", "import time"),
    "the nouns do I/O": ("idl/airscrew/idl/ids.py", "import socket"),
    "sqlite has a second door": ("engine/airscrew/engine/service/reader.py", "import sqlite3"),
    "modules import one another in a circle": (
        "engine/airscrew/engine/config/reading.py",
        "import airscrew.engine.config.loading",
    ),
}
NEW_MODULE = "engine/airscrew/engine/without_a_layer.py"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("lint-imports", "--no-cache", cwd=folder, PYTHONPATH=":".join(str(folder / part) for part in PARTS))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for part in PARTS:
        shutil.copytree(ROOT / part / "airscrew", folder / part / "airscrew", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_layers_hold() -> None:
    done = run("lint-imports", "--no-cache")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(copy: Path, breach: str) -> None:
    name, line = BREACHES[breach]
    path = copy / name
    sound = path.read_text("utf8")

    path.write_text(f"{sound}\n{line}\n", "utf8")
    try:
        done = lint(copy)
    finally:
        path.write_text(sound, "utf8")

    assert done.returncode == 1, done.stdout
    assert "broken" in done.stdout


def test_a_module_without_a_layer_is_found(copy: Path) -> None:
    path = copy / NEW_MODULE

    path.write_text('"""Nobody said where this belongs."""\n', "utf8")
    try:
        done = lint(copy)
    finally:
        path.unlink()

    assert done.returncode == 1, done.stdout
    assert "without_a_layer" in done.stdout


def test_the_copy_is_sound_when_nothing_is_planted(copy: Path) -> None:
    done = lint(copy)

    assert done.returncode == 0, done.stdout
