"""
Python environments of their own for packages that do not go with ours, made once by ``uv`` and kept.

What is installed is in ``<name>.txt`` beside this, each package with its version; templates are written there as well,
by the SDK's own tasks (``author_<name>.py``).
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import uv
from tests.support.go_modules import kept_folder

from airscrew.idl.template import TaskTemplate, load_one

HERE = Path(__file__).parent
INSTALL_SECONDS = 900.0


def python_of(name: str) -> Path:
    """Return the interpreter of an environment, which is made if nobody did before."""
    wanted = HERE / f"{name}.txt"
    folder = kept_folder(f"python-{name}", wanted.read_bytes(), sys.version.encode())
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers makes it, the others wait
        if not (folder / "made").exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _run(uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder / "venv"))
            packages = (
                "--no-deps",
                "-r",
                str(wanted),
            )  # the list is whole, but for what a package wants and does not need
            _run(uv.find_uv_bin(), "pip", "install", "-q", "--python", str(python), *packages)
            (folder / "made").touch()
    return python


def make_all() -> str:
    """Make every environment that is not there yet; says which cannot be made, and why."""
    troubles: list[str] = []
    for wanted in sorted(HERE.glob("*.txt")):
        try:
            python_of(wanted.stem)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            troubles.append(f"{wanted.stem}: {error}")
    return "; ".join(troubles)


def templates_of(name: str) -> dict[str, TaskTemplate]:
    """Return the tasks of ``author_<name>.py``, as the SDK in its environment serializes them."""
    return templates_by(name, HERE / f"author_{name}.py")


def templates_by(name: str, author: Path, *sources: Path) -> dict[str, TaskTemplate]:
    """Return the tasks that a program writes into a folder, run in an environment; sources are what it reads."""
    python = python_of(name)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (author, *sources))).hexdigest()[:16]
    folder = python.parents[2] / f"templates-{digest}"
    with (python.parents[2] / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            _run(str(python), str(author), str(draft))
            draft.rename(folder)
    return {path.stem: load_one(path.read_bytes()) for path in sorted(folder.glob("*.pb"))}


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=INSTALL_SECONDS
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3000:]}"
