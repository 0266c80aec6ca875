"""
The real SDKs as a test uses them: serialize a task, call it locally, and turn values into literals and back.

Nothing here knows the engine. Functions without a suffix are flytekit's (wire form ``flyteidl``), those that end in 2
are Flyte 2's (``flyteidl2``). The SDKs are imported inside the functions: to import both takes three seconds, and
their own imports warn.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import warnings
from collections import OrderedDict
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent
PROJECT, DOMAIN, VERSION, ORG = "airscrew", "development", "v1", "testing"
IMAGE = "example.invalid/airscrew:v1"


def load(module: str) -> ModuleType:
    """Import a module of flows as the child process will: from this folder, under its short name."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def settings(*, fast: Any = False, env: dict[str, str] | None = None) -> Any:
    """Give flytekit's settings; ``fast`` is True (its location stays a variable), a location, or settings."""
    from flytekit.configuration import FastSerializationSettings, Image, ImageConfig, SerializationSettings

    if isinstance(fast, bool):
        fast = FastSerializationSettings(enabled=True) if fast else None
    elif isinstance(fast, str | Path):
        fast = FastSerializationSettings(enabled=True, distribution_location=str(fast), destination_dir=".")
    name, _, tag = IMAGE.rpartition(":")
    image = Image(name="default", fqn=name, tag=tag)
    return SerializationSettings(
        project=PROJECT,
        domain=DOMAIN,
        version=VERSION,
        env=env,
        image_config=ImageConfig(default_image=image, images=[image]),
        fast_serialization_settings=fast,
        source_root=str(ROOT),
    )


def serialize(entity: Any, *, fast: Any = False, env: dict[str, str] | None = None) -> bytes:
    """Give the bytes of the ``core.TaskTemplate`` that flytekit would register."""
    from flytekit.tools.translator import get_serializable

    specification = get_serializable(OrderedDict(), settings(fast=fast, env=env), entity)
    return specification.template.to_flyte_idl().SerializeToString(deterministic=True)


def fast_package(folder: Path) -> Path:
    """Pack the flows' folder as ``pyflyte register`` does, and give the archive's path."""
    from flytekit.constants import CopyFileDetection
    from flytekit.tools import fast_registration

    options = fast_registration.FastPackageOptions([], copy_style=CopyFileDetection.ALL)
    return Path(fast_registration.fast_package(ROOT, folder, options=options))


def local_call(entity: Any, **inputs: Any) -> Any:
    """Call the task in this process, as its author would in a script."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return entity(**inputs)


def local_literals(entity: Any, **inputs: Any) -> Any:
    """Run the task in this process up to its outputs as a ``core.LiteralMap``."""
    from flytekit.core.context_manager import FlyteContextManager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = FlyteContextManager.current_context()
        state = context.new_execution_state().with_params(mode=_local_mode())
        with FlyteContextManager.with_context(context.with_execution_state(state)) as running:
            return entity.dispatch_execute(running, _literal_model(entity, inputs)).to_flyte_idl()


def _local_mode() -> Any:
    from flytekit.core.context_manager import ExecutionState

    return ExecutionState.Mode.LOCAL_TASK_EXECUTION


def _literal_model(entity: Any, values: dict[str, Any]) -> Any:
    from flytekit.core.context_manager import FlyteContextManager
    from flytekit.core.type_engine import TypeEngine

    types = entity.python_interface.inputs
    return TypeEngine.dict_to_literal_map(FlyteContextManager.current_context(), values, type_hints=types)


def to_literals(entity: Any, values: dict[str, Any]) -> Any:
    """Turn inputs into a ``core.LiteralMap``, by the types of the task's interface."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _literal_model(entity, values).to_flyte_idl()


def from_literals(entity: Any, literal_map: Any) -> dict[str, Any]:
    """Turn an outputs' ``core.LiteralMap`` into Python values, by the types of the task's interface."""
    from flytekit.core.context_manager import FlyteContextManager
    from flytekit.core.type_engine import TypeEngine
    from flytekit.models.literals import LiteralMap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LiteralMap.from_flyte_idl(literal_map)
        context = FlyteContextManager.current_context()
        return TypeEngine.literal_map_to_kwargs(context, model, entity.python_interface.outputs)


def without_uris(message: Any) -> Any:
    """Give a copy of a literal or map of literals with every URI emptied: two runs never write to the same place."""
    copy = type(message)()
    copy.CopyFrom(message)
    _empty_uris(copy)
    return copy


def _empty_uris(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name == "uri":
            setattr(message, field.name, "")
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            for item in value.values():
                if hasattr(item, "ListFields"):
                    _empty_uris(item)
        elif field.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                _empty_uris(item)


def context2(root: Path = ROOT) -> Any:
    """Give Flyte 2's serialization context: no code bundle, modules found from this folder or another."""
    from flyte.models import SerializationContext

    return SerializationContext(version=VERSION, project=PROJECT, domain=DOMAIN, org=ORG, root_dir=root)


def serialize2(task: Any, root: Path = ROOT) -> bytes:
    """Give the bytes of the ``flyteidl2.task.TaskSpec`` that ``flyte deploy`` would send."""
    from flyte.extras import serialize as flyte_serialize

    return flyte_serialize(task, context2(root)).SerializeToString(deterministic=True)


def to_inputs2(task: Any, values: dict[str, Any]) -> Any:
    """Turn inputs into a ``flyteidl2.task.Inputs``; the task's defaults fill what is not given."""
    from flyte._internal.runtime.convert import convert_from_native_to_inputs

    return _await(convert_from_native_to_inputs(task.native_interface, **values)).proto_inputs


def from_outputs2(task: Any, outputs: Any) -> Any:
    """Turn a ``flyteidl2.task.Outputs`` into what the function returned."""
    from flyte._internal.runtime.convert import Outputs, convert_outputs_to_native

    return _await(convert_outputs_to_native(task.native_interface, Outputs(proto_outputs=outputs)))


def _await(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the SDK's to its end from tests of both colours: in a thread, on a loop of its own."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(asyncio.run, coroutine).result()
