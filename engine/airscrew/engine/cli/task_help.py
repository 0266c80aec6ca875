"""
``airscrew run TARGET --help``: the inputs that a task takes, with their types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airscrew.engine.cli.inputs import is_python, read_template
from airscrew.engine.cli.options import run_async

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


async def tasks_of(file: str) -> str:
    """Return the names of the tasks of a Python source."""
    from airscrew.engine.sdk.child import list_tasks

    return ", ".join(task.variable for task in await list_tasks(file)) or "none (it defines no task)"


def task_help(app: App, target: str, task: str) -> str:
    """Return what there is to know before running a target."""
    if not is_python(target):
        return _template_help(app, target, task)
    if not task:
        names = run_async(lambda: tasks_of(target))
        return f"Usage: airscrew run {target} TASK [INPUTS]\n\nTasks: {names}"
    return _python_help(target, task)


def _python_help(file: str, task: str) -> str:
    from airscrew.engine.sdk.child import serialize
    from airscrew.engine.sdk.model import Request

    found = run_async(lambda: serialize(Request(path=file, task=task)))
    inputs = (
        (f"--{variable.name}", variable.type, "required" if variable.required else f"default {variable.default}")
        for variable in found.inputs
    )
    outputs = ((variable.name, variable.type, "") for variable in found.outputs)
    usage = f"Usage: airscrew run [OPTIONS] {file} {task} [INPUTS]"
    return _page(usage, f"{found.name} ({found.task_type})", inputs, outputs)


def _template_help(app: App, file: str, task: str) -> str:
    from airscrew.idl.literals import type_name

    found, _ = read_template(file, app.settings(), task)
    interface = found.template.interface
    inputs = (
        (
            f"--input {name}=",
            type_name(variable.type),
            variable.description or ("default" if name in found.default_inputs else "required"),
        )
        for name, variable in interface.inputs.items()
    )
    outputs = ((name, type_name(variable.type), variable.description) for name, variable in interface.outputs.items())
    title = f"{found.template.name} ({found.template.type})"
    return _page(f"Usage: airscrew run [OPTIONS] {file} [--input NAME=VALUE]...", title, inputs, outputs)


def _page(
    usage: str, title: str, inputs: Iterable[tuple[str, str, str]], outputs: Iterable[tuple[str, str, str]]
) -> str:
    return "\n\n".join((usage, title, _section("Inputs", inputs), _section("Outputs", outputs)))


def _section(title: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = list(rows)
    if not lines:
        return f"{title}: none"
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    body = (
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return f"{title}:\n" + "\n".join(body)
