"""
Tasks of a Flyte 2 source file, as ``flyteidl2.task.TaskSpec``.

What is written is what ``flyte deploy`` would send without a code bundle: the task's process imports the file where it
lies. No image is built.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Protocol, cast

from airscrew.engine.sdk import values
from airscrew.engine.sdk.model import FoundTask, Request, SerializedTask, Variable
from airscrew.engine.sdk.source import Source, pick
from airscrew.idl.errors import UsageError


class _Interface(Protocol):
    inputs: Mapping[str, tuple[object, object]]
    outputs: Mapping[str, object]


class _Task(Protocol):
    name: str
    task_type: str
    native_interface: _Interface


def load_tasks(source: Source) -> dict[str, FoundTask]:
    """Give the tasks of a file by variable, in the order of their definition."""
    return {
        variable: FoundTask(variable=variable, name=task.name, task_type=task.task_type)
        for variable, task in _tasks(source).items()
    }


def serialize_task(source: Source, request: Request) -> SerializedTask:
    """
    Write one task of a file in its wire form.

    Raises:
        UsageError: There is no such task, an input is unknown, missing or wrong, or Flyte cannot serialize it.
    """
    task = _tasks(source)[pick(source, load_tasks(source), request.task)]
    interface = task.native_interface
    inputs = values.variables({name: kind for name, (kind, _) in interface.inputs.items()}, _defaults(interface))
    return SerializedTask(
        template=_specification(source, request, task),
        wire="flyte2",
        name=task.name,
        task_type=task.task_type,
        inputs=inputs,
        outputs=values.variables(interface.outputs, {}),
        literals=_literals(request, task, inputs),
        pythonpath=(str(source.root),),
        environment=source.environment,
    )


def _tasks(source: Source) -> dict[str, _Task]:
    base = import_module("flyte.extend").TaskTemplate
    return {key: cast("_Task", value) for key, value in vars(source.module).items() if isinstance(value, base)}


def _defaults(interface: _Interface) -> dict[str, object]:
    defaults = {name: default for name, (_, default) in interface.inputs.items()}
    return {name: default for name, default in defaults.items() if default is not inspect.Parameter.empty}


def _specification(source: Source, request: Request, task: _Task) -> bytes:
    try:
        specification = import_module("flyte.extras").serialize(task, _context(source, request))
    except Exception as error:  # a task template is the user's code too
        raise UsageError(f"flyte cannot serialize {task.name}: {values.first_line(error)}") from error
    template: bytes = specification.SerializeToString(deterministic=True)
    return template


def _context(source: Source, request: Request) -> object:
    context: object = import_module("flyte.models").SerializationContext(
        version=request.version,
        project=request.project,
        domain=request.domain,
        org=request.org,
        root_dir=source.root,
    )
    return context


def _literals(request: Request, task: _Task, inputs: tuple[Variable, ...]) -> bytes:
    """Write the inputs that are there, in the interface's order."""
    if request.inputs is not None:
        values.check_names(request.inputs, inputs)
    given = request.inputs or {}
    defaults = _defaults(task.native_interface)
    wire = import_module("flyteidl2.task.common_pb2")
    made = [
        wire.NamedLiteral(
            name=variable.name,
            value=_given(task, variable, given[variable.name])
            if variable.name in given
            else _written(task, variable, defaults[variable.name]),
        )
        for variable in inputs
        if variable.name in given or variable.name in defaults
    ]
    literals: bytes = wire.Inputs(literals=made).SerializeToString(deterministic=True)
    return literals


def _given(task: _Task, variable: Variable, value: object) -> object:
    """Turn what a person gave into a literal."""
    kind = task.native_interface.inputs[variable.name][0]
    if value is None and values.is_optional(kind):
        return _written(task, variable, None)
    literal_type = import_module("flyte.types").TypeEngine.to_literal_type(kind)
    if literal_type.HasField("structured_dataset_type"):
        return values.dataset(variable, value, import_module("flyteidl2.core.literals_pb2"))
    if literal_type.HasField("blob"):
        value = values.absolute(value)
    click_types = import_module("flyte.cli._params")
    parameter = cast("values.ParameterType", click_types.literal_type_to_click_type(literal_type, kind))
    context = values.click_context(run_args=SimpleNamespace(local=True), log_level=0)
    return _written(task, variable, values.convert(variable, value, parameter, context))


def _written(task: _Task, variable: Variable, native: object) -> object:
    """Turn a Python value into a literal."""
    engine = import_module("flyte.types").TypeEngine
    kind = task.native_interface.inputs[variable.name][0]
    try:
        literal: object = asyncio.run(engine.to_literal(native, kind, engine.to_literal_type(kind)))
    except Exception as error:
        raise values.wrong(variable, native, error) from error
    return literal
