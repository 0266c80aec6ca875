"""
Templates built by hand: for tests, and for programs that have no SDK.

What is built decodes into the parts that it was built of; tests/unit/idl hold this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airscrew.idl.literals.python_types import literal_type_of
from airscrew.idl.struct_fields import json_to_struct
from airscrew.idl.template.model import (
    Container,
    DataConfig,
    ExtendedResources,
    K8sPod,
    SecurityContext,
    Sql,
    TaskId,
    TaskMetadata,
)
from airscrew.idl.template.task_template import TaskTemplate, template_from_message
from airscrew.idl.wire import WireForm

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from airscrew.idl.template.model import Resources

_Proto = Any
"""A message of flyteidl, whose generated code mypy does not see."""


def make_template(
    task_type: str,
    *,
    name: str = "task",
    task_id: TaskId | None = None,
    type_version: int = 0,
    inputs: Mapping[str, object] | None = None,
    outputs: Mapping[str, object] | None = None,
    target: Container | K8sPod | Sql | None = None,
    custom: Mapping[str, object] | Message | None = None,
    config: Mapping[str, str] | None = None,
    metadata: TaskMetadata | None = None,
    security_context: SecurityContext | None = None,
    extended_resources: ExtendedResources | None = None,
) -> TaskTemplate:
    """
    Build a template in the wire form of Flyte 1.

    Args:
        task_type: Picks the executor.
        name: The task's name, unless ``task_id`` gives all of the identity.
        task_id: Who the task is.
        type_version: The version of the task type.
        inputs: Name to Python type (``int``, ``list[str]``, ``int | None``, an Enum, a dataclass…) or ``LiteralType``.
        outputs: Likewise.
        target: What it runs.
        custom: The message that describes the task to its plugin: plain JSON or a protobuf message.
        config: Free configuration.
        metadata: How it wants to be run; what Flyte 2 alone knows is left out.
        security_context: Identity and secrets.
        extended_resources: Accelerator and shared memory.

    Raises:
        TypeError: A type has no literal type.
        ValueError: A value does not fit its field.
        UsageError: The template is too large.
    """
    from flyteidl.core.tasks_pb2 import TaskTemplate as Message1

    message: _Proto = Message1(type=task_type, task_type_version=type_version, config=dict(config or {}))
    _set_id(message.id, task_id or TaskId(name=name))
    _set_variables(message.interface.inputs.variables, inputs or {})
    _set_variables(message.interface.outputs.variables, outputs or {})
    _set_target(message, target)
    _set_metadata(message.metadata, metadata or TaskMetadata())
    if custom is not None:
        message.custom.CopyFrom(json_to_struct(_plain(custom)))
    if security_context is not None:
        _set_security(message.security_context, security_context)
    if extended_resources is not None:
        _set_extended(message.extended_resources, extended_resources)
    return template_from_message(message, WireForm.FLYTE1)


def _plain(custom: Mapping[str, object] | Message) -> Mapping[str, object]:
    if isinstance(custom, Mapping):
        return custom
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(custom)


def _set_id(message: _Proto, task_id: TaskId) -> None:
    message.resource_type = 1
    message.project, message.domain, message.org = task_id.project, task_id.domain, task_id.org
    message.name, message.version = task_id.name, task_id.version


def _set_variables(variables: _Proto, types: Mapping[str, object]) -> None:
    for name, python_type in types.items():
        variables[name].type.CopyFrom(literal_type_of(python_type))


def _set_target(message: _Proto, target: Container | K8sPod | Sql | None) -> None:
    match target:
        case Container():
            _set_container(message.container, target)
        case K8sPod():
            _set_pod(message.k8s_pod, target)
        case Sql():
            message.sql.statement = target.statement
            message.sql.dialect = message.sql.Dialect.Value(target.dialect)
        case None:
            pass


def _set_container(message: _Proto, container: Container) -> None:
    message.image = container.image
    message.command.extend(container.command)
    message.args.extend(container.args)
    for key, value in container.env.items():
        message.env.add(key=key, value=value)
    for key, value in container.config.items():
        message.config.add(key=key, value=value)
    for port in container.ports:
        message.ports.add(container_port=port.port, name=port.name)
    message.architecture = message.Architecture.Value(container.architecture)
    _set_resources(message.resources, container.resources)
    _set_data_config(message, container.data_config)


def _set_resources(message: _Proto, resources: Resources) -> None:
    for entries, quantities in ((message.requests, resources.requests), (message.limits, resources.limits)):
        for name, value in quantities.items():
            entries.add(name=message.ResourceName.Value(name.upper().replace("-", "_")), value=value)


def _set_pod(message: _Proto, pod: K8sPod) -> None:
    message.metadata.labels.update(pod.labels)
    message.metadata.annotations.update(pod.annotations)
    message.pod_spec.CopyFrom(json_to_struct(pod.pod_spec))
    message.primary_container_name = pod.primary_container_name
    _set_data_config(message, pod.data_config)


def _set_data_config(message: _Proto, config: DataConfig | None) -> None:
    if config is None:
        return
    target = message.data_config
    target.SetInParent()
    target.enabled, target.input_path, target.output_path = config.enabled, config.input_path, config.output_path
    target.format = target.LiteralMapFormat.Value(config.format)
    target.io_strategy.download_mode = target.io_strategy.DownloadMode.Value(config.download_mode)
    target.io_strategy.upload_mode = target.io_strategy.UploadMode.Value(config.upload_mode)


def _set_metadata(message: _Proto, metadata: TaskMetadata) -> None:
    message.retries.retries = metadata.retries
    if metadata.timeout_seconds:
        message.timeout.FromNanoseconds(round(metadata.timeout_seconds * 1e9))
    if metadata.interruptible is not None:
        message.interruptible = metadata.interruptible
    if metadata.generates_deck is not None:
        message.generates_deck.value = metadata.generates_deck
    message.discoverable = metadata.discoverable
    message.discovery_version = metadata.discovery_version
    message.cache_serializable = metadata.cache_serializable
    message.cache_ignore_input_vars.extend(metadata.cache_ignore_input_vars)
    message.pod_template_name = metadata.pod_template_name
    message.is_eager = metadata.is_eager
    message.deprecated_error_message = metadata.deprecated
    message.tags.update(metadata.tags)
    message.metadata.labels.update(metadata.labels)
    message.metadata.annotations.update(metadata.annotations)
    message.runtime.version, message.runtime.flavor = metadata.runtime_version, metadata.runtime_flavor


def _set_security(message: _Proto, context: SecurityContext) -> None:
    message.run_as.iam_role = context.run_as.iam_role
    message.run_as.k8s_service_account = context.run_as.k8s_service_account
    message.run_as.execution_identity = context.run_as.execution_identity
    for ref in context.secrets:
        secret = message.secrets.add(group=ref.group, key=ref.key, group_version=ref.version, env_var=ref.env_var)
        secret.mount_requirement = secret.MountType.Value(ref.mount_requirement)


def _set_extended(message: _Proto, resources: ExtendedResources) -> None:
    accelerator, memory = resources.accelerator, resources.shared_memory
    if accelerator is not None:
        message.gpu_accelerator.device = accelerator.device
        if accelerator.partition_size is not None:
            message.gpu_accelerator.partition_size = accelerator.partition_size
        elif accelerator.unpartitioned:
            message.gpu_accelerator.unpartitioned = True
    if memory is not None:
        message.shared_memory.SetInParent()
        message.shared_memory.mount_path = memory.mount_path
        message.shared_memory.mount_name = memory.mount_name
        message.shared_memory.size_limit = memory.size_limit
