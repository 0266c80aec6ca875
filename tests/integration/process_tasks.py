"""
Tasks for the process executor, and a look at its processes without asking it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.template import Container, DataConfig, SecretRef, SecurityContext, TaskTemplate, make_template
from airscrew.plugins.process import ProcessExecutor
from airscrew.plugins.process.processes import MARKER


class ProcessEnvironment(ExecutorEnvironment[Any]):
    """An environment whose attempts' keys are of its folder alone, for tests run beside one another."""

    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(ProcessExecutor, root=folder.as_uri(), **kwargs)
        self._prefix = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()

    @override
    def attempt(self, template: TaskTemplate, inputs: Any = None, *, name: str = "task", **kwargs: Any) -> Attempt[Any]:
        return super().attempt(template, inputs, name=f"{self._prefix}-{name}", **kwargs)


def environment(folder: Path, *, config: Mapping[str, object] | None = None, **kwargs: Any) -> ProcessEnvironment:
    """Open an environment with real files below a folder, and little grace."""
    return ProcessEnvironment(folder, config={"grace": 0.5, **(config or {})}, **kwargs)


def shell(script: str, *, outputs: Mapping[str, object] | None = None, **kwargs: Any) -> TaskTemplate:
    """Make a task that runs a script of the shell."""
    return command("sh", "-c", script, outputs=outputs, **kwargs)


def python(script: str, **kwargs: Any) -> TaskTemplate:
    """Make a task that runs a script of Python, quickly."""
    return command(sys.executable, "-S", "-c", script, **kwargs)


def command(
    *argv: str,
    outputs: Mapping[str, object] | None = None,
    inputs: Mapping[str, object] | None = None,
    secrets: tuple[SecretRef, ...] = (),
    data_config: DataConfig | None = None,
    env: Mapping[str, str] | None = None,
) -> TaskTemplate:
    """Make a task that runs a command."""
    container = Container(image="example.invalid/image", command=argv, env=dict(env or {}), data_config=data_config)
    return make_template(
        "raw-container" if data_config else "container",
        inputs=inputs,
        outputs=outputs,
        target=container,
        security_context=SecurityContext(secrets=secrets),
    )


def alive(key: str) -> list[int]:
    """List the processes that carry the attempt's key in their environment."""
    entry, found = f"{MARKER}={key}".encode(), []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX" and entry in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
            except OSError:
                continue
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process is there and is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def runs(folder: Path) -> int:
    """Count the lines of a file that each run of a task adds one to."""
    path = folder / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


HAS_SHARED_MEMORY = Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK)
