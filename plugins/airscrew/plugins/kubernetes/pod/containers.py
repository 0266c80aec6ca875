"""
What every container of a task gets: variables, secrets, bounds, and the task's own the wishes of its submission. Pure.

Of variables what comes later wins, and stands later, so that a ``$(NAME)`` in it finds what came before: the
configuration, the attempt, the container itself, secrets. In values that are not the container's own a ``$(`` is kept
from being read as a reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airscrew.plugins.kubernetes.pod.config import PodConfig
from airscrew.plugins.kubernetes.pod.resources import Amounts, bounded, override_amounts, task_amounts
from airscrew.plugins.kubernetes.pod.secrets import SecretParts
from airscrew.plugins.kubernetes.pod.tree import Tree, appended, child, copied, objects, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """
    What is added to containers.

    Attributes:
        config: The configuration.
        env: Variables of the attempt.
        engine_env: The engine's own variables, of which the configuration may pass some on.
        secrets: The task's secrets.
        gpu_name: What ``gpu`` stands for.
        overrides: What the submission overrides.
    """

    config: PodConfig
    env: Mapping[str, str]
    engine_env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: SecretParts
    gpu_name: str
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])


def image_override(overrides: Mapping[str, object]) -> str:
    """Give the image that the submission wants; empty for the template's own."""
    return text(overrides, "container_image") or text(overrides, "image")


def own_container(container: Tree, inline: Mapping[str, object], base: Mapping[str, object], added: Additions) -> Tree:
    """
    Complete the task's own container.

    Args:
        container: The container, merged with what lies under it.
        inline: What it asks for itself.
        base: What the containers of the PodTemplate under it ask for.
        added: What is added.

    Raises:
        PermanentError: A resource cannot be read; names it.
    """
    config = added.config
    where = f"containers[{text(container, 'name')}].resources"
    levels = [
        override_amounts(added.overrides, added.gpu_name),
        Amounts.of(inline, added.gpu_name, where),
        Amounts.of(base, added.gpu_name, f"PodTemplate {where}"),
    ]
    resources = task_amounts(levels, config.default_requests, config.max_resources).tree()
    found = {**_common(container, added), "resources": resources}
    image = image_override(added.overrides)
    if image:
        found["image"] = image
    if config.default_security_context and not child(container, "securityContext"):
        found["securityContext"] = copied(config.default_security_context)
    return found


def other_container(container: Tree, added: Additions) -> Tree:
    """
    Complete any other container of the task: its resources are held to the bounds, and nothing is asked for.

    Raises:
        PermanentError: A resource cannot be read; names it.
    """
    where = f"containers[{text(container, 'name')}].resources"
    amounts = Amounts.of(child(container, "resources"), added.gpu_name, where)
    resources = {**child(container, "resources"), **bounded(amounts, added.config.max_resources).tree()}
    kept = {key: value for key, value in resources.items() if value != {}}
    found = {key: value for key, value in _common(container, added).items() if key != "resources"}
    return {**found, "resources": kept} if kept else found


def environment(container: Mapping[str, object], added: Additions) -> list[Tree]:
    """Put together the variables of a container."""
    config = added.config
    passed = {
        name: added.engine_env[variable]
        for name, variable in sorted(config.default_env_from_engine.items())
        if variable in added.engine_env
    }
    layers: Iterable[Iterable[Tree]] = (
        _entries(passed),
        _entries(config.default_env),
        _entries(added.env),
        objects(container, "env"),
        added.secrets.env,
    )
    found: dict[str, Tree] = {}
    for layer in layers:
        for entry in layer:
            found.pop(text(entry, "name"), None)
            found[text(entry, "name")] = entry
    return list(found.values())


def _common(container: Tree, added: Additions) -> Tree:
    config = added.config
    found = {**container, "env": environment(container, added)}
    sources = [
        *({"configMapRef": {"name": name, "optional": True}} for name in config.default_env_from_config_maps),
        *({"secretRef": {"name": name, "optional": True}} for name in config.default_env_from_secrets),
    ]
    if sources:
        found["envFrom"] = appended(sources, objects(container, "envFrom"))
    if added.secrets.mounts:
        found["volumeMounts"] = appended(objects(container, "volumeMounts"), added.secrets.mounts)
    if config.image_pull_policy and "imagePullPolicy" not in container:
        found["imagePullPolicy"] = config.image_pull_policy
    found.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return found


def _entries(variables: Mapping[str, str]) -> Iterable[Tree]:
    return ({"name": name, "value": variables[name].replace("$(", "$$(")} for name in sorted(variables))
