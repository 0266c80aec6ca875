"""
What ``airscrew doctor`` looks at.

Each check gives findings and never raises. ``FAIL`` keeps airscrew from working, ``WARN`` costs something, and both say
what to do about it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airscrew.engine.cli.exits import one_line
from airscrew.engine.cli.render import executor_status
from airscrew.idl.errors import AirscrewError

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutorView
    from airscrew.engine.config import EngineSettings

LIBRARIES = ("grpcio", "protobuf", "flyteidl", "msgspec", "obstore")
SDKS = {"flytekit": "flytekit", "flyte": "flyte2"}
MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 1 << 30
MIN_OPEN_FILES = 1024
SLOW_FSYNC_SECONDS = 0.05
_FSYNCS = 5


class Mark(Enum):
    """How bad a finding is."""

    OK = "√"
    WARN = "!"
    FAIL = "×"  # noqa: RUF001 - a cross, as other doctors draw it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that was looked at.

    Attributes:
        section: What it belongs to.
        mark: How bad it is.
        text: What was found.
        hint: What to do about it.
    """

    section: str
    mark: Mark
    text: str
    hint: str = ""


def _finding(section: str, text: str, problem: bool = False, hint: str = "", *, mark: Mark = Mark.FAIL) -> Finding:
    return Finding(section=section, mark=mark if problem else Mark.OK, text=text, hint=hint if problem else "")


def check_versions() -> Iterator[Finding]:
    """Look at Python and the libraries."""
    python = f"Python {platform.python_version()} at {sys.executable}"
    yield _finding("versions", python, sys.version_info < MIN_PYTHON, "use Python 3.11 or newer")
    for name in ("airscrew", *LIBRARIES):
        version = _version(name)
        yield _finding("versions", f"{name} {version or 'is missing'}", not version, f"pip install {name}")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_home(settings: EngineSettings) -> Iterator[Finding]:
    """Look at the home folder: its owner, its file system, and how fast it is."""
    home = settings.home_path
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        seconds = fsync_seconds(home)
        free = shutil.disk_usage(home).free
    except OSError as error:
        yield _finding("home", f"{home} is not writable: {error.strerror}", True, "give another one by --home")
        return
    yield _finding("home", f"{home} is writable")
    shared = home.stat().st_mode & 0o077
    yield _finding("home", "it is private" if not shared else "others can read it", bool(shared), f"chmod 700 {home}")
    yield _file_system(home)
    slow = seconds > SLOW_FSYNC_SECONDS
    text = f"a write is on disk after {seconds * 1000:.1f} ms"
    yield _finding("home", text, slow, "each step of a task waits for it: use a faster disk", mark=Mark.WARN)
    text = f"{free / (1 << 30):,.1f} GiB are free"
    yield _finding("home", text, free < MIN_FREE_BYTES, "make room, or airscrew prune", mark=Mark.WARN)


def _file_system(home: Path) -> Finding:
    from airscrew.state.mounts import mount_of, parse_mountinfo

    try:
        mount = mount_of(PurePosixPath(home.resolve()), parse_mountinfo(Path("/proc/self/mountinfo").read_text()))
    except OSError:
        mount = None
    if mount is None:
        return _finding("home", "its file system is not known", True, "use a local disk", mark=Mark.WARN)
    text = f"its file system is {mount.kind} at {mount.point}"
    return _finding("home", text, mount.is_network, "the store needs a local disk: give another one by --home")


def fsync_seconds(folder: Path) -> float:
    """Measure how long a small write takes until it is on disk."""
    file = folder / f".doctor.{os.getpid()}"
    took: list[float] = []
    try:
        with file.open("wb") as stream:
            for _ in range(_FSYNCS):
                begin = time.perf_counter()
                stream.write(bytes(4096))
                stream.flush()
                os.fsync(stream.fileno())
                took.append(time.perf_counter() - begin)
    finally:
        file.unlink(missing_ok=True)
    return statistics.median(took)


async def check_store(settings: EngineSettings) -> list[Finding]:
    """Look at the store: whether it opens, and who holds it."""
    from airscrew.engine.cli.session import served_by
    from airscrew.state.errors import StoreBusyError
    from airscrew.state.urls import open_store

    try:
        engine = await served_by(settings)
        if engine is not None:
            return [_finding("store", f"process {engine.pid} ({engine.version}) is its engine and answers")]
        if settings.keeps_file and not settings.store_file.exists():
            return [_finding("store", f"{settings.store_file} is not there yet; the first run makes it")]
        async with open_store(settings.store_url) as store:
            found = await store.status()
    except StoreBusyError as error:
        hint = "wait for it to end, or look for an airscrew process that hangs"
        return [_finding("store", f"its engine does not answer: {one_line(error)}", True, hint)]
    except (AirscrewError, OSError) as error:
        return [_finding("store", one_line(error), True, "restore it: airscrew state import, into an empty home")]
    return [_finding("store", f"{found.description} opens at revision {found.revision}, {found.size_bytes:,} bytes")]


def check_executors(views: list[ExecutorView]) -> Iterator[Finding]:
    """Look at the executors."""
    if not views:
        yield _finding("executors", "none is installed", True, "reinstall airscrew: its entry points are missing")
    for view in views:
        hint = "pip install what is missing, or leave it out by enabled_executors"
        yield _finding("executors", f"{view.id}: {executor_status(view)}", bool(view.problem), hint)


def check_sdks() -> Iterator[Finding]:
    """Look for the SDKs that sources are written in."""
    for name, extra in SDKS.items():
        version = _version(name)
        hint = f"needed for sources that use it: pip install 'airscrew[{extra}]'"
        yield _finding("SDKs", f"{name} {version or 'is not installed'}", not version, hint, mark=Mark.WARN)


def check_secrets(settings: EngineSettings) -> Iterator[Finding]:
    """Look at where secrets are found; never at a secret."""
    secrets = settings.secrets
    for provider in secrets.providers:
        if provider == "env":
            yield _finding("secrets", f"env: variables that begin with {secrets.env_prefix}")
        else:
            there = Path(secrets.directory).is_dir()
            text = f"file: {secrets.directory}{'' if there else ' is not there'}"
            hint = "tasks that refer to files there will fail; make it, or set secrets.directory"
            yield _finding("secrets", text, not there, hint, mark=Mark.WARN)


def check_machine() -> Iterator[Finding]:
    """Look at what the machine gives."""
    cores = len(os.sched_getaffinity(0))
    yield _finding("machine", f"{cores} cores: so many processes run at once by default")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = 0 <= files < MIN_OPEN_FILES
    yield _finding("machine", f"{files} open files", few, f"ulimit -n {MIN_OPEN_FILES}", mark=Mark.WARN)
