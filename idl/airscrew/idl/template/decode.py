"""
From protobuf messages to the parts of a template.

Every function takes a message of Flyte 1 (a template of Flyte 2 is parsed as one, since its
shared fields are the same on the wire, and tests/unit/idl hold that they stay so). Where Flyte 2 knows more,
its own message comes as the second argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template.model import (
    Accelerator,
    Container,
    ContainerPort,
    DataConfig,
    ExtendedResources,
    Interface,
    K8sPod,
    LogLinkTemplate,
    Resources,
    RetryBackoff,
    RunAs,
    SecretRef,
    SecurityContext,
    SharedMemory,
    Sql,
    TargetKind,
    TaskId,
    TaskMetadata,
    Variable,
)

_Proto = Any
"""A message of flyteidl, whose generated code mypy does not see."""

_NANO = 1e-9


def target_kind(message: _Proto) -> TargetKind:
    """Tell what the template runs."""
    return TargetKind(message.WhichOneof("target") or "none")


def task_id(message: _Proto) -> TaskId:
    """Decode ``core.Identifier``."""
    return TaskId(
        project=message.project, domain=message.domain, name=message.name, version=message.version, org=message.org
    )


def task_metadata(message: _Proto, flyte2: _Proto | None) -> TaskMetadata:
    """Decode ``core.TaskMetadata``."""
    return TaskMetadata(
        retries=message.retries.retries,
        timeout_seconds=_seconds(message, "timeout"),
        interruptible=message.interruptible if message.HasField("interruptible") else None,
        discoverable=message.discoverable,
        discovery_version=message.discovery_version,
        cache_serializable=message.cache_serializable,
        cache_ignore_input_vars=tuple(message.cache_ignore_input_vars),
        pod_template_name=message.pod_template_name,
        generates_deck=message.generates_deck.value if message.HasField("generates_deck") else None,
        is_eager=message.is_eager,
        deprecated=message.deprecated_error_message,
        tags=sorted_map(message.tags),
        labels=sorted_map(message.metadata.labels),
        annotations=sorted_map(message.metadata.annotations),
        runtime_version=message.runtime.version,
        runtime_flavor=message.runtime.flavor,
        **(_flyte2_metadata(flyte2) if flyte2 is not None else {}),
    )


def _flyte2_metadata(message: _Proto) -> dict[str, Any]:
    return {
        "queued_timeout_seconds": _seconds(message.timeouts, "queued_timeout"),
        "deadline_seconds": _seconds(message.timeouts, "deadline"),
        "backoff": _backoff(message.retries.backoff) if message.retries.HasField("backoff") else None,
        "cache_max_age_seconds": _seconds(message, "cache_max_age"),
        "is_entrypoint": message.is_entrypoint,
        "debuggable": message.debuggable,
        "code_bundle_uri": message.code_bundle_uri,
        "log_links": tuple(
            LogLinkTemplate(
                name=link.name,
                uri=link.uri,
                show_while_pending=link.ShowWhilePending,
                hide_once_finished=link.HideOnceFinished,
            )
            for link in message.log_links
        ),
    }


def _backoff(message: _Proto) -> RetryBackoff:
    return RetryBackoff(
        base_seconds=_seconds(message, "base") or 0.0,
        factor=message.factor if message.HasField("factor") else None,
        cap_seconds=_seconds(message, "cap"),
    )


def interface(message: _Proto, flyte2: _Proto | None) -> Interface:
    """Decode ``core.TypedInterface``; the order is the wire's where it has one, else that of the names."""
    order = flyte2 or message
    return Interface(
        inputs=_variables(message.inputs.variables, _names(order.inputs.variables)),
        outputs=_variables(message.outputs.variables, _names(order.outputs.variables)),
    )


def _names(variables: _Proto) -> list[str]:
    if isinstance(variables, Mapping):
        return sorted(cast("Mapping[str, object]", variables))
    return [entry.key for entry in variables]


