"""
``TaskTemplate``: one task as both wire forms give it.

A template is its bytes: two are equal when their wire form and bytes are, and everything
else is decoded when it is first asked for. Decoding checks the size and parses once;
a part that nobody reads costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from typing_extensions import override

from airscrew.idl.errors import UsageError
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template import decode
from airscrew.idl.template.model import (
    Container,
    ExtendedResources,
    Interface,
    K8sPod,
    SecurityContext,
    Sql,
    TargetKind,
    TaskId,
    TaskMetadata,
)
from airscrew.idl.wire import WireForm, canonical_bytes, flyte2_module, parse_message

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_TEMPLATE_BYTES = 900_000
"""No template may be larger: it has to fit into one value of every store (etcd refuses 1.5 MB)."""


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class TaskTemplate:
    """
    One task.

    Attributes:
        wire: The generation of messages that ``raw`` is in.
        raw: The serialized ``core.TaskTemplate`` in its own wire form, fit to be written as ``task.pb``.
    """

    wire: WireForm
    raw: bytes

    @override
    def __repr__(self) -> str:
        return f"<TaskTemplate {self.name!r} of type {self.type!r}, {self.wire}, {len(self.raw)} bytes>"

    @cached_property
    def message(self) -> Any:  # noqa: ANN401 - generated code without types
        """The template as ``flyteidl.core.TaskTemplate``, whatever its form; not to be changed."""
        from flyteidl.core.tasks_pb2 import TaskTemplate as Message1

        return parse_message(Message1, self.raw, "the task template")

    @cached_property
    def own_message(self) -> Any:  # noqa: ANN401 - generated code without types
        """The template as the ``core.TaskTemplate`` of its own form; not to be changed."""
        if self.wire is WireForm.FLYTE1:
            return self.message
        return parse_message(flyte2_module("core.tasks_pb2").TaskTemplate, self.raw, "the task template")

    @property
    def _flyte2(self) -> Any | None:  # noqa: ANN401 - generated code without types
        return self.own_message if self.wire is WireForm.FLYTE2 else None

    @property
    def type(self) -> str:
        """The task type: it picks the executor."""
        return str(self.message.type)

    @property
    def version(self) -> int:
        """The version of the task type (``task_type_version``)."""
        return int(self.message.task_type_version)

    @cached_property
    def id(self) -> TaskId:
        """Who the task is."""
        return decode.task_id(self.message.id)

    @property
    def name(self) -> str:
        """The task's name, as ``module.function``."""
        return self.id.name

    @cached_property
    def metadata(self) -> TaskMetadata:
        """How the task wants to be run."""
        return decode.task_metadata(self.message.metadata, self._flyte2.metadata if self._flyte2 else None)

    @cached_property
    def interface(self) -> Interface:
        """Inputs and outputs."""
        return decode.interface(self.message.interface, self._flyte2.interface if self._flyte2 else None)

    @cached_property
    def declared_outputs(self) -> bytes:
        """The declared outputs as a serialized v1 VariableMap, without descriptions; empty when there are none."""
        if not self.interface.outputs:
            return b""
        from flyteidl.core.interface_pb2 import Variable, VariableMap

        outputs = self.interface.outputs.items()
        variables = {name: Variable(type=variable.type, description="") for name, variable in outputs}
        return bytes(VariableMap(variables=variables).SerializeToString(deterministic=True))

    @cached_property
    def target(self) -> TargetKind:
        """What the template runs: exactly one of container, k8s_pod and sql is set, or none."""
        return decode.target_kind(self.message)

    @cached_property
    def container(self) -> Container | None:
        """The container, when that is the target."""
        return decode.container(self.message.container) if self.target is TargetKind.CONTAINER else None

    @cached_property
    def k8s_pod(self) -> K8sPod | None:
        """The Pod, when that is the target."""
        return decode.k8s_pod(self.message.k8s_pod) if self.target is TargetKind.K8S_POD else None

    @cached_property
    def sql(self) -> Sql | None:
        """The statement, when that is the target."""
        return decode.sql(self.message.sql) if self.target is TargetKind.SQL else None

    @cached_property
    def custom(self) -> Mapping[str, object]:
        """The message that describes the task to its plugin, as plain JSON; numbers are doubles, as on the wire."""
        return struct_to_json(self.message.custom)

    @cached_property
    def config(self) -> Mapping[str, str]:
        """Free configuration."""
        return decode.sorted_map(self.message.config)

    @cached_property
    def security_context(self) -> SecurityContext:
        """Identity and secrets."""
        return decode.security_context(self.message.security_context)

    @cached_property
    def extended_resources(self) -> ExtendedResources:
        """Accelerator and shared memory."""
        own = self._flyte2
        return decode.extended_resources(self.message.extended_resources, own.extended_resources if own else None)

    @cached_property
    def content_hash(self) -> str:
        """The hash that the store keeps the template under."""
        return content_hash(self.raw)

    def to_json(self) -> dict[str, object]:
        """The template in protobuf's JSON form, with the names that the SDKs write."""
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(self.own_message)


def decode_template(raw: bytes, wire: WireForm) -> TaskTemplate:
    """
    Take the bytes of a ``core.TaskTemplate`` as they are.

    Raises:
        UsageError: It is larger than ``MAX_TEMPLATE_BYTES``, or its wire form is not installed.
        WireError: The bytes are no template of that form.
    """
    if len(raw) > MAX_TEMPLATE_BYTES:
        raise UsageError(
            f"the task template has {len(raw):,} bytes and the limit is {MAX_TEMPLATE_BYTES:,}: "
            "pass large values as inputs or files"
        )
    template = TaskTemplate(wire=wire, raw=raw)
    _ = template.own_message  # parsed now, so that bad bytes are met here and nowhere later
    return template


def template_from_message(message: Message, wire: WireForm) -> TaskTemplate:
    """
    Take a ``core.TaskTemplate`` message; equal messages give equal templates.

    Raises:
        UsageError: It is larger than ``MAX_TEMPLATE_BYTES``, or its wire form is not installed.
    """
    return decode_template(canonical_bytes(message), wire)


def content_hash(raw: bytes) -> str:
    """Hash the bytes of a template: 32 hexadecimal digits."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
