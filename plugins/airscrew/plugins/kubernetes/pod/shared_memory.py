"""
Memory that the processes of a task share: a volume in memory, mounted into the task's own container. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from airscrew.idl.quantity import read_quantity
from airscrew.idl.template import SharedMemory
from airscrew.plugins.kubernetes.pod.tree import Tree, bad, child, objects, text

_FIELD = "extended_resources.shared_memory"


def shared_memory_of(wanted: SharedMemory | None, overrides: Mapping[str, object]) -> SharedMemory | None:
    """Give the shared memory that a task wants, or what its submission wants instead."""
    extended = child(overrides, "extended_resources")
    override = child(extended, "sharedMemory") or child(extended, "shared_memory")
    if not override:
        return wanted
    return SharedMemory(
        mount_path=text(override, "mountPath") or text(override, "mount_path"),
        mount_name=text(override, "mountName") or text(override, "mount_name"),
        size_limit=text(override, "sizeLimit") or text(override, "size_limit"),
    )


def with_shared_memory(spec: Tree, wanted: SharedMemory | None, *, primary: str) -> Tree:
    """
    Add the volume and its mount.

    Raises:
        PermanentError: Its name, path or size is missing, taken or unreadable; names which.
    """
    if wanted is None:
        return spec
    volumes, containers = objects(spec, "volumes"), objects(spec, "containers")
    _check(wanted, volumes, [one for one in containers if text(one, "name") == primary])
    source: Tree = {"medium": "Memory", **({"sizeLimit": wanted.size_limit} if wanted.size_limit else {})}
    mount: Tree = {"name": wanted.mount_name, "mountPath": wanted.mount_path}
    return {
        **spec,
        "volumes": [*volumes, {"name": wanted.mount_name, "emptyDir": source}],
        "containers": [
            {**one, "volumeMounts": [*objects(one, "volumeMounts"), mount]} if text(one, "name") == primary else one
            for one in containers
        ],
    }


def _check(wanted: SharedMemory, volumes: list[Tree], own: list[Tree]) -> None:
    if not wanted.mount_name:
        raise bad(f"{_FIELD}.mount_name", "is empty")
    if not wanted.mount_path:
        raise bad(f"{_FIELD}.mount_path", "is empty")
    if any(text(one, "name") == wanted.mount_name for one in volumes):
        raise bad(f"{_FIELD}.mount_name", f"{wanted.mount_name!r} is the name of another volume of the Pod")
    mounts = [mount for one in own for mount in objects(one, "volumeMounts")]
    if any(text(one, "mountPath") == wanted.mount_path for one in mounts):
        raise bad(f"{_FIELD}.mount_path", f"{wanted.mount_path!r} is where another volume is mounted")
    size = read_quantity(wanted.size_limit) if wanted.size_limit else None
    if wanted.size_limit and (size is None or size <= 0):
        raise bad(f"{_FIELD}.size_limit", f"{wanted.size_limit!r} is no quantity: use something like 1Gi")
