"""
Where a Pod may run: accelerators, interruptible capacity, tolerations, affinity. Pure.

Tolerations stand in this order: by resource, interruptible, default, then the task's own, then those of its
accelerator; none twice. A required node selector requirement is added to every term: terms are alternatives, and it
has to hold in each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airscrew.idl.template import Accelerator
from airscrew.plugins.kubernetes.pod.config import NVIDIA_GPU, DeviceClass, PodConfig
from airscrew.plugins.kubernetes.pod.source import CONTAINER_FIELDS
from airscrew.plugins.kubernetes.pod.tree import Tree, appended, child, copied, objects, strings, text

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def accelerator_of(wanted: Accelerator | None, overrides: Mapping[str, object]) -> Accelerator | None:
    """Give the accelerator that a task wants, or the one that its submission wants instead."""
    extended = child(overrides, "extended_resources")
    override = child(extended, "gpuAccelerator") or child(extended, "gpu_accelerator")
    if not override:
        return wanted
    size = text(override, "partitionSize") or text(override, "partition_size")
    return Accelerator(
        device=text(override, "device"),
        partition_size=size or None,
        unpartitioned=override.get("unpartitioned") is True,
        device_class=text(override, "deviceClass") or text(override, "device_class") or NVIDIA_GPU,
    )


def placed(spec: Tree, config: PodConfig, *, interruptible: bool) -> Tree:
    """Add what the configuration says of every Pod, and of interruptible ones."""
    capacity = config.interruptible
    tolerations = appended(
        [
            *_resource_tolerations(spec, config),
            *(capacity.tolerations if interruptible else ()),
            *config.default_tolerations,
        ],
        objects(spec, "tolerations"),
    )
    selector = {**config.default_node_selector, **strings(spec, "nodeSelector")}
    if interruptible:
        selector |= capacity.node_selector
    affinity = child(spec, "affinity") or copied(config.default_affinity or {})
    found = {**spec, "tolerations": tolerations, "nodeSelector": selector, "affinity": affinity}
    requirement = capacity.requirement if interruptible else capacity.non_interruptible_requirement
    return required(found, [requirement] if requirement else [])


def with_accelerator(spec: Tree, wanted: Accelerator | None, config: PodConfig) -> Tree:
    """Add requirements and tolerations for an accelerator, if a container has its resource."""
    if wanted is None:
        return spec
    kind = config.device_class(wanted.device_class)
    if not any(kind.resource_name in child(one, "resources", "limits") for one in objects(spec, "containers")):
        return spec
    requirements: list[Tree] = []
    tolerations: list[Tree] = []
    if wanted.device:
        requirements.append(_is_one_of(kind.device_label, wanted.device))
        tolerations.append(_tolerates(kind.device_label, wanted.device))
    for requirement, toleration in _partition(wanted, kind):
        requirements += [requirement] if requirement else []
        tolerations += [toleration] if toleration else []
    found = {**spec, "tolerations": appended(objects(spec, "tolerations"), tolerations)}
    return required(found, requirements)


def tolerating_resources(spec: Tree, config: PodConfig) -> Tree:
    """Tolerate the taints of nodes that have the extended resources which a container asks for."""
    asked = _resource_names(spec, kinds=("requests",))
    wanted = [
        {"key": name, "operator": "Exists", "effect": "NoSchedule"}
        for name in sorted(config.tolerate_resources)
        if name in asked
    ]
    there = objects(spec, "tolerations")
    new = [one for one in wanted if not any(_same_toleration(one, other) for other in there)]
    return {**spec, "tolerations": [*there, *new]} if new else spec


def required(spec: Tree, requirements: Iterable[Mapping[str, object]]) -> Tree:
    """Add requirements to every term of the node affinity, each once."""
    new = [dict(one) for one in requirements]
    if not new:
        return spec
    affinity = child(spec, "affinity")
    node = child(affinity, "nodeAffinity")
    selector = child(node, _REQUIRED)
    terms = objects(selector, "nodeSelectorTerms") or [{}]
    terms = [{**one, "matchExpressions": appended(objects(one, "matchExpressions"), new)} for one in terms]
    node = {**node, _REQUIRED: {**selector, "nodeSelectorTerms": terms}}
    return {**spec, "affinity": {**affinity, "nodeAffinity": node}}


def _partition(wanted: Accelerator, kind: DeviceClass) -> Iterable[tuple[Tree | None, Tree | None]]:
    if not kind.partition_label:
        return
    if wanted.partition_size:
        label, size = kind.partition_label, wanted.partition_size
        yield _is_one_of(label, size), _tolerates(label, size)
    elif wanted.unpartitioned:
        missing: Tree = {"key": kind.partition_label, "operator": "DoesNotExist"}
        yield kind.unpartitioned_requirement or missing, kind.unpartitioned_toleration


def _is_one_of(label: str, value: str) -> Tree:
    return {"key": label, "operator": "In", "values": [value]}


def _tolerates(key: str, value: str) -> Tree:
    return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}


def _same_toleration(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    fields = ("key", "effect", "operator", "value")
    return all(text(one, field) == text(other, field) for field in fields)


def _resource_tolerations(spec: Tree, config: PodConfig) -> list[Tree]:
    names = _resource_names(spec, kinds=("requests", "limits"))
    return [one for name, some in sorted(config.resource_tolerations.items()) if name in names for one in some]


def _resource_names(spec: Tree, *, kinds: Iterable[str]) -> set[str]:
    containers = [one for group in CONTAINER_FIELDS for one in objects(spec, group)]
    return {name for one in containers for kind in kinds for name in child(one, "resources", kind)}
