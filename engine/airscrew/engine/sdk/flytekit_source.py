"""
Tasks of a flytekit source file, as ``core.TaskTemplate``.

What is written is what ``pyflyte register`` would send, but for the image: none is built or looked up. flytekit has no
type information of its own, so its modules are imported by name and what they give is checked where it leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from airscrew.engine.sdk import values
from airscrew.engine.sdk.model import FoundTask, Request, SerializedTask, Variable
from airscrew.engine.sdk.source import Source, pick
from airscrew.idl.errors import UsageError


class _Interface(Protocol):
    inputs: Mapping[str, object]
    outputs: Mapping[str, object]
    inputs_with_defaults: Mapping[str, tuple[object, object]]


class _Task(Protocol):
    name: str
    task_type: str
    python_interface: _Interface


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
        UsageError: There is no such task, an input is unknown, missing or wrong, or flytekit cannot serialize it.
    """
    _refuse_what_is_no_task(source, request.task)
    task = _tasks(source)[pick(source, load_tasks(source), request.task)]
    inputs = values.variables(task.python_interface.inputs, _defaults(task))
    return SerializedTask(
        template=_template(source, request, task),
        wire="flyte1",
        name=task.name,
        task_type=task.task_type,
        inputs=inputs,
        outputs=values.variables(task.python_interface.outputs, {}),
        literals=_literals(request, task, inputs),
        pythonpath=() if request.bundle_folder else (str(source.root),),
        environment={} if request.bundle_folder else source.environment,
    )


def _tasks(source: Source) -> dict[str, _Task]:
    base = import_module("flytekit.core.base_task").PythonTask
    reference = import_module("flytekit.core.reference_entity").ReferenceEntity
    found = {key: value for key, value in vars(source.module).items() if isinstance(value, base)}
    return {key: cast("_Task", value) for key, value in found.items() if not isinstance(value, reference)}


def _refuse_what_is_no_task(source: Source, wanted: str) -> None:
    """Say what a variable is that people take for a task."""
    value: object = getattr(source.module, wanted, None)
    kinds = {
        "a workflow, and airscrew runs single tasks": ("flytekit.core.workflow", "WorkflowBase"),
        "a launch plan, and airscrew runs single tasks": ("flytekit.core.launch_plan", "LaunchPlan"),
        "a reference to an entity that is registered elsewhere": ("flytekit.core.reference_entity", "ReferenceEntity"),
    }
    for kind, (module, name) in kinds.items():
        if isinstance(value, getattr(import_module(module), name)):
            known = ", ".join(_tasks(source)) or "none"
            raise UsageError(f"{source.path}: {wanted!r} is {kind}; its tasks: {known}")


def _defaults(task: _Task) -> dict[str, object]:
    """Give the defaults; flytekit writes None for no default too, which is one only where None is a value."""
    interface = task.python_interface
    return {
        name: default
        for name, (kind, default) in interface.inputs_with_defaults.items()
        if default is not None or values.is_optional(kind)
    }


def _template(source: Source, request: Request, task: _Task) -> bytes:
    translator = import_module("flytekit.tools.translator")
    contexts = import_module("flytekit.core.context_manager")
    current = contexts.FlyteContextManager.current_context()
    # flytekit builds images while it serializes, but never inside of an execution.
    state = current.new_execution_state().with_params(mode=contexts.ExecutionState.Mode.TASK_EXECUTION)
    with contexts.FlyteContextManager.with_context(current.with_execution_state(state)):
        try:
            specification = translator.get_serializable(OrderedDict(), _settings(source, request), task)
        except Exception as error:  # a task class is the user's code too
            raise UsageError(f"flytekit cannot serialize {task.name}: {values.first_line(error)}") from error
    template: bytes = specification.template.to_flyte_idl().SerializeToString(deterministic=True)
    return template


def _settings(source: Source, request: Request) -> object:
    configuration = import_module("flytekit.configuration")
    name, _, tag = request.image.rpartition(":")
    image = configuration.Image(name="default", fqn=name, tag=tag)
    settings: object = configuration.SerializationSettings(
        project=request.project,
        domain=request.domain,
        version=request.version,
        image_config=configuration.ImageConfig(default_image=image, images=[image]),
        source_root=str(source.root),
        fast_serialization_settings=_bundle(source, request.bundle_folder) if request.bundle_folder else None,
    )
    return settings


def _bundle(source: Source, folder: str) -> object:
    """Pack the modules that the file has imported, as ``pyflyte run --remote`` does, to be unpacked where it runs."""
    packing = import_module("flytekit.tools.fast_registration")
    only_imported = import_module("flytekit.constants").CopyFileDetection.LOADED_MODULES
    options = packing.FastPackageOptions([], copy_style=only_imported)
    archive: str = packing.fast_package(source.root, folder, options=options)
    configuration = import_module("flytekit.configuration")
    settings: object = configuration.FastSerializationSettings(
        enabled=True, distribution_location=str(Path(archive).absolute()), destination_dir="."
    )
    return settings


def _literals(request: Request, task: _Task, inputs: tuple[Variable, ...]) -> bytes:
    if request.inputs is not None:
        values.check_names(request.inputs, inputs)
    given = request.inputs or {}
    defaults = _defaults(task)
    wire = import_module("flyteidl.core.literals_pb2")
    made = {
        variable.name: _given(task, variable, given[variable.name], wire)
        if variable.name in given
        else _written(task, variable, defaults[variable.name])
        for variable in inputs
        if variable.name in given or variable.name in defaults
    }
    literals: bytes = wire.LiteralMap(literals=made).SerializeToString(deterministic=True)
    return literals


def _given(task: _Task, variable: Variable, value: object, wire: ModuleType) -> object:
    """Turn what a person gave into a literal."""
    kind = task.python_interface.inputs[variable.name]
    if value is None and values.is_optional(kind):
        return _written(task, variable, None)
    literal_type = import_module("flytekit.core.type_engine").TypeEngine.to_literal_type(kind)
    if literal_type.structured_dataset_type is not None:
        return values.dataset(variable, value, wire)
    if literal_type.blob is not None:
        value = values.absolute(value)
    click_types = import_module("flytekit.interaction.click_types")
    parameter = cast("values.ParameterType", click_types.literal_type_to_click_type(literal_type, kind))
    context = values.click_context(is_remote=False, verbose=0)
    return _written(task, variable, values.convert(variable, value, parameter, context))


def _written(task: _Task, variable: Variable, native: object) -> object:
    """Turn a Python value into a literal."""
    engine = import_module("flytekit.core.type_engine").TypeEngine
    context = import_module("flytekit.core.context_manager").FlyteContextManager.current_context()
    kind = task.python_interface.inputs[variable.name]
    try:
        literal: object = engine.to_literal(context, native, kind, engine.to_literal_type(kind)).to_flyte_idl()
    except Exception as error:
        raise values.wrong(variable, native, error) from error
    return literal