def _variables(variables: _Proto, names: Iterable[str]) -> dict[str, Variable]:
    return {
        name: Variable(type=variables[name].type, description=variables[name].description)
        for name in names
        if name in variables
    }


def container(message: _Proto) -> Container:
    """Decode ``core.Container``; of an environment variable given twice the last one stands."""
    return Container(
        image=message.image,
        command=tuple(message.command),
        args=tuple(message.args),
        env={pair.key: pair.value for pair in message.env},
        resources=Resources(
            requests=_quantities(message.resources.requests), limits=_quantities(message.resources.limits)
        ),
        ports=tuple(ContainerPort(port=port.container_port, name=port.name) for port in message.ports),
        data_config=_data_config(message),
        architecture=enum_name(message, "architecture"),
        config={pair.key: pair.value for pair in message.config},
    )


def k8s_pod(message: _Proto) -> K8sPod:
    """Decode ``core.K8sPod``."""
    return K8sPod(
        labels=sorted_map(message.metadata.labels),
        annotations=sorted_map(message.metadata.annotations),
        pod_spec=struct_to_json(message.pod_spec, whole_as_int=True),
        data_config=_data_config(message),
        primary_container_name=message.primary_container_name,
    )


def sql(message: _Proto) -> Sql:
    """Decode ``core.Sql``."""
    return Sql(statement=message.statement, dialect=enum_name(message, "dialect"))


def security_context(message: _Proto) -> SecurityContext:
    """Decode ``core.SecurityContext``."""
    run_as = message.run_as
    return SecurityContext(
        run_as=RunAs(
            iam_role=run_as.iam_role,
            k8s_service_account=run_as.k8s_service_account,
            execution_identity=run_as.execution_identity,
        ),
        secrets=tuple(
            SecretRef(
                group=secret.group,
                key=secret.key,
                version=secret.group_version,
                mount_requirement=enum_name(secret, "mount_requirement"),
                env_var=secret.env_var,
            )
            for secret in message.secrets
        ),
    )


def extended_resources(message: _Proto, flyte2: _Proto | None) -> ExtendedResources:
    """Decode ``core.ExtendedResources``."""
    gpu, memory = message.gpu_accelerator, message.shared_memory
    return ExtendedResources(
        accelerator=Accelerator(
            device=gpu.device,
            partition_size=gpu.partition_size if gpu.HasField("partition_size") else None,
            unpartitioned=gpu.unpartitioned,
            device_class="NVIDIA_GPU" if flyte2 is None else enum_name(flyte2.gpu_accelerator, "device_class"),
        )
        if message.HasField("gpu_accelerator")
        else None,
        shared_memory=SharedMemory(
            mount_path=memory.mount_path, mount_name=memory.mount_name, size_limit=memory.size_limit
        )
        if message.HasField("shared_memory")
        else None,
    )


def sorted_map(entries: Mapping[str, str]) -> dict[str, str]:
    """Copy a map field in the order of its keys: the wire has no order of its own."""
    return {key: entries[key] for key in sorted(entries)}


def enum_name(message: _Proto, field: str) -> str:
    """Give the name of an enum field's value, or its number when a newer peer sent one that is unknown here."""
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return str(value.name) if value is not None else str(number)


def _quantities(entries: Iterable[_Proto]) -> dict[str, str]:
    return {enum_name(entry, "name").lower().replace("_", "-"): entry.value for entry in entries}


def _data_config(message: _Proto) -> DataConfig | None:
    if not message.HasField("data_config"):
        return None
    config = message.data_config
    return DataConfig(
        enabled=config.enabled,
        input_path=config.input_path,
        output_path=config.output_path,
        format=enum_name(config, "format"),
        download_mode=enum_name(config.io_strategy, "download_mode"),
        upload_mode=enum_name(config.io_strategy, "upload_mode"),
    )


def _seconds(message: _Proto, field: str) -> float | None:
    if not message.HasField(field):
        return None
    duration = getattr(message, field)
    return float(duration.seconds + duration.nanos * _NANO) or None
