"""
A user's file, imported under the one name by which the task's process can import it again.

Both SDKs write the module's name into the template's command, so the name matters: it is the file's path from the
first folder above it that is no package. That folder goes on the import path, here and in the task's process.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from airscrew.engine.sdk.model import FoundTask
from airscrew.idl.errors import UsageError

EXTRAS = {"flytekit": "flytekit", "flyte": "flyte2", "flyteidl2": "flyte2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    An imported file.

    Attributes:
        path: The file, absolute.
        root: The folder on the import path.
        module: What the file defines.
    """

    path: Path
    root: Path
    module: ModuleType

    @property
    def environment(self) -> dict[str, str]:
        """The import path for the task's process: the root, then what this process was given."""
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        entries = [str(self.root), *(entry for entry in inherited if entry and entry != str(self.root))]
        return {"PYTHONPATH": os.pathsep.join(entries)}


def import_root(path: Path) -> tuple[Path, str]:
    """Give the folder to import from and the module's name in it."""
    root = path.parent
    names = [path.stem]
    while (root / "__init__.py").exists() and root.parent != root:
        names.insert(0, root.name)
        root = root.parent
    if names[-1] == "__init__":
        names.pop()
    return root, ".".join(names)


def import_source(path: Path) -> Source:
    """
    Import a user's file.

    Raises:
        UsageError: There is no such file, it is no Python, its name hides or is hidden by another module, an SDK is
            not installed, or its own code raised.
    """
    path = path.absolute()
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"{path} is no Python file: give a .py file with tasks, or a serialized template")
    root, name = import_root(path)
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{path} cannot be imported as {name!r}: rename it so that each part is a Python name")
    sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(_missing(path, error)) from error
    except (Exception, SystemExit) as error:  # a user's module may raise whatever it likes
        raise UsageError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error
    if Path(getattr(module, "__file__", None) or "").absolute() != path:
        raise UsageError(f"{path} has the name of another module, {name!r}: rename the file")
    return Source(path=path, root=root, module=module)


def _missing(path: Path, error: ModuleNotFoundError) -> str:
    extra = EXTRAS.get(error.name or "")
    if extra is not None:
        return f"{path} needs {error.name}, which is not installed: pip install 'airscrew[{extra}]'"
    return f"{_place(path, error)}: {error}; install it into the environment of {sys.executable}"


def _place(path: Path, error: BaseException) -> str:
    """Name the line of the user's own file that failed, or the file alone when it did not even compile."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno} does not compile"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]} cannot be imported" if lines else f"{path} cannot be imported"


def pick(source: Source, tasks: dict[str, FoundTask], wanted: str) -> str:
    """
    Give the variable of the task that was asked for, by variable, full name or last part of its name.

    Raises:
        UsageError: None or several are called so; says which there are.
    """
    if wanted in tasks:
        return wanted
    matches = [key for key, task in tasks.items() if wanted == task.name]
    matches = matches or [key for key, task in tasks.items() if wanted == task.name.rpartition(".")[2]]
    if len(matches) == 1:
        return matches[0]
    known = ", ".join(matches or tasks) or "none"
    problem = "several tasks called" if matches else "no task"
    raise UsageError(f"{source.path} has {problem} {wanted!r}; its tasks: {known}")
