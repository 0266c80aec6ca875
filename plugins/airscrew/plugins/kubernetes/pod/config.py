"""
The configuration of the Pod executor, ``executors.pod``.

What is part of a Pod (tolerations, affinity, security contexts, requirements) is written as Kubernetes writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from airscrew.idl.quantity import read_quantity
from airscrew.plugins.kubernetes.pod.tree import Tree
from airscrew.plugins.settings import read_settings

SAFE_TO_EVICT = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration: an unknown key is an error that names it."""


class Interruptible(_Section, frozen=True, kw_only=True):
    """
    Where tasks go that may be interrupted, and where those go that may not.

    Attributes:
        tolerations: Added to Pods of interruptible attempts.
        node_selector: Likewise.
        requirement: A node selector requirement for them.
        non_interruptible_requirement: One for all others.
    """

    tolerations: tuple[Tree, ...] = ()
    node_selector: dict[str, str] = {}
    requirement: Tree | None = None
    non_interruptible_requirement: Tree | None = None


class DeviceClass(_Section, frozen=True, kw_only=True):
    """
    How nodes offer one class of accelerators.

    Attributes:
        resource_name: The extended resource that ``gpu`` stands for.
        device_label: The node label, and the taint, that say which device a node has.
        partition_label: The same for the size of a partition; empty where there are none.
        unpartitioned_requirement: What a node with whole devices has; else it has no ``partition_label``.
        unpartitioned_toleration: Added for whole devices.
    """

    resource_name: str
    device_label: str
    partition_label: str = ""
    unpartitioned_requirement: Tree | None = None
    unpartitioned_toleration: Tree | None = None


NVIDIA_GPU = "NVIDIA_GPU"
DEVICE_CLASSES = {
    NVIDIA_GPU: DeviceClass(
        resource_name="nvidia.com/gpu",
        device_label="k8s.amazonaws.com/accelerator",
        partition_label="k8s.amazonaws.com/gpu-partition-size",
    ),
    "GOOGLE_TPU": DeviceClass(
        resource_name="google.com/tpu",
        device_label="cloud.google.com/gke-tpu-accelerator",
        partition_label="cloud.google.com/gke-tpu-topology",
    ),
    "AMAZON_NEURON": DeviceClass(resource_name="aws.amazon.com/neuron", device_label="k8s.amazonaws.com/accelerator"),
    "AMD_GPU": DeviceClass(resource_name="amd.com/gpu", device_label="amd.com/gpu.product-name"),
    "HABANA_GAUDI": DeviceClass(resource_name="habana.ai/gaudi", device_label="k8s.amazonaws.com/accelerator"),
}


class Loader(_Section, frozen=True, kw_only=True):
    """
    The data loader of raw containers.

    Attributes:
        image: An image with airscrew; needed before a raw container runs.
        image_pull_policy: Kubernetes' own when empty.
        requests: What each of its containers asks for.
        limits: What they are held to.
        env: Variables for it, without secrets.
        env_from_secret: A Secret that holds its access to the storage, endpoints too, as variables; no other container
            sees it.
        max_file_bytes: What no file may exceed: each one is held in memory.
        upload_timeout: Seconds that it has for uploads once the task is over; the Pod's grace period.
    """

    image: str = ""
    image_pull_policy: str = ""
    requests: dict[str, str] = msgspec.field(default_factory=lambda: {"cpu": "100m", "memory": "128Mi"})
    limits: dict[str, str] = msgspec.field(default_factory=lambda: {"cpu": "500m", "memory": "512Mi"})
    env: dict[str, str] = {}
    env_from_secret: str = ""
    max_file_bytes: int = 256 * 1024 * 1024
    upload_timeout: int = 3600


class SecretPlaces(_Section, frozen=True, kw_only=True):
    """
    Where the secrets of tasks are.

    Attributes:
        default: The Secret with the keys that have no group.
        names: The Secret of a group, where it is not called like the group.
        any: How a task gets a secret when it does not mind: ``env`` or ``file``. A Secret that is missing is told
            at once for a variable, and only by an event for a file.
        directory: The folder of those that are files.
    """

    default: str = "airscrew-secrets"
    names: dict[str, str] = {}
    any: str = "env"
    directory: str = "/etc/secrets"


