"""
Which message some bytes are, strictly.

Protobuf parses almost anything as almost anything. A message is taken for a template only when it
has no unknown field at its top or in its id, and has a type, an id with a name, and the resource
type of a task. A ``TaskSpec`` and a ``TaskTemplate`` exclude one another: field 1 of the one
begins with a message, of the other with a number.

The two wire forms share their fields. A template is of Flyte 2 when the SDK that wrote it says so by its version, or
when it uses fields that Flyte 2 alone has, or calls the entry point of Flyte 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airscrew.idl.errors import UsageError
from airscrew.idl.template.loaded import Loaded, LoadedTemplate, Skipped
from airscrew.idl.template.task_template import template_from_message
from airscrew.idl.wire import WireError, WireForm, flyte2_module

if TYPE_CHECKING:
    from google.protobuf.message import Message

MessageT = TypeVar("MessageT", bound="Message")

FLYTE2_ONLY: Mapping[str, frozenset[int]] = {
    "": frozenset({19, 20}),
    "metadata": frozenset({17, 18, 19, 20, 21, 22, 23, 24}),
}
"""Field numbers of ``flyteidl2.core.TaskTemplate`` that Flyte 1 does not have, by the path of their message."""

_TASK_RESOURCES = (0, 1)
_WORKFLOW = 2
_LAUNCH_PLAN = 3


def read_binary(data: bytes, source: str) -> Loaded | None:
    """
    Read a serialized template, or tell by None that it is none.

    Raises:
        UsageError: It is one, but too large, or of Flyte 2 while that extra is not installed.
    """
    try:
        loaded = _read_task_spec(data, source) or _read_bare(data, source)
    except WireError:
        return None  # of the one form outside and not of the other inside: none at all
    if loaded is not None:
        return Loaded(templates=(loaded,))
    skipped = _read_workflow(data, source) or _read_launch_plan(data, source)
    return Loaded(skipped=(skipped,)) if skipped else None


def untried() -> str:
    """Say, for the end of an error, that Flyte 2 could not be tried; nothing when it could."""
    try:
        flyte2_module("core.tasks_pb2")
    except UsageError:
        return " (not the forms of Flyte 2, which need: pip install airscrew[flyte2])"
    return ""


def _read_task_spec(data: bytes, source: str) -> LoadedTemplate | None:
    from flyteidl.admin.task_pb2 import TaskSpec

    spec = strictly(TaskSpec, data)
    if spec is None or not is_task(spec.template):
        return _read_flyte2_spec(data, source)
    if wire_form(spec.template) is WireForm.FLYTE1:
        return _loaded(spec.template, WireForm.FLYTE1, source, "flyteidl.admin.TaskSpec")
    return _read_flyte2_spec(data, source) or _loaded(spec.template, WireForm.FLYTE2, source, "flyteidl.admin.TaskSpec")


def _read_flyte2_spec(data: bytes, source: str) -> LoadedTemplate | None:
    try:
        task_spec = flyte2_module("task.task_definition_pb2").TaskSpec
    except UsageError:
        if _begins_with_flyte2_template(data):
            raise
        return None
    spec = strictly(task_spec, data)
    if spec is None or not is_task(spec.task_template):
        return None
    return from_flyte2_spec(spec, source, "binary")


def from_flyte2_spec(spec: Any, source: str, encoding: str) -> LoadedTemplate:  # noqa: ANN401 - generated code
    """
    Take the template and the default inputs out of a ``flyteidl2.task.TaskSpec``.

    Raises:
        UsageError: The template is too large.
    """
    from flyteidl.core.literals_pb2 import Literal

    defaults = {
        named.name: Literal.FromString(named.parameter.default.SerializeToString())
        for named in spec.default_inputs
        if named.parameter.HasField("default")
    }
    return LoadedTemplate(
        template=template_from_message(spec.task_template, WireForm.FLYTE2),
        source=source,
        form=f"flyteidl2.task.TaskSpec ({encoding})",
        default_inputs=defaults,
    )


def _begins_with_flyte2_template(data: bytes) -> bool:
    """Tell a Flyte 2 TaskSpec by its first field, when its own classes are not there to try."""
    from flyteidl.core.tasks_pb2 import TaskTemplate
    from google.protobuf.wrappers_pb2 import BytesValue

    first_field = _parsed(BytesValue, data)
    template = None if first_field is None else _parsed(TaskTemplate, first_field.value)
    return template is not None and is_task(template) and wire_form(template) is WireForm.FLYTE2


def _read_bare(data: bytes, source: str) -> LoadedTemplate | None:
    from flyteidl.core.tasks_pb2 import TaskTemplate

    template = _parsed(TaskTemplate, data)
    if template is None or not is_task(template):
        return None
    if wire_form(template) is WireForm.FLYTE1:
        return (
            None
            if unknown_fields(template)
            else _loaded(template, WireForm.FLYTE1, source, "flyteidl.core.TaskTemplate")
        )
    own = strictly(flyte2_module("core.tasks_pb2").TaskTemplate, data)
    return None if own is None else _loaded(own, WireForm.FLYTE2, source, "flyteidl2.core.TaskTemplate")


def _read_workflow(data: bytes, source: str) -> Skipped | None:
    from flyteidl.admin.workflow_pb2 import WorkflowSpec

    spec = strictly(WorkflowSpec, data)
    if spec is None or spec.template.id.resource_type != _WORKFLOW:
        return None
    return skipped_workflow(source, spec.template.id.name)


def skipped_workflow(source: str, name: str) -> Skipped:
    """Say why a workflow is not run."""
    return Skipped(source=source, reason=f"is the workflow {name!r}: only tasks run here, run its tasks one by one")


def _read_launch_plan(data: bytes, source: str) -> Skipped | None:
    from flyteidl.admin.launch_plan_pb2 import LaunchPlan

    plan = strictly(LaunchPlan, data)
    if plan is None or plan.id.resource_type != _LAUNCH_PLAN:
        return None
    return Skipped(source=source, reason=f"is the launch plan {plan.id.name!r}: only tasks run here")


def is_task(template: Any) -> bool:  # noqa: ANN401 - generated code
    """Tell whether a parsed ``core.TaskTemplate`` of either form can be meant as one."""
    return bool(
        template.HasField("id")
        and template.id.name
        and template.id.resource_type in _TASK_RESOURCES
        and template.type
        and template.type.isprintable()
        and not unknown_fields(template.id)
        and unknown_fields(template) <= FLYTE2_ONLY[""]
    )


def wire_form(template: Any) -> WireForm:  # noqa: ANN401 - generated code
    """Tell which generation wrote a template that was parsed as one of Flyte 1."""
    runtime = template.metadata.runtime
    major = runtime.version.partition(".")[0]
    if runtime.type == runtime.FLYTE_SDK and major.isdecimal() and int(major) > 0:
        return WireForm.FLYTE2 if int(major) > 1 else WireForm.FLYTE1
    newer = unknown_fields(template) | (unknown_fields(template.metadata) & FLYTE2_ONLY["metadata"])
    calls_flyte2 = list(template.container.args[:1]) == ["a0"]
    return WireForm.FLYTE2 if newer or calls_flyte2 else WireForm.FLYTE1


def unknown_fields(message: Message) -> frozenset[int]:
    """Give the numbers of the fields at the top of a message that its class does not know."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    fields = UnknownFieldSet(message)
    return frozenset(fields[number].field_number for number in range(len(fields)))


def strictly(message_type: type[MessageT], data: bytes) -> MessageT | None:
    """Parse a message that has no unknown field at its top."""
    message = _parsed(message_type, data)
    return None if message is None or unknown_fields(message) else message


def _parsed(message_type: type[MessageT], data: bytes) -> MessageT | None:
    from google.protobuf.message import DecodeError

    try:
        return message_type.FromString(data)
    except DecodeError:
        return None


def _loaded(template: Message, wire: WireForm, source: str, form: str) -> LoadedTemplate:
    return LoadedTemplate(template=template_from_message(template, wire), source=source, form=f"{form} (binary)")
