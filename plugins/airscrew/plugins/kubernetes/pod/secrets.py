"""
How a task gets its secrets in a Pod: by reference alone. Pure.

A group is a Secret, a key is its key; a key without a group is in the configured Secret. What is wanted as a variable
becomes a ``secretKeyRef`` under every name that the SDKs look at: the one it asks for and ``_FSEC_<GROUP>_<KEY>``. What
is wanted as a file lies at ``<directory>/<group>/<key>``, in lower case as ``flytekit`` reads it; one volume holds them
all. No value is ever here: the kubelet puts it in, and says so when it cannot (see ``missing``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from airscrew.engine.data.secrets import SDK_PREFIX, check_reference, secret_name
from airscrew.idl.template import SecretRef
from airscrew.idl.wire import WireForm
from airscrew.plugins.kubernetes.pod.config import SecretPlaces, is_secret_name
from airscrew.plugins.kubernetes.pod.tree import Tree, bad

VOLUME = "airscrew-secrets"
FLYTE2_DIRECTORY = "/etc/flyte/secrets"
"""Where tasks of Flyte 2 look for files; its SDK knows no other place."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True)
class SecretParts:
    """
    What a Pod needs for its secrets.

    Attributes:
        env: Variables for every container of the task.
        mounts: Mounts for them.
        volumes: Volumes of the Pod.
    """

    env: tuple[Tree, ...] = ()
    mounts: tuple[Tree, ...] = ()
    volumes: tuple[Tree, ...] = field(default=())


def secret_parts(wanted: Sequence[SecretRef], places: SecretPlaces, wire: WireForm) -> SecretParts:
    """
    Turn a template's secret requests into references.

    Args:
        wanted: The requests.
        places: Where secrets are.
        wire: The form of the task: it says where files are looked for.

    Raises:
        PermanentError: One cannot be a Secret or a file; names it.
    """
    env: list[Tree] = []
    sources: list[Tree] = []
    directory = FLYTE2_DIRECTORY if wire is WireForm.FLYTE2 else places.directory
    for one in wanted:
        check_reference(one.group, one.key)
        where = _secret_of(one, places)
        if _is_file(one, places):
            path = _path(one)
            sources.append({"secret": {"name": where, "items": [{"key": one.key, "path": path}]}})
            if one.env_var:
                env.append({"name": one.env_var, "value": f"{directory}/{path}"})
        else:
            reference = {"secretKeyRef": {"name": where, "key": one.key}}
            env.extend({"name": name, "valueFrom": reference} for name in variables(one))
    if not sources:
        return SecretParts(env=tuple(env))
    env.append({"name": "FLYTE_SECRETS_DEFAULT_DIR", "value": directory})
    env.append({"name": "FLYTE_SECRETS_FILE_PREFIX", "value": ""})
    volume: Tree = {"name": VOLUME, "projected": {"sources": sources}}
    mount: Tree = {"name": VOLUME, "mountPath": directory, "readOnly": True}
    return SecretParts(tuple(env), (mount,), (volume,))


def variables(secret: SecretRef) -> list[str]:
    """Name the variables that hold a secret: the one it asks for, and those that ``flytekit`` looks at."""
    names = {
        "_".join(part.upper() for part in (secret.group, version, secret.key) if part)
        for version in ("", secret.version)
    }
    return [*([secret.env_var] if secret.env_var else []), *sorted(f"{SDK_PREFIX}{name}" for name in names)]


def _is_file(secret: SecretRef, places: SecretPlaces) -> bool:
    if secret.mount_requirement == "ANY":
        return places.any == "file" and not secret.env_var
    return secret.mount_requirement == "FILE"


def _secret_of(secret: SecretRef, places: SecretPlaces) -> str:
    if not _KEY.fullmatch(secret.key):
        raise bad(f"secret {secret_name(secret.group, secret.key)!r}", "a key of a Secret has letters, digits, -, _, .")
    if not secret.group:
        return places.default
    name = places.names.get(secret.group, secret.group)
    if not is_secret_name(name):
        raise bad(
            f"secret {secret_name(secret.group, secret.key)!r}",
            f"no Secret can be called {name!r}: name the one it is in executors.pod.secrets.names.{secret.group}",
        )
    return name


def _path(secret: SecretRef) -> str:
    return "/".join(part.lower() for part in (secret.group, secret.version, secret.key) if part)