class Policy(_Section, frozen=True, kw_only=True):
    """
    What no Pod of a task may have unless it is allowed here, whoever asks for it.

    Attributes:
        privileged: Privileged containers.
        privilege_escalation: Processes with more rights than their parent; when off, every container is told so.
        root: Users with the number 0; when off, every Pod is told so.
        capabilities: Capabilities that may be added; ``*`` for all.
        host_paths: Folders of the node that may be mounted, with all below; ``/`` for all.
        host_network: The node's network, and ports of the node.
        host_namespaces: The node's processes and its IPC.
        unconfined: Profiles of seccomp and AppArmor that confine nothing, an unmasked ``/proc``.
        service_accounts: Which accounts a Pod may run under; null for the execution's and the configured one.
        node_name: A node by its name, past the scheduler.
        priority_classes: Priority classes that may be asked for; null for all.
        secrets: Secrets that a task's own Pod specification may refer to; null for all of its namespace.
    """

    privileged: bool = False
    privilege_escalation: bool = True
    root: bool = True
    capabilities: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    host_network: bool = False
    host_namespaces: bool = False
    unconfined: bool = False
    service_accounts: tuple[str, ...] | None = None
    node_name: bool = False
    priority_classes: tuple[str, ...] | None = None
    secrets: tuple[str, ...] | None = None


class LogTemplate(_Section, frozen=True, kw_only=True):
    """
    A log link for every task, or for those that ask for it.

    Attributes:
        name: What the link is called.
        uris: Addresses with template variables; the first is used for each link.
        link_type: Only for tasks whose ``config.link_type`` names it; empty for all.
        show_while_pending: Whether it leads anywhere before the task runs.
        hide_once_finished: Whether it leads nowhere afterwards.
    """

    name: str
    uris: tuple[str, ...]
    link_type: str = ""
    show_while_pending: bool = False
    hide_once_finished: bool = False


class Logs(_Section, frozen=True, kw_only=True):
    """
    Links to the logs of tasks.

    Attributes:
        kubernetes_url: The dashboard's address; empty for no links.
        kubernetes_template: Another address for it, with template variables.
        cloudwatch_region: With ``cloudwatch_log_group``: links to CloudWatch.
        cloudwatch_log_group: The group.
        stackdriver_project: Links to Google Cloud's logs.
        stackdriver_resource: What wrote them.
        templates: All others.
    """

    kubernetes_url: str = ""
    kubernetes_template: str = ""
    cloudwatch_region: str = ""
    cloudwatch_log_group: str = ""
    stackdriver_project: str = ""
    stackdriver_resource: str = "k8s_container"
    templates: tuple[LogTemplate, ...] = ()


class PodConfig(_Section, frozen=True, kw_only=True):
    """
    The configuration.

    Attributes:
        default_labels: For every Pod.
        default_annotations: Likewise.
        default_env: Variables for every container, under all others.
        default_env_from_engine: The same, each with the value of a variable of the engine.
        default_env_from_config_maps: ConfigMaps that become variables, if they are there.
        default_env_from_secrets: Secrets that do.
        default_requests: What a task's own container asks for if it does not say.
        max_resources: What no container may have more of.
        image_pull_policy: Kubernetes' own when empty.
        scheduler_name: The scheduler; empty for the cluster's.
        service_account: The account of Pods that do not name one.
        default_node_selector: For every Pod.
        default_tolerations: Likewise.
        resource_tolerations: Tolerations by the name of a resource that a container has.
        tolerate_resources: Resources whose nodes have a taint of their name, which Pods with them tolerate.
        default_affinity: For Pods that have none.
        default_pod_security_context: Likewise.
        default_security_context: For task containers that have none.
        default_dns_config: For Pods that have none.
        host_network: Whether Pods use the node's network; null to leave it to the task.
        pod_template: The PodTemplate under every Pod whose task names none; empty for none.
        pod_template_namespace: Where PodTemplates are that the execution's namespace does not have.
        interruptible: Where interruptible tasks go.
        accelerators: The classes of devices by their Flyte names, over the known ones.
        loader: The data loader of raw containers.
        secrets: Where secrets are.
        policy: What Pods may not have.
        logs: Links to logs.
        keep_logs: Whether the log of a task's container is kept beside its outputs.
        create_container_error_grace: Seconds before a container that cannot be made counts.
        create_container_config_error_grace: The same when it refers to what is not there.
        image_pull_grace: The same for an image that cannot be pulled.
        mount_grace: The same for a Secret or a ConfigMap that a volume needs and is not there.
    """

    default_labels: dict[str, str] = {}
    default_annotations: dict[str, str] = msgspec.field(default_factory=lambda: dict(SAFE_TO_EVICT))
    default_env: dict[str, str] = {}
    default_env_from_engine: dict[str, str] = {}
    default_env_from_config_maps: tuple[str, ...] = ()
    default_env_from_secrets: tuple[str, ...] = ()
    default_requests: dict[str, str] = msgspec.field(default_factory=lambda: {"cpu": "1", "memory": "1Gi"})
    max_resources: dict[str, str] = {}
    image_pull_policy: str = ""
    scheduler_name: str = ""
    service_account: str = ""
    default_node_selector: dict[str, str] = {}
    default_tolerations: tuple[Tree, ...] = ()
    resource_tolerations: dict[str, tuple[Tree, ...]] = {}
    tolerate_resources: tuple[str, ...] = ()
    default_affinity: Tree | None = None
    default_pod_security_context: Tree | None = None
    default_security_context: Tree | None = None
    default_dns_config: Tree | None = None
    host_network: bool | None = None
    pod_template: str = ""
    pod_template_namespace: str = ""
    interruptible: Interruptible = Interruptible()
    accelerators: dict[str, DeviceClass] = {}
    loader: Loader = Loader()
    secrets: SecretPlaces = SecretPlaces()
    policy: Policy = Policy()
    logs: Logs = Logs()
    keep_logs: bool = True
    create_container_error_grace: float = 180.0
    create_container_config_error_grace: float = 0.0
    image_pull_grace: float = 180.0
    mount_grace: float = 30.0

    def device_class(self, name: str) -> DeviceClass:
        """Give a class of devices by its Flyte name; that of GPUs for one that is not known."""
        known = {**DEVICE_CLASSES, **self.accelerators}
        return known.get(name) or known[NVIDIA_GPU]


