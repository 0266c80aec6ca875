"""
How a task gets its secrets: as variables and files, where both SDKs look for them.

Values go from the engine's provider to the supervisor over a socket. They are never in the state, in an argument, or
in a file on a disk; files are put into memory (``secret_directory``), readable for this user alone, and removed when
the task ends. Like every variable, those of a task can be read by its own user in ``/proc``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.template import SecretRef
from airscrew.plugins.process.state import Place

StateT = TypeVar("StateT")

PREFIX = "_FSEC_"
HIDDEN = "[secret]"
_MIN_HIDDEN = 4
"""Shorter values would hide half of any text."""


@dataclass(frozen=True, slots=True)
class TaskSecrets:
    """
    The secrets of a task.

    Attributes:
        env: Variables with values, or with the paths of files.
        files: Values by path.
        directory: The folder of the files; empty without any.
    """

    env: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    directory: str = ""


async def read_secrets(context: TaskContext[StateT], wanted: Sequence[SecretRef], directory: str) -> TaskSecrets:
    """
    Read the secrets that a template asks for; those that are wanted as files will lie below the directory.

    Raises:
        PermanentError: There is no such secret, or no place in memory for one that is wanted as a file.
    """
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    if directory:
        _check_memory(str(Path(directory).parent))
        env |= {"FLYTE_SECRETS_DEFAULT_DIR": directory, "FLYTE_SECRETS_FILE_PREFIX": ""}
    for one in wanted:
        value = await context.secret(one.key, one.group)
        if _is_file(one):
            path = _path(directory, one)
            files[path] = value
            env |= {one.env_var: path} if one.env_var else {}
        else:
            env |= dict.fromkeys(variables(one), value)
    return TaskSecrets(env, files, directory)


def secret_directory(place: Place, wanted: Sequence[SecretRef], memory: str) -> str:
    """Name the folder of an attempt's secrets that are files; empty without any."""
    return f"{memory}/{place.name}" if any(_is_file(one) for one in wanted) else ""


def variables(secret: SecretRef) -> list[str]:
    """Name the variables that hold a secret: the one it asks for, and those that ``flytekit`` looks at."""
    names = {
        "_".join(part.upper() for part in (secret.group, version, secret.key) if part)
        for version in ("", secret.version)
    }
    return [*([secret.env_var] if secret.env_var else []), *sorted(f"{PREFIX}{name}" for name in names)]


async def hide_secrets(context: TaskContext[StateT], secrets: Iterable[tuple[str, str]], text: str) -> str:
    """Take the values of secrets out of a text; all of it, when one of them is not there any more."""
    for group, key in secrets:
        try:
            value = await context.secret(key, group)
        except PermanentError:
            return ""
        for line in {value.strip(), *value.split()}:
            if len(line) >= _MIN_HIDDEN:
                text = text.replace(line, HIDDEN)
    return text


def _is_file(secret: SecretRef) -> bool:
    return secret.mount_requirement == "FILE"


def _path(directory: str, secret: SecretRef) -> str:
    parts = [part.lower() for part in (secret.group, secret.version, secret.key) if part]
    if any("/" in part or part in {".", ".."} for part in parts):
        raise PermanentError(
            f"secret {'/'.join(parts)!r} cannot be a file: its name has a '/'", code="BadTaskSpecification"
        )
    return "/".join([directory, *parts])


def _check_memory(memory: str) -> None:
    if not (Path(memory).is_dir() and os.access(memory, os.W_OK)):
        raise PermanentError(
            f"a secret is wanted as a file and {memory} is no folder to write to: name a file system in memory in "
            "executors.process.secret_directory, or ask for the secret as a variable",
            code="NoSecretDirectory",
        )
