"""
What is sent to make a job: the service that a task means, and the body made of inputs and custom.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_job.bodies import MissingValueError, fill, foreign_variables
from airscrew.plugins.http_job.config import DEFAULT_TYPE
from airscrew.plugins.http_job.decide import Rules
from airscrew.plugins.http_job.outputs import inputs_to_json
from airscrew.plugins.http_job.paths import as_object
from airscrew.plugins.http_job.state import HttpJobState

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap


def service_name(template: TaskTemplate, known: Collection[str]) -> str:
    """
    Say which service a task means: that of its task type, or for ``http_job`` the one in ``custom.service``.

    Raises:
        PermanentError: It names none.
    """
    if template.type != DEFAULT_TYPE:
        return template.type
    named = template.custom.get("service")
    if isinstance(named, str) and named:
        return named
    if DEFAULT_TYPE in known:
        return DEFAULT_TYPE
    raise PermanentError(
        f"the task names no service: set custom.service to one of {', '.join(known)}", code="BadTaskSpecification"
    )


async def build_body(rules: Rules, context: TaskContext[HttpJobState], template: TaskTemplate) -> object:
    """
    Fill in the service's body.

    Raises:
        PermanentError: The task lacks a value that the body needs.
    """
    shape = rules.service.create.body
    if shape is None:
        return None
    try:
        return fill(shape, _values(context, template, await context.inputs()), await _render(shape, context))
    except MissingValueError as error:
        raise PermanentError(
            f"the request to {rules.name} needs {error}, which the task does not have", code="BadTaskSpecification"
        ) from error


async def _render(shape: object, context: TaskContext[HttpJobState]) -> dict[str, str]:
    """Let the engine say what the variables are that are its own, as locations."""
    names = foreign_variables(shape)
    if not names:
        return {}
    await context.place_inputs()
    return dict(zip(names, await context.render(names), strict=True))


def _values(context: TaskContext[HttpJobState], template: TaskTemplate, inputs: LiteralMap) -> Mapping[str, object]:
    # Numbers of a Struct are doubles; services that want an int refuse 3.0.
    custom = struct_to_json(template.message.custom, whole_as_int=True)
    return {
        "inputs": inputs_to_json(inputs, template),
        "custom": custom,
        "parameters": as_object(custom.get("parameters")),
        "key": context.key,
        "name": context.task_name,
        "attempt": context.attempt,
        "execution": str(context.execution),
        "taskType": context.task_type,
    }
