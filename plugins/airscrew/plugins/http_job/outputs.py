"""
A task's outputs out of a job's JSON, and its inputs into JSON, by the types that the task declares. Pure.

The types are kept in the state, for the template is only there when a job is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import AirscrewError, UsageError
from airscrew.idl.literals import from_json, to_json
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_job.config import Service
from airscrew.plugins.http_job.paths import as_object

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap


class OutputsError(AirscrewError):
    """A job's result does not fit the declared outputs."""


def output_types(name: str, service: Service, template: TaskTemplate) -> dict[str, Any]:
    """
    Write the declared outputs as JSON.

    Raises:
        PermanentError: There are some, and the service's configuration does not say where its result is.
    """
    from google.protobuf.json_format import MessageToDict

    declared = template.interface.outputs
    if declared and not service.outputs:
        raise PermanentError(
            f"the task has outputs, but services.{name}.outputs does not say where a job holds them",
            code="BadTaskSpecification",
        )
    return {output: MessageToDict(variable.type) for output, variable in declared.items()}


def outputs_from_json(types: Mapping[str, Any], result: object) -> LiteralMap:
    """
    Read the declared outputs from a job's result: an object by their names, or the value of the only one.

    Raises:
        OutputsError: It does not fit; names the output.
    """
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from google.protobuf.json_format import ParseDict

    outputs = LiteralMap()
    named = as_object(result)
    for name, declared in types.items():
        value = result if len(types) == 1 and name not in named else named.get(name)
        try:
            outputs.literals[name].CopyFrom(from_json(value, ParseDict(declared, LiteralType()), name))
        except UsageError as error:
            raise OutputsError(str(error)) from error
    return outputs


def inputs_to_json(inputs: LiteralMap, template: TaskTemplate) -> dict[str, object]:
    """Write a task's inputs as JSON by their types."""
    declared = template.interface.inputs
    return {
        name: to_json(literal, declared[name].type if name in declared else None)
        for name, literal in inputs.literals.items()
    }
