"""
What the packaging tests look at: the checkout's files, the parsed sources, the declared dependencies.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("engine", "plugins", "state", "idl")
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of ours, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def imports(self) -> set[str]:
        """The top-level names of what it imports, wherever it does."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                found.update(_first_word(argument) for argument in node.args[:1])
        return found - {""}


def _first_word(node: ast.expr) -> str:
    return node.value.partition(".")[0] if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def modules(*tops: str) -> tuple[Module, ...]:
    """The parsed Python files below these folders, without generated ones."""
    paths = (path for top in tops for path in sorted((ROOT / top).rglob("*.py")))
    texts = ((path, path.read_text("utf8")) for path in paths if not GENERATED.search(path.name))
    return tuple(Module(path, text, ast.parse(text)) for path, text in texts)


MADE_HERE = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist", "site", ".mypy_cache", ".ruff_cache"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """The files that belong to the project: what git tracks, or would; without git, all but what tools make."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    git = shutil.which("git")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    if listed is None or listed.returncode:
        paths = [path for path in ROOT.rglob("*") if not MADE_HERE & set(path.relative_to(ROOT).parts)]
    else:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return tuple(path for path in paths if path.is_file())


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))


def normal(requirement: str) -> str:
    """The normalised name of the distribution that a requirement asks for."""
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert matched, requirement
    return re.sub(r"[-_.]+", "-", matched[0]).lower()


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would make another interpreter find the checkout, or print colours."""
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(
    *command: object, cwd: Path = ROOT, timeout: float = 250, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment that the tests run in; its output is captured, its failure is the caller's."""
    words = [str(word) for word in command]
    own = Path(sys.executable).parent / words[0]
    return subprocess.run(
        [str(own) if own.is_file() else words[0], *words[1:]],
        cwd=cwd,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
