"""
The layers hold, and a breach of them would be found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packaging.tree import PARTS, ROOT, run

# The start of a contract's name, a module of ours, and the import that must never be in it.
BREACHES = [
    ("The parts", "airscrew.engine.workqueue", "airscrew.plugins.echo"),
    ("The parts", "airscrew.state.keys", "airscrew.engine.errors"),
    ("The parts", "airscrew.idl.wire", "airscrew.state.store"),
    ("The engine", "airscrew.engine.clock", "airscrew.engine.core"),
    ("The engine", "airscrew.engine.controller.live", "airscrew.engine.dataplane"),
    ("The state part", "airscrew.state.memory", "airscrew.state.sqlite.store"),
    ("The nouns", "airscrew.idl.errors", "airscrew.idl.ids"),
    ("Executors", "airscrew.plugins.noop", "airscrew.plugins.echo"),
    ("Plugins", "airscrew.plugins.sleep", "airscrew.engine.controller.live"),
    ("The state machine", "airscrew.engine.machine.decide", "time"),
    ("The state machine", "airscrew.idl.phase", "socket"),
    ("Each third-party client", "airscrew.engine.service.reader", "sqlite3"),
    ("Each third-party client", "airscrew.plugins.timer", "kubernetes"),
]
CIRCLE = ("airscrew.engine.config.reading", "airscrew.engine.config.loading")
NEW_MODULE = "airscrew.engine.without_a_layer"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("lint-imports", "--no-cache", cwd=folder, PYTHONPATH=":".join(str(folder / part) for part in PARTS))


def file_of(module: str, folder: Path) -> Path:
    """The file of a module below a folder with our four portions."""
    path = folder / module.split(".")[1] / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says, contract by contract, of a copy of the sources with every breach planted at once."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for part in PARTS:
        shutil.copytree(
            ROOT / part / "airscrew", folder / part / "airscrew", ignore=shutil.ignore_patterns("__pycache__")
        )
    for module, imported in [*(breach[1:] for breach in BREACHES), CIRCLE]:
        with file_of(module, folder).open("a", encoding="utf8") as source:
            source.write(f"\nimport {imported}\n")
    file_of(NEW_MODULE, folder).write_text('"""Nobody said where this belongs."""\n')
    report = lint(folder).stdout.partition("Broken contracts")[2]
    pieces = re.split(r"^((?:\w.*\n)+)-+\n", report, flags=re.MULTILINE)
    return {" ".join(name.split()): text for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def told_of(broken: dict[str, str], contract: str) -> str:
    (text,) = (text for name, text in broken.items() if name.startswith(f"{contract} "))
    return re.sub(r"\s+", " ", text)


def test_the_layers_hold() -> None:
    done = run("lint-imports", "--no-cache")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach[1]} imports {breach[2]}")
def test_a_breach_is_found(broken: dict[str, str], breach: tuple[str, str, str]) -> None:
    contract, module, imported = breach

    assert f"{module} -> {imported}" in told_of(broken, contract)


def test_modules_that_import_one_another_are_found(broken: dict[str, str]) -> None:
    assert "No cycles are allowed in airscrew.engine.config." in told_of(broken, "No cycles")


def test_a_module_without_a_layer_is_found(broken: dict[str, str]) -> None:
    assert "without_a_layer" in told_of(broken, "The engine")
