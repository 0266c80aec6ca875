"""
What a template itself says of its Pod, before anybody adds to it. Pure.

    target          task types                          what is taken
    container       container, python-task, …           one container, called ``primary``
    k8s_pod         all of them                         its Pod specification, labels and annotations
    none            sidecar and pod, version 0          ``custom`` as a SidecarJob: podSpec, primaryContainerName, …
    none            sidecar and pod, version 1          ``custom`` as a Pod specification

The primary container is the task: the one that the template or its ``config.primary_container_name`` names, else the
one called ``primary``. A ``pod_template`` of the submission replaces the specification of either target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from airscrew.idl.quantity import read_quantity
from airscrew.idl.template import Container, DataConfig, K8sPod, TaskTemplate
from airscrew.plugins.kubernetes.pod.tree import Tree, bad, child, copied, objects, strings, text, texts, without_empty

PRIMARY = "primary"
PRIMARY_KEY = "primary_container_name"
CONTAINER_FIELDS = ("initContainers", "containers")
_LEGACY = frozenset({"sidecar", "pod"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePod:
    """
    The Pod as the template gives it.

    Attributes:
        spec: Its specification, whole.
        primary: The name of the task's own container.
        labels: From its metadata.
        annotations: Likewise.
        data_config: How a raw container gets and gives files; None without.
    """

    spec: Tree
    primary: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    data_config: DataConfig | None = None

    def texts(self) -> list[str]:
        """List what may hold template variables: command and args of every container, in order."""
        return [line for _, container in _containers(self.spec) for key in _RENDERED for line in texts(container, key)]

    def with_texts(self, rendered: Sequence[str]) -> SourcePod:
        """Put rendered texts in the places of :meth:`texts`."""
        left = iter(rendered)
        spec = dict(self.spec)
        for group in CONTAINER_FIELDS:
            if group in spec:
                spec[group] = [_with_lines(container, left) for container in objects(spec, group)]
        return replace(self, spec=spec)


_RENDERED = ("command", "args")


def source_pod(template: TaskTemplate, overrides: Mapping[str, object] | None = None) -> SourcePod:
    """
    Read the Pod of a template.

    Args:
        template: The task.
        overrides: What the submission overrides; its ``pod_template`` replaces the specification.

    Raises:
        PermanentError: It has none, or one that is not well formed; names the field.
    """
    pod = _of_target(template)
    replacement = child(overrides or {}, "pod_template")
    if replacement:
        pod = _replaced(pod, replacement)
    check_spec(pod.spec)
    names = [text(one, "name") for one in objects(pod.spec, "containers")]
    if pod.primary not in names:
        told = ", ".join(names) or "none"
        raise bad("", f"the Pod has no primary container {pod.primary!r}: it has {told}; set {PRIMARY_KEY}")
    return pod


def _of_target(template: TaskTemplate) -> SourcePod:
    configured = template.config.get(PRIMARY_KEY, "")
    if template.container is not None:
        container = template.container
        spec: Tree = {"containers": [_container(container)]}
        return SourcePod(spec=spec, primary=PRIMARY, data_config=_enabled(container.data_config))
    if template.k8s_pod is not None:
        return _of_pod(template.k8s_pod, configured)
    if template.type in _LEGACY and template.custom:
        return _of_custom(template, configured)
    raise bad("", f"task type {template.type!r} has neither a container nor a Pod: there is nothing to run")


def _container(container: Container) -> Tree:
    if not container.image:
        raise bad("container.image", "is empty: a Pod needs an image")
    resources = {
        "requests": dict(container.resources.requests),
        "limits": dict(container.resources.limits),
    }
    return without_empty(
        {
            "name": PRIMARY,
            "image": container.image,
            "command": list(container.command),
            "args": list(container.args),
            "env": [{"name": name, "value": value} for name, value in container.env.items()],
            "ports": [without_empty({"name": one.name, "containerPort": one.port}) for one in container.ports],
            "resources": without_empty(resources),
        }
    )


def _of_pod(pod: K8sPod, configured: str) -> SourcePod:
    if not pod.pod_spec:
        raise bad("k8s_pod.pod_spec", "is empty: a Pod task needs a specification")
    return SourcePod(
        spec=copied(pod.pod_spec),
        primary=pod.primary_container_name or configured or PRIMARY,
        labels=pod.labels,
        annotations=pod.annotations,
        data_config=_enabled(pod.data_config),
    )


def _of_custom(template: TaskTemplate, configured: str) -> SourcePod:
    """Read the older forms of a Pod task, which have it in ``custom``."""
    custom = copied(template.custom)
    if template.version == 0:
        return SourcePod(
            spec=child(custom, "podSpec"),
            primary=text(custom, "primaryContainerName") or configured or PRIMARY,
            labels=strings(custom, "labels"),
            annotations=strings(custom, "annotations"),
        )
    return SourcePod(spec=custom, primary=configured or PRIMARY)


def _replaced(pod: SourcePod, override: Mapping[str, object]) -> SourcePod:
    """Apply ``overrides.pod_template``, a ``core.K8sPod`` as JSON."""
    spec = copied(child(override, "podSpec") or child(override, "pod_spec"))
    primary = text(override, "primaryContainerName") or text(override, PRIMARY_KEY)
    if spec.get("containers") and not primary:
        raise bad("overrides.pod_template.primary_container_name", "is empty: name the container that is the task")
    return replace(
        pod,
        spec=spec if spec.get("containers") else pod.spec,
        primary=primary if spec.get("containers") else pod.primary,
        labels={**pod.labels, **strings(override, "metadata", "labels")},
        annotations={**pod.annotations, **strings(override, "metadata", "annotations")},
    )


def _enabled(config: DataConfig | None) -> DataConfig | None:
    return config if config is not None and config.enabled else None


def _containers(spec: Mapping[str, object]) -> Iterator[tuple[str, Tree]]:
    for group in CONTAINER_FIELDS:
        for container in objects(spec, group):
            yield group, container


def _with_lines(container: Tree, left: Iterator[str]) -> Tree:
    lines = {key: [next(left) for _ in texts(container, key)] for key in _RENDERED if key in container}
    return {**container, **lines}


class _Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What is read of a part of a Pod; all other fields are the API server's to judge."""


