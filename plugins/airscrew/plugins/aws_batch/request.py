"""
From a task to what is submitted: flytekit's ``aws-batch`` task, its queue, its definition. Pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.quantity import read_quantity
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template import Container, TaskTemplate
from airscrew.plugins.aws_batch.config import BatchConfig

PASSED_ON = frozenset(
    {
        "parameters",
        "propagateTags",
        "tags",
        "timeout",
        "retryStrategy",
        "shareIdentifier",
        "schedulingPriorityOverride",
        "dependsOn",
    }
)
"""Members of ``custom`` that go into the request as they stand."""

_OWN = frozenset({"jobQueue", "jobDefinition", "schedulingPriority", "platformCapabilities"})
_QUEUES = ("jobQueue", "job_queue", "primary_queue", "dynamic_queue")
_MEBI = Decimal(1024**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """
    What a job is defined by.

    Attributes:
        name: Of a definition that is there, or of one to register.
        properties: What to register it with; empty for one that is there.
    """

    name: str
    properties: Mapping[str, object] = field(default_factory=dict[str, object])


def queue_of(template: TaskTemplate, config: BatchConfig) -> str:
    """
    Say which queue a task is for.

    Raises:
        PermanentError: None is named anywhere; names the keys.
    """
    named: list[object] = [template.custom.get("jobQueue"), *(template.config.get(name) for name in _QUEUES)]
    found = next((one for one in (*named, config.job_queue) if isinstance(one, str) and one), "")
    if not found:
        raise _refusal("the task names no queue: set custom.jobQueue, or executors.aws-batch.job_queue")
    return found


def definition_of(template: TaskTemplate, config: BatchConfig, image: str) -> Definition:
    """
    Say what defines a task's job: a definition that is named, or one for the image.

    Raises:
        PermanentError: There is no image.
    """
    named = template.custom.get("jobDefinition") or config.job_definition
    if isinstance(named, str) and named:
        return Definition(name=named)
    if not image:
        raise _refusal("the task has no container image, and no job definition is named")
    if template.security_context.secrets:
        raise _refusal("the task wants secrets: name a job definition that gives them, by custom.jobDefinition")
    platform = str(template.config.get("platformCapabilities") or "EC2")
    container: dict[str, object] = {
        "image": image,
        "resourceRequirements": _requirements({}, config, platform),
        **({"jobRoleArn": config.job_role} if config.job_role else {}),
        **({"executionRoleArn": config.execution_role} if config.execution_role else {}),
    }
    digest = hashlib.blake2b(repr((platform, sorted(container.items()))).encode(), digest_size=10).hexdigest()
    return Definition(
        name=f"airscrew-{digest}",
        properties={"type": "container", "platformCapabilities": [platform], "containerProperties": container},
    )


def container_of(template: TaskTemplate) -> Container:
    """
    Return a task's container.

    Raises:
        PermanentError: It has none.
    """
    if template.container is None:
        raise _refusal("an aws-batch task needs a container")
    return template.container


def overrides_of(
    command: list[str], environment: Mapping[str, str], resources: Mapping[str, str], config: BatchConfig, platform: str
) -> dict[str, object]:
    """Say how a job differs from its definition."""
    return {
        "command": command,
        "environment": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "resourceRequirements": _requirements(resources, config, platform),
    }


def resources_of(container: Container, overrides: Mapping[str, object]) -> dict[str, str]:
    """Say what a task asks for, by name: what the submission says before the template, limits before requests."""
    said = overrides.get("resources")
    wanted: Mapping[str, object] = cast("Mapping[str, object]", said) if isinstance(said, Mapping) else {}
    found: dict[str, str] = {}
    levels = [wanted.get("limits"), wanted.get("requests"), container.resources.limits, container.resources.requests]
    for level in levels:
        if isinstance(level, Mapping):
            for name, value in cast("Mapping[str, object]", level).items():
                found.setdefault(name.lower(), str(value))
    return found


def custom_of(template: TaskTemplate) -> dict[str, object]:
    """
    Return the members of ``custom`` that go into the request.

    Raises:
        PermanentError: There is one that cannot; names it.
    """
    custom = struct_to_json(template.message.custom, whole_as_int=True)
    given = {name: value for name, value in custom.items() if value is not None}
    for name in given:
        if name not in PASSED_ON | _OWN:
            raise _refusal(f"custom.{name} is not known here: use {', '.join(sorted(PASSED_ON | _OWN))}")
    made = {name: value for name, value in given.items() if name in PASSED_ON}
    if "schedulingPriority" in given:
        made.setdefault("schedulingPriorityOverride", given["schedulingPriority"])
    return made


def _requirements(resources: Mapping[str, str], config: BatchConfig, platform: str) -> list[dict[str, str]]:
    cpus = _amount(resources, "cpu") or Decimal(str(config.vcpus))
    memory = _amount(resources, "memory") or config.memory * _MEBI
    gpus = _amount(resources, "gpu")
    vcpus = f"{cpus.normalize():f}" if platform == "FARGATE" else str(max(math.ceil(cpus), 1))
    made = [
        {"type": "VCPU", "value": vcpus},
        {"type": "MEMORY", "value": str(max(math.ceil(memory / _MEBI), 4))},
    ]
    return [*made, {"type": "GPU", "value": str(math.ceil(gpus))}] if gpus else made


def _amount(resources: Mapping[str, str], name: str) -> Decimal:
    text = resources.get(name, "").strip()
    found = read_quantity(text) if text else Decimal(0)
    if found is None or found < 0:
        raise _refusal(f"resources: {name} {text!r} is no quantity: use something like 500m or 400Mi")
    return found


def _refusal(text: str) -> PermanentError:
    return PermanentError(text, code="BadTaskSpecification")
