"""
Programs that the tests need and no registry hands out: built from Go modules, once, and kept.

A module lies in ``tests/cluster/<name>``. What is built from it is kept in ``~/.cache/airscrew`` under the sum of the
module, so that only the first run on a machine builds it. One binary may be several programs: which one, it is told by
the name that it is called by.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

MODULES = Path(__file__).resolve().parent.parent / "cluster"
BUILD_SECONDS = 2400.0


class CannotBuildError(Exception):
    """There is no way to that program here; the message says what to install."""


def cache_folder() -> Path:
    """Say where what was made is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airscrew"


def kept_folder(name: str, *sources: bytes) -> Path:
    """Name the folder of something that is made of these sources."""
    return cache_folder() / f"{name}-{hashlib.sha256(b''.join(sources)).hexdigest()[:16]}"


def build(module: str, *, programs: Sequence[str] = (), package: str = ".", flags: str = "") -> Path:
    """
    Return the folder with a module's programs, built if nobody did before.

    Args:
        module: The folder's name in ``tests/cluster``.
        programs: Names that the binary is called by; its module's name for none.
        package: What is built; a tool of the module has a path of its own.
        flags: More for the linker.

    Raises:
        CannotBuildError: Says why.
    """
    sources = MODULES / module
    files = [file for name in ("go.sum", "main.go") if (file := sources / name).exists()]
    folder = kept_folder(module, *(file.read_bytes() for file in files), flags.encode())
    names = programs or (module,)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers builds, the others wait
        binary = folder / f"{module}.bin"
        if not binary.exists():
            _build(sources, binary, package, flags)
    for name in names:
        with suppress(FileExistsError):
            (folder / name).symlink_to(binary.name)
    return folder


def module_folder(module: str, wanted: str) -> Path:
    """
    Return the folder of a module that one in ``tests/cluster`` names: for files that lie in it, and are not built.

    Raises:
        CannotBuildError: Says why.
    """
    go = shutil.which("go")
    if go is None:
        raise CannotBuildError(f"{wanted} is a Go module, and there is no go: install Go")
    command = [go, "mod", "download", "-json", wanted]
    done = subprocess.run(
        command, cwd=MODULES / module, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
    )
    if done.returncode:
        raise CannotBuildError(f"{wanted} cannot be had: {(done.stderr or done.stdout).strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _build(sources: Path, binary: Path, package: str, flags: str) -> None:
    go = shutil.which("go")
    if go is None:
        version = (sources / "go.mod").read_text().split("\ngo ", 1)[1].split()[0]
        raise CannotBuildError(f"{sources.name} is built with Go, and there is no go: install Go {version} or newer")
    made = binary.with_suffix(".new")
    command = [go, "build", "-trimpath", "-ldflags", f"-s -w {flags}".strip(), "-o", str(made), package]
    done = run(command, cwd=sources, env={**os.environ, "CGO_ENABLED": "0"}, seconds=BUILD_SECONDS)
    if done:
        raise CannotBuildError(f"go build of {sources.name} failed: {done}")
    made.rename(binary)


def run(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, seconds: float = 600
) -> str:
    """Run a command and return its last words when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