_GRACES = (
    "create_container_error_grace",
    "create_container_config_error_grace",
    "image_pull_grace",
    "mount_grace",
)
_PULL_POLICIES = ("", "Always", "IfNotPresent", "Never")
_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def read_config(raw: Mapping[str, object]) -> PodConfig:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names the key and what is wrong with it.
    """
    return read_settings("pod", raw, PodConfig, _problems)


def is_secret_name(text: str) -> bool:
    """Tell whether a Secret can be called so."""
    return _SECRET_NAME.fullmatch(text) is not None


def _problems(config: PodConfig) -> Iterator[str]:
    yield from _quantity_problems(config)
    yield from _secret_problems(config.secrets)
    yield from _loader_problems(config.loader)
    yield from _log_problems(config.logs)
    if config.image_pull_policy not in _PULL_POLICIES:
        yield f"image_pull_policy: is {config.image_pull_policy!r}: use Always, IfNotPresent or Never, or leave it out"
    if config.host_network and not config.policy.host_network:
        yield "host_network: is on, and policy.host_network forbids it: allow it there too"
    for key in _GRACES:
        if getattr(config, key) < 0:
            yield f"{key}: is {getattr(config, key):g}: use 0 or more seconds"


def _secret_problems(secrets: SecretPlaces) -> Iterator[str]:
    if secrets.any not in {"env", "file"}:
        yield f"secrets.any: is {secrets.any!r}: use env or file"
    if not secrets.directory.startswith("/"):
        yield f"secrets.directory: is {secrets.directory!r}: give an absolute path"
    names = {"secrets.default": secrets.default}
    names |= {f"secrets.names.{group}": name for group, name in secrets.names.items()}
    for key, name in names.items():
        if not is_secret_name(name):
            yield f"{key}: {name!r} cannot be a Secret's name: use a-z, 0-9, '-' and '.'"


def _loader_problems(loader: Loader) -> Iterator[str]:
    if loader.image_pull_policy not in _PULL_POLICIES:
        policy = loader.image_pull_policy
        yield f"loader.image_pull_policy: is {policy!r}: use Always, IfNotPresent or Never, or leave it out"
    if loader.max_file_bytes < 1:
        yield f"loader.max_file_bytes: is {loader.max_file_bytes}: use 1 or more"
    if loader.upload_timeout < 1:
        yield f"loader.upload_timeout: is {loader.upload_timeout}: use 1 or more seconds"


def _log_problems(logs: Logs) -> Iterator[str]:
    for index, template in enumerate(logs.templates):
        if not template.uris:
            yield f"logs.templates[{index}].uris: is empty: give an address"
    if bool(logs.cloudwatch_region) != bool(logs.cloudwatch_log_group):
        yield "logs.cloudwatch_region: needs logs.cloudwatch_log_group, and the other way round"


def _quantity_problems(config: PodConfig) -> Iterator[str]:
    sections = {
        "default_requests": config.default_requests,
        "max_resources": config.max_resources,
        "loader.requests": config.loader.requests,
        "loader.limits": config.loader.limits,
    }
    for section, quantities in sections.items():
        for name, value in quantities.items():
            amount = read_quantity(value)
            if amount is None or amount < 0:
                yield f"{section}.{name}: {value!r} is no quantity: use something like 500m or 400Mi"
