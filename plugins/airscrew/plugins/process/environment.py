"""
The environment of a task: every variable is put there on purpose. Pure, but for a look at the folders of ``PATH``.

What comes later wins: what the configuration lets through of the engine's own environment, what makes the SDKs
work as a process, ``executors.process.environment``, the engine's variables for the attempt, those of the container,
secrets, and last what belongs to the attempt alone (``TMPDIR``, the marker). ``PATH`` and ``PYTHONPATH`` are joined.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from airscrew.engine.errors import PermanentError
from airscrew.plugins.process.config import Config
from airscrew.plugins.process.phases import command_not_found
from airscrew.plugins.process.processes import MARKER, PLACE_MARKER
from airscrew.plugins.process.state import Place

DEFAULTS = {
    "PYTHONUNBUFFERED": "1",  # the log is read while the task runs
    "FSSPEC_FILE_AUTO_MKDIR": "1",  # Flyte 2 writes to local folders that it does not make
    "LC_ALL": "C.UTF-8",
}


def task_environment(
    config: Config,
    own: Mapping[str, str],
    attempt: Mapping[str, str],
    container: Mapping[str, str],
    *,
    place: Place,
    temporary: str,
) -> dict[str, str]:
    """
    Put together a task's environment, secrets excepted.

    Args:
        config: The executor's configuration.
        own: The engine's own environment.
        attempt: What the engine sets for the attempt.
        container: What the template sets.
        place: The attempt's control files.
        temporary: The attempt's folder for temporary files.
    """
    inherited = {name: value for name, value in own.items() if _passes(name, config.inherit)}
    defaults = {name: value for name, value in DEFAULTS.items() if name != "LC_ALL" or not _has_locale(inherited)}
    layers = (inherited, defaults, config.environment, attempt, container)
    env = {name: value for layer in layers for name, value in layer.items()}
    env["PATH"] = _joined([*config.path, str(Path(sys.executable).parent)], env.get("PATH") or os.defpath)
    python_path = [
        layer["PYTHONPATH"] for layer in (container, attempt, config.environment, inherited) if "PYTHONPATH" in layer
    ]
    if config.python_path or python_path:
        env["PYTHONPATH"] = _joined([*config.python_path], *python_path)
    return {**env, "TMPDIR": temporary, MARKER: place.key, PLACE_MARKER: place.directory}


def find_executable(command: str, env: Mapping[str, str], folder: str) -> str:
    """
    Find the file that a command means, on the task's own ``PATH``.

    Args:
        command: The command.
        env: The task's environment.
        folder: Its working directory, that a relative path starts from.

    Raises:
        PermanentError: There is none; says what to do.
    """
    if "/" in command:
        path = str(Path(folder) / command)
        if Path(path).exists():
            return path
        raise PermanentError(command_not_found(command), code="CommandNotFound")
    found = shutil.which(command, path=env["PATH"])
    if found is None:
        raise PermanentError(command_not_found(command), code="CommandNotFound")
    return found


def _passes(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_locale(env: Mapping[str, str]) -> bool:
    return any(env.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))


def _joined(first: list[str], *rest: str) -> str:
    """Join search paths, each folder once, at its first place."""
    folders = [*first, *(folder for text in rest for folder in text.split(os.pathsep))]
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))
