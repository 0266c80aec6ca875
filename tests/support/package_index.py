"""
A package index of this machine for the build of the Dockerfile: what the lock names, and what builds the wheel.

The files are those that pip finds for the Python of the images that are made here, kept by what asks for them.
"""

from __future__ import annotations

import fcntl
import platform
import re
import shutil
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.go_modules import kept_folder, run
from tests.support.images import DOCKERFILE, PYTHON, ROOT, CannotMakeImageError, chosen_extras, export, forget_old

LIBRARIES = ("manylinux2014", "manylinux_2_28")
DOWNLOAD_SECONDS = 600.0


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serving_packages(host: str) -> Iterator[str]:
    """Serve the index at an address of this machine, and yield its URL."""
    handler = partial(_Silent, directory=str(package_files()))
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield "/".join((f"http://{host}:{server.server_port}", "simple", ""))
        finally:
            server.shutdown()
            thread.join()


def package_files() -> Path:
    """
    Return the folder with the index: ``simple/<name>/<file>``.

    Raises:
        CannotMakeImageError: Packages cannot be had; the message says why.
    """
    text = DOCKERFILE.read_text()
    locked = export(ROOT, chosen_extras(text))
    builders = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    builders += re.findall(r'pip install .*"(uv[^"]*)"', text)
    folder = kept_folder("packages", locked.encode(), *(each.encode() for each in builders))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several pytest workers asks, the others wait
        if not (folder / "simple").exists():
            _fetch(folder, locked, builders)
    forget_old(folder)
    return folder


def _fetch(folder: Path, locked: str, builders: Sequence[str]) -> None:
    made, requirements = folder / "made", folder / "requirements.txt"
    shutil.rmtree(made, ignore_errors=True)
    requirements.write_text(locked)
    for what in (("--require-hashes", "-r", str(requirements)), builders):
        _download(made, what)
    for file in list(made.iterdir()):
        project = re.sub(r"[-_.]+", "-", file.name.partition("-")[0]).lower()
        (made / project).mkdir(exist_ok=True)
        file.rename(made / project / file.name)
    made.rename(folder / "simple")


def _download(folder: Path, what: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--dest", str(folder)]
    command += [f"--python-version={PYTHON}", "--implementation=cp"]
    command += [f"--platform={each}_{platform.machine()}" for each in LIBRARIES]
    failed = run([*command, *what], seconds=DOWNLOAD_SECONDS)
    if failed:
        raise CannotMakeImageError(f"pip download failed: {failed}")
