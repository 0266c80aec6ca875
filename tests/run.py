"""
Everything that `make test` does, in order: checks, then tests. Ends with pytest's closing line.

    python -m tests.run            everything
    python -m tests.run --checks   format, lint, types, layers, documentation
    python -m tests.run --unit     the unit tests
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

WORKERS = "2"
"""As many as cores: three take 29 minutes in the place of 33, and leave each test less of a slow machine."""

CHECKS = [
    ("format", ["ruff", "format", "--check", "-q", "."]),
    ("lint", ["ruff", "check", "-q", "."]),
    ("layers", ["lint-imports", "--no-cache"]),
    ("types (mypy)", ["mypy"]),
    ("types (pyright)", ["pyright"]),
    ("documentation", ["mkdocs", "build", "--strict", "-q", "--site-dir", "build/site"]),
]


def run(name: str, command: list[str], *, quiet: bool) -> bool:
    """Run one command; what it prints is shown when it fails, or when it is not quiet."""
    print(f"== {name}", flush=True)
    started = time.monotonic()
    output = subprocess.PIPE if quiet else None
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "PYTHONPATH": "", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        check=False,
    )
    if quiet:
        verdict = "ok" if not done.returncode else f"FAILED\n{done.stdout}"
        print(f"   {verdict} in {time.monotonic() - started:.0f} s", flush=True)
    return not done.returncode


def checks() -> bool:
    """Run the quick checks, all of them whatever fails."""
    verdicts = [run(name, command, quiet=True) for name, command in CHECKS]
    return all(verdicts)


@contextmanager
def warming() -> Iterator[None]:
    """
    Make what the tests need beside the checks, and go on when both are done.

    A new machine takes minutes to build Kubernetes, and no test may wait that long.
    """
    command = [sys.executable, "-m", "tests.support.warm"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as made:
        try:
            yield
        finally:
            print("== programs and images for the tests", flush=True)
            print(made.communicate()[0], end="", flush=True)


def tests(*arguments: str) -> bool:
    """Run pytest; its own output is the last that is shown."""
    return run("tests", ["pytest", "-q", *arguments], quiet=False)


def main() -> int:
    """Do what was asked; 0 when all of it passed."""
    if "--checks" in sys.argv:
        return 0 if checks() else 1
    if "--unit" in sys.argv:
        return 0 if tests("tests/unit", "-n", "2") else 1
    with warming():
        sound = checks()
    if not sound:
        print("A check above has failed: this run fails, whatever the tests say.", flush=True)
    done = tests("-n", WORKERS, "--dist", "loadfile")
    return 0 if sound and done else 1


if __name__ == "__main__":
    sys.exit(main())