class _Named(_Part, frozen=True, kw_only=True):
    name: str


class _Resources(_Part, frozen=True, kw_only=True):
    requests: dict[str, str | int | float] = {}
    limits: dict[str, str | int | float] = {}


class _Capabilities(_Part, frozen=True, kw_only=True):
    add: list[str] = []


class _SecurityContext(_Part, frozen=True, kw_only=True):
    privileged: bool = False
    allow_privilege_escalation: bool = False
    run_as_user: int | None = None
    capabilities: _Capabilities = _Capabilities()


class _Mount(_Named, frozen=True, kw_only=True):
    mount_path: str


class _Container(_Named, frozen=True, kw_only=True):
    image: str = ""
    image_pull_policy: str = ""
    command: list[str] = []
    args: list[str] = []
    env: list[_Named] = []
    env_from: list[dict[str, object]] = []
    ports: list[dict[str, object]] = []
    resources: _Resources = _Resources()
    volume_mounts: list[_Mount] = []
    security_context: _SecurityContext = _SecurityContext()
    termination_message_policy: str = ""
    restart_policy: str = ""


class _NodeAffinity(_Part, frozen=True, kw_only=True):
    required_during_scheduling_ignored_during_execution: dict[str, list[dict[str, object]]] = {}


class _Affinity(_Part, frozen=True, kw_only=True):
    node_affinity: _NodeAffinity = _NodeAffinity()


class _PodSecurityContext(_Part, frozen=True, kw_only=True):
    run_as_user: int | None = None


class _PodSpec(_Part, frozen=True, kw_only=True):
    containers: list[_Container]
    init_containers: list[_Container] = []
    volumes: list[_Named] = []
    tolerations: list[dict[str, object]] = []
    node_selector: dict[str, str] = {}
    affinity: _Affinity = _Affinity()
    security_context: _PodSecurityContext = _PodSecurityContext()
    service_account_name: str = ""
    scheduler_name: str = ""
    restart_policy: str = ""
    host_network: bool = False
    host_pid: bool = msgspec.field(name="hostPID", default=False)
    host_ipc: bool = msgspec.field(name="hostIPC", default=False)
    share_process_namespace: bool = False
    dns_config: dict[str, object] = {}


def check_spec(spec: Mapping[str, object], what: str = "pod_spec") -> None:
    """
    Check the parts of a specification that are read or changed here.

    Raises:
        PermanentError: One is not well formed; names the field.
    """
    try:
        msgspec.convert(spec, _PodSpec)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        raise bad(what + path.rstrip("`"), problem) from None
    names: set[str] = set()
    for group, container in _containers(spec):
        name = text(container, "name")
        if name in names:
            raise bad(f"{what}.{group}", f"there are two containers called {name!r}")
        names.add(name)
        for kind in ("requests", "limits"):
            for resource, value in child(container, "resources", kind).items():
                amount = read_quantity(str(value))
                if amount is None or amount < 0:
                    where = f"{what}.{group}[{name}].resources.{kind}.{resource}"
                    raise bad(where, f"{str(value)!r} is no quantity: use something like 500m or 400Mi")
