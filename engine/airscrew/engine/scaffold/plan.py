"""
What a new plugin is called, and what is in its files.

The templates are files of this package; ``${word}`` in them is replaced, and nothing else.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from string import Template

from airscrew.idl.errors import UsageError

LONGEST_NAME = 30

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


class Kind(Enum):
    """What an executor is built on."""

    WEBAPI = "webapi"
    """Jobs of a service that is reached by requests."""
    KUBERNETES = "kubernetes"
    """Objects of a cluster."""
    SYNC = "sync"
    """One call, and nothing to come back to."""
    COMPLEX = "complex"
    """The contract itself."""


_WHAT = {
    Kind.WEBAPI: "Each is a job of a service that is reached by HTTP.",
    Kind.KUBERNETES: "Each is a Job of a Kubernetes cluster.",
    Kind.SYNC: "Each is one call.",
    Kind.COMPLEX: "Each waits until a file is there.",
}
_RUN = {
    Kind.WEBAPI: "airscrew run example.py job",
    Kind.KUBERNETES: "airscrew run example.py count",
    Kind.SYNC: "airscrew run example.py hello --text Ada",
    Kind.COMPLEX: "airscrew run example.py wait",
}
_EXTRA = {Kind.WEBAPI: "http", Kind.KUBERNETES: "kubernetes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    A plugin to make.

    Attributes:
        name: The executor's id, its task type, and the name of its distribution.
        kind: What it is built on.
        idl: Whether its tasks are described by a protobuf message.
    """

    name: str
    kind: Kind
    idl: bool = False

    @property
    def package(self) -> str:
        """The name of the Python package."""
        return self.name.replace("-", "_")

    @property
    def title(self) -> str:
        """The name as the names of classes begin."""
        return "".join(word.capitalize() for word in re.split("[-_]", self.name))


def check_free(name: str, installed: Iterable[str], importable: Iterable[str]) -> None:
    """
    See whether a plugin may be called so.

    Args:
        name: What it is to be called.
        installed: The ids of the executors that are installed.
        importable: The names of the packages that are.

    Raises:
        UsageError: In one line, what is wrong with it.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r} is no name for a plugin: a small letter first, then small letters and digits, single - or _ "
            f"between words, {LONGEST_NAME} characters at most"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise UsageError(f"{name!r} is a word of Python's own: choose another name")
    if name in installed:
        raise UsageError(f"an executor called {name!r} is installed already: choose another name")
    if package in importable:
        raise UsageError(f"a Python package called {package!r} is installed already: choose another name")


def plan_package(wanted: Wanted, *, version: str, protobuf: str) -> dict[str, str]:
    """
    Say what files a plugin has; the code of its message is not among them.

    Args:
        wanted: The plugin.
        version: Of airscrew.
        protobuf: The version of protobuf that the code of the message asks for.
    """
    words = _words(wanted, version, protobuf)
    kind, source = wanted.kind.value, f"src/{wanted.package}"
    places = {
        "pyproject.toml": "common/pyproject.toml",
        "README.md": "common/README.md",
        "example.py": f"{kind}/example.py",
        f"{source}/__init__.py": "common/init.py",
        f"{source}/executor.py": f"{kind}/executor.py",
        f"{source}/flytekit_task.py": "common/flytekit_task.py",
        f"{source}/task.py": "common/idl_task.py" if wanted.idl else f"{kind}/task.py",
        "tests/test_executor.py": f"{kind}/test_executor.py",
    }
    if wanted.idl:
        places[f"{source}/idl/task.proto"] = f"{kind}/task.proto"
        places[f"{source}/idl/__init__.py"] = "common/init.py"
    files = {path: _filled(template, words) for path, template in places.items()}
    return {**files, f"{source}/py.typed": ""}


def _words(wanted: Wanted, version: str, protobuf: str) -> Mapping[str, str]:
    extra = _EXTRA.get(wanted.kind, "")
    needs = [f"airscrew[{extra}]>={version}" if extra else f"airscrew>={version}"]
    tools = ["airscrew[flytekit,testing]", "mypy", "pytest", "ruff"]
    if wanted.idl:
        needs.append(f"protobuf>={protobuf}")
        tools.insert(1, "grpcio-tools")
    words = {
        "name": wanted.name,
        "package": wanted.package,
        "Class": wanted.title,
        "what": _WHAT[wanted.kind],
        "run": _RUN[wanted.kind],
        "dependencies": _listed(needs),
        "dev": _listed(tools),
        "ruff_exclude": '\nextend-exclude = ["*_pb2.py*"]' if wanted.idl else "",
        "mypy_exclude": '\nexclude = ["_pb2"]' if wanted.idl else "",
        "import_before": "import msgspec\n",  # what is imported whole comes first
        "import_after": "",
        "to_custom": "msgspec.to_builtins(self.task_config)",
        "idl_row": "",
        "idl_note": "",
    }
    if wanted.idl:
        proto = f"{wanted.package}/idl/task.proto"
        words["import_before"], words["import_after"] = "", "from google.protobuf.json_format import MessageToDict\n"
        words["to_custom"] = "MessageToDict(self.task_config)"
        words["idl_row"] = f", as the message of `src/{proto}`"
        command = f"python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src src/{proto}"
        words["idl_note"] = f"\nAfter a change of the message, its code is written anew:\n\n    {command}\n"
    words["harness"] = _filled("common/harness.py", words).rstrip("\n")
    return words


def _listed(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = resources.files("airscrew.engine.scaffold").joinpath("templates", f"{template}.tmpl").read_text("utf8")
    return Template(text).substitute(words)
