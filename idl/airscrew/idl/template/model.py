"""
The parts of a task template, the same for both wire forms.

All of it is frozen. Maps are plain dicts that nobody changes. A literal type stays a
``flyteidl.core.LiteralType`` for templates of either form: the two are the same on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from flyteidl.core.types_pb2 import LiteralType


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """What every part of a template has in common."""


class TargetKind(StrEnum):
    """What a template runs, if it says so itself."""

    NONE = "none"
    CONTAINER = "container"
    K8S_POD = "k8s_pod"
    SQL = "sql"


class TaskId(_Part, frozen=True, kw_only=True):
    """Who the task is; project, domain and version are empty before registration."""

    project: str = ""
    domain: str = ""
    name: str = ""
    version: str = ""
    org: str = ""


class LogLinkTemplate(_Part, frozen=True, kw_only=True):
    """A log link that the author gives, its address still with template variables."""

    name: str = ""
    uri: str = ""
    show_while_pending: bool = False
    hide_once_finished: bool = False


class RetryBackoff(_Part, frozen=True, kw_only=True):
    """How long to wait between attempts, as the author of a Flyte 2 task asks."""

    base_seconds: float = 0.0
    factor: float | None = None
    cap_seconds: float | None = None


class TaskMetadata(_Part, frozen=True, kw_only=True):
    """
    How the task wants to be run.

    Attributes:
        retries: How many more attempts the author allows.
        timeout_seconds: The bound of one attempt; None for no bound.
        queued_timeout_seconds: The bound of waiting for resources (Flyte 2).
        deadline_seconds: The bound of all attempts together (Flyte 2).
        interruptible: Whether it may run on machines that can be taken away; None when not said.
        discoverable: Whether its outputs may be taken from the cache.
        discovery_version: The cache version.
        generates_deck: Whether it writes a deck; None when not said.
        runtime_version: The version of the SDK that wrote the template.
        code_bundle_uri: Where the code lies (Flyte 2).
    """

    retries: int = 0
    timeout_seconds: float | None = None
    queued_timeout_seconds: float | None = None
    deadline_seconds: float | None = None
    backoff: RetryBackoff | None = None
    interruptible: bool | None = None
    discoverable: bool = False
    discovery_version: str = ""
    cache_serializable: bool = False
    cache_ignore_input_vars: tuple[str, ...] = ()
    cache_max_age_seconds: float | None = None
    pod_template_name: str = ""
    generates_deck: bool | None = None
    is_eager: bool = False
    is_entrypoint: bool = False
    debuggable: bool = False
    deprecated: str = ""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    runtime_version: str = ""
    runtime_flavor: str = ""
    code_bundle_uri: str = ""
    log_links: tuple[LogLinkTemplate, ...] = ()


class Variable(_Part, frozen=True, kw_only=True):
    """One input or output."""

    type: LiteralType
    description: str = ""


class Interface(_Part, frozen=True, kw_only=True):
    """
    The inputs and outputs by name.

    In the author's order where the wire keeps it (Flyte 2), else by name.
    """

    inputs: Mapping[str, Variable] = msgspec.field(default_factory=dict[str, Variable])
    outputs: Mapping[str, Variable] = msgspec.field(default_factory=dict[str, Variable])


class Resources(_Part, frozen=True, kw_only=True):
    """Requests and limits as Kubernetes quantities, by name: ``cpu``, ``memory``, ``gpu``, ``ephemeral-storage``."""

    requests: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    limits: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


class ContainerPort(_Part, frozen=True, kw_only=True):
    """A port that the container listens on."""

    port: int
    name: str = ""


class DataConfig(_Part, frozen=True, kw_only=True):
    """
    How a raw container gets its inputs as files and gives its outputs.

    Attributes:
        format: Of the map of all inputs: ``JSON``, ``YAML`` or ``PROTO``.
        download_mode: ``DOWNLOAD_EAGER``, ``DOWNLOAD_STREAM`` or ``DO_NOT_DOWNLOAD``.
        upload_mode: ``UPLOAD_ON_EXIT``, ``UPLOAD_EAGER`` or ``DO_NOT_UPLOAD``.
    """

    enabled: bool = False
    input_path: str = ""
    output_path: str = ""
    format: str = "JSON"
    download_mode: str = "DOWNLOAD_EAGER"
    upload_mode: str = "UPLOAD_ON_EXIT"


class Container(_Part, frozen=True, kw_only=True):
    """One container, still with template variables in its command and args."""

    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    resources: Resources = Resources()
    ports: tuple[ContainerPort, ...] = ()
    data_config: DataConfig | None = None
    architecture: str = "UNKNOWN"
    config: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


class K8sPod(_Part, frozen=True, kw_only=True):
    """A whole Pod; numbers in ``pod_spec`` that are whole are ints, as Kubernetes wants them."""

    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    pod_spec: Mapping[str, object] = msgspec.field(default_factory=dict[str, object])
    data_config: DataConfig | None = None
    primary_container_name: str = ""


class Sql(_Part, frozen=True, kw_only=True):
    """A statement for a warehouse; the dialect is ``UNDEFINED``, ``ANSI``, ``HIVE`` or ``OTHER``."""

    statement: str = ""
    dialect: str = "UNDEFINED"


class SecretRef(_Part, frozen=True, kw_only=True):
    """Which secret the task wants and how; never its value. The mount is ``ANY``, ``ENV_VAR`` or ``FILE``."""

    group: str = ""
    key: str = ""
    version: str = ""
    mount_requirement: str = "ANY"
    env_var: str = ""


class RunAs(_Part, frozen=True, kw_only=True):
    """The identity that the task wants to run with."""

    iam_role: str = ""
    k8s_service_account: str = ""
    execution_identity: str = ""


class SecurityContext(_Part, frozen=True, kw_only=True):
    """Identity and secrets."""

    run_as: RunAs = RunAs()
    secrets: tuple[SecretRef, ...] = ()


class Accelerator(_Part, frozen=True, kw_only=True):
    """
    A kind of accelerator.

    Attributes:
        device: As ``nvidia-tesla-t4``.
        partition_size: Of a partitioned one; None when not said.
        unpartitioned: True when a whole one is asked for by name.
        device_class: ``NVIDIA_GPU``, ``GOOGLE_TPU``… (Flyte 2; the first one otherwise).
    """

    device: str = ""
    partition_size: str | None = None
    unpartitioned: bool = False
    device_class: str = "NVIDIA_GPU"


class SharedMemory(_Part, frozen=True, kw_only=True):
    """Memory that the task's processes share; the size is a quantity, empty for no bound."""

    mount_path: str = ""
    mount_name: str = ""
    size_limit: str = ""


class ExtendedResources(_Part, frozen=True, kw_only=True):
    """What is asked for beyond requests and limits."""

    accelerator: Accelerator | None = None
    shared_memory: SharedMemory | None = None
