"""Templates as a user has them in files, and a task that waits to be told."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.user import until


def container(
    path: Path,
    command: Sequence[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    **more: Any,
) -> Path:
    """Write the template of a container task; ``more`` is put over its fields."""
    target: dict[str, Any] = {"image": "none", "command": list(command)}
    if outputs:
        target["data_config"] = {"enabled": True, "input_path": "/var/inputs", "output_path": "/var/outputs"}
    return write(path, type="raw-container", container=target, interface=interface(inputs or {}, outputs or {}), **more)


def echo(path: Path, inputs: Mapping[str, str] | None = None, **more: Any) -> Path:
    """Write the template of an echo task."""
    inputs = inputs or {}
    outputs = {f"o{number}": kind for number, kind in enumerate(inputs.values())}
    return write(path, type="echo", interface=interface(inputs, outputs), **more)


def write(path: Path, **fields: Any) -> Path:
    """Write a template as JSON."""
    name = {"resource_type": "TASK", "project": "p", "domain": "d", "name": f"demo.{path.stem}", "version": "1"}
    path.write_text(json.dumps({"id": name, "metadata": {}, **fields}))
    return path


def interface(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, Any]:
    return {"inputs": _variables(inputs), "outputs": _variables(outputs)}


def _variables(types: Mapping[str, str]) -> dict[str, Any]:
    return {"variables": {name: {"type": {"simple": kind}} for name, kind in types.items()}}


@dataclass(frozen=True)
class Gate:
    """
    A task that says when it has begun, and goes on when it is told.

    It appends a line to ``ran`` each time it begins, prints, waits for ``go``, and gives 7 as its output ``o0``.
    """

    folder: Path

    @property
    def ran(self) -> Path:
        return self.folder / "ran"

    @property
    def go(self) -> Path:
        return self.folder / "go"

    def template(self, name: str = "gate", **more: Any) -> Path:
        script = (
            f'echo $$ >> "{self.ran}"; echo begun; '
            f'while [ ! -e "{self.go}" ]; do sleep 0.02; done; echo ended; echo 7 > /var/outputs/o0'
        )
        path = self.folder / f"{name}.json"
        return container(path, ["sh", "-c", script], outputs={"o0": "INTEGER"}, **more)

    def runs(self) -> list[int]:
        """Return the pid of each of its runs."""
        return [int(line) for line in self.ran.read_text().split()] if self.ran.exists() else []

    def has_begun(self) -> int:
        """Wait until it has begun, and return its pid."""
        return until(self.runs, "the task's begin")[-1]

    def open(self) -> None:
        self.go.touch()


def python_script(path: Path, source: str, **more: Any) -> Path:
    """Write the template of a container that runs Python code."""
    return container(path, [sys.executable, "-c", source], **more)
