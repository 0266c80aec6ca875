"""
What a template runs: the command of its container, or of the primary container of its Pod. Pure.

Image, volumes, probes, ports, init containers and the other containers of a Pod are not used: a process has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.quantity import read_quantity
from airscrew.idl.template import Container, DataConfig, K8sPod, TaskTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """
    A command, its template variables still in it.

    Attributes:
        argv: The command and its arguments.
        env: The variables of the container.
        image: Its image; not used.
        working_directory: Where the container wants to run; empty when it does not say.
        memory_limit: In bytes; None without one.
        data_config: How a raw container gets and gives files; None without.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    image: str = ""
    working_directory: str = ""
    memory_limit: int | None = None
    data_config: DataConfig | None = None

    def relocated(self, folders: Mapping[str, str]) -> Command:
        """Replace folders of the container by others, wherever they stand in arguments and variables."""
        return replace(
            self,
            argv=tuple(_relocated(text, folders) for text in self.argv),
            env={name: _relocated(text, folders) for name, text in self.env.items()},
        )


def command_of(template: TaskTemplate) -> Command:
    """
    Read the command of a template.

    Raises:
        PermanentError: It has none, or one that no process can stand for.
    """
    if template.container is not None:
        command = _of_container(template.container)
    elif template.k8s_pod is not None:
        command = _of_pod(template.k8s_pod, template.config.get("primary_container_name", ""))
    else:
        raise _refusal(f"task type {template.type!r} has neither a container nor a Pod: a process needs a command")
    if not command.argv or not command.argv[0]:
        image = command.image or "its image"
        raise _refusal(
            f"the container has no command, and the entry point of {image} is not known here: give a command"
        )
    return command


def parse_quantity(text: str) -> int:
    """
    Read a Kubernetes quantity, as ``400Mi`` or ``1.5G``, as a whole number.

    Raises:
        PermanentError: It is none.
    """
    amount = read_quantity(text.strip())
    if amount is None or amount < 0:
        raise _refusal(f"{text!r} is no quantity: use something like 400Mi")
    return int(amount)


def _of_container(container: Container) -> Command:
    return Command(
        argv=(*container.command, *container.args),
        env=container.env,
        image=container.image,
        memory_limit=_memory(container.resources.limits),
        data_config=_enabled(container.data_config),
    )


def _of_pod(pod: K8sPod, configured_name: str) -> Command:
    containers = [_mapping(one) for one in _list(pod.pod_spec.get("containers"))]
    names = [str(one.get("name", "")) for one in containers]
    name = pod.primary_container_name or configured_name or (names[0] if len(names) == 1 else "")
    if name not in names:
        wanted = f"has no container {name!r}" if name else "names no primary_container_name"
        raise _refusal(f"the Pod {wanted}: it has {', '.join(names) or 'none'}")
    container = containers[names.index(name)]
    limits = _mapping(_mapping(container.get("resources")).get("limits"))
    return Command(
        argv=tuple(str(text) for key in ("command", "args") for text in _list(container.get(key))),
        env=_pod_environment(container, name),
        image=str(container.get("image", "")),
        working_directory=str(container.get("workingDir", "")),
        memory_limit=_memory({key: str(value) for key, value in limits.items()}),
        data_config=_enabled(pod.data_config),
    )


def _pod_environment(container: Mapping[str, object], name: str) -> dict[str, str]:
    if container.get("envFrom"):
        raise _refusal(f"container {name!r} takes variables from Kubernetes objects (envFrom): there are none here")
    env: dict[str, str] = {}
    for entry in _list(container.get("env")):
        pair = _mapping(entry)
        variable = str(pair.get("name", ""))
        if pair.get("valueFrom"):
            raise _refusal(
                f"variable {variable!r} of container {name!r} comes from a Kubernetes object (valueFrom): there are "
                "none here; use a secret request instead"
            )
        env[variable] = str(pair.get("value", ""))
    return env


def _memory(limits: Mapping[str, str]) -> int | None:
    return parse_quantity(limits["memory"]) if limits.get("memory") else None


def _enabled(config: DataConfig | None) -> DataConfig | None:
    return config if config is not None and config.enabled else None


def _relocated(text: str, folders: Mapping[str, str]) -> str:
    """Replace whole folder names alone: ``/var/inputs/a`` but neither ``/var/inputs2`` nor ``/my/var/inputs``."""
    for old, new in sorted(folders.items(), key=lambda pair: -len(pair[0])):
        if old.strip("/"):
            text = re.sub(rf"(?<![\w.-]){re.escape(old.rstrip('/'))}(?![\w.-])", new.replace("\\", "\\\\"), text)
    return text


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _refusal(text: str) -> PermanentError:
    return PermanentError(text, code="BadTaskSpecification")
