"""
One specification over another, as a strategic merge does it. Pure.

Maps are merged key by key, and what the upper one says wins. Lists whose items have a name (containers, volumes,
variables, mounts, ports) are merged item by item; all others are joined, each item once. A container that says its own
command or args takes neither from below. Merging the same again changes nothing.

A PodTemplate lies under the task's Pod, and four of its containers stand for others:

    default          under every container            default-init     under every init container
    primary          under the task's own, over it    primary-init     under the data loader's, over it

A container of any other name lies under the task's container of that name; without one it is left out. What the API
server itself fills into every PodTemplate (``restartPolicy: Always``, the default scheduler, where termination
messages come from) is nobody's wish, and does not count.
"""

from __future__ import annotations

from collections.abc import Mapping

from airscrew.idl.json_tree import is_array, is_object
from airscrew.plugins.kubernetes.pod.tree import Tree, appended, child, copied, objects, text

LOADER_INIT = "airscrew-download"

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "resourceClaims": ("name",),
}
"""By which fields the items of a list are told apart."""

_LINES = frozenset({"command", "args"})
_WHOLE = _LINES | {"nodeSelectorTerms"}
"""Lists that are one thing: the upper one replaces the lower. Terms are alternatives: more of them would mean less."""

_ONE_OF = frozenset({"env", "volumes"})
"""Lists whose items have one of several sources: an upper item replaces the lower one as a whole."""

_FILLED_IN: Mapping[str, object] = {
    "terminationMessagePolicy": "File",
    "terminationMessagePath": "/dev/termination-log",
    "resources": {},
    "securityContext": {},
}


def merged(lower: Mapping[str, object], upper: Mapping[str, object]) -> Tree:
    """Merge two trees; what the upper one says wins."""
    found = dict(lower)
    for key, value in upper.items():
        below = found.get(key)
        if is_object(value) and is_object(below):
            found[key] = merged(below, value)
        elif is_array(value) and is_array(below) and key not in _WHOLE:
            found[key] = _joined(key, below, value)
        else:
            found[key] = value
    return found


def merged_container(lower: Mapping[str, object], upper: Mapping[str, object]) -> Tree:
    """Merge two containers: one that says its own command or args takes neither from below."""
    if any(upper.get(key) for key in _LINES):
        lower = {key: value for key, value in lower.items() if key not in _LINES}
    said = {key: value for key, value in upper.items() if key not in _LINES or value}
    return merged(lower, said)


def with_pod_template(spec: Tree, pod_template: Mapping[str, object], *, primary: str) -> Tree:
    """
    Put a PodTemplate under a specification.

    Args:
        spec: The task's.
        pod_template: The PodTemplate object, as the API server gives it.
        primary: The task's own container.
    """
    base = _own_wishes(copied(child(pod_template, "template", "spec")))
    found = merged(_without_containers(base), _without_containers(spec))
    for group, default, special, main in (
        ("containers", "default", "primary", primary),
        ("initContainers", "default-init", "primary-init", LOADER_INIT),
    ):
        below = {text(one, "name"): one for one in objects(base, group)}
        containers = [
            _over(below, one, default=default, special=special if text(one, "name") == main else "")
            for one in objects(spec, group)
        ]
        if containers:
            found[group] = containers
    return found


def container_base(pod_template: Mapping[str, object] | None, name: str, *, primary: str) -> Tree:
    """Give what a PodTemplate has for a container of the task, its own name apart."""
    base = _own_wishes(copied(child(pod_template or {}, "template", "spec")))
    below = {text(one, "name"): one for one in objects(base, "containers")}
    return _over(below, {"name": name}, default="default", special="primary" if name == primary else "")


def loader_base(pod_template: Mapping[str, object] | None, name: str) -> Tree:
    """Give what a PodTemplate has for a container of the data loader."""
    base = _own_wishes(copied(child(pod_template or {}, "template", "spec")))
    below = {text(one, "name"): one for one in objects(base, "initContainers")}
    special = "primary-init" if name == LOADER_INIT else ""
    found = _over(below, {"name": name}, default="default-init", special=special)
    return {key: value for key, value in found.items() if key not in {*_LINES, "image", "restartPolicy"}}


def _over(below: Mapping[str, Tree], container: Tree, *, default: str, special: str) -> Tree:
    name = text(container, "name")
    lowers = [below[one] for one in dict.fromkeys((default, special, name)) if one in below]
    found: Tree = {}
    for lower in lowers:
        found = merged_container(found, lower)
    return merged_container(found, container)


def _without_containers(spec: Tree) -> Tree:
    return {key: value for key, value in spec.items() if key not in {"containers", "initContainers"}}


def _own_wishes(base: Tree) -> Tree:
    """Leave out what the API server filled in."""
    left_out = {"restartPolicy", *(("schedulerName",) if base.get("schedulerName") == "default-scheduler" else ())}
    found = {key: value for key, value in base.items() if key not in left_out and value != {}}
    for group in ("containers", "initContainers"):
        if group in found:
            found[group] = [_own_wishes_of(one) for one in objects(found, group)]
    return found


def _own_wishes_of(container: Tree) -> Tree:
    filled_in = {**_FILLED_IN, "imagePullPolicy": _usual_pull_policy(text(container, "image"))}
    return {key: value for key, value in container.items() if key not in filled_in or value != filled_in[key]}


def _usual_pull_policy(image: str) -> str:
    """Say what the API server fills in for an image: a tag that moves is looked for each time."""
    name = image.rpartition("/")[2]
    return "Always" if "@" not in name and name.partition(":")[2] in {"", "latest"} else "IfNotPresent"


def _joined(key: str, lower: list[object], upper: list[object]) -> list[object]:
    fields = _KEYS.get(key)
    if fields is None:
        return appended(lower, upper)
    found: dict[object, object] = {}
    for item in (*lower, *upper):
        identity = _identity(item, fields)
        below = found.get(identity)
        is_merged = is_object(below) and is_object(item) and key not in _ONE_OF
        found[identity] = merged(below, item) if is_merged and is_object(below) and is_object(item) else item
    return list(found.values())


def _identity(item: object, fields: tuple[str, ...]) -> object:
    return tuple(str(item.get(field, "")) for field in fields) if is_object(item) else str(item)
