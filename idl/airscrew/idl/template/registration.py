"""
What registration fills in: a package leaves the identity empty and its code's place open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airscrew.idl.template.task_template import TaskTemplate, template_from_message

_CODE = re.compile(r"\{\{\s*\.remote_package_path\s*\}\}")
_DESTINATION = re.compile(r"\{\{\s*\.dest_dir\s*\}\}")
_OPEN = re.compile(r"\{\{\s*registration\.\w+\s*\}\}")


def registered(
    template: TaskTemplate,
    *,
    project: str = "",
    domain: str = "",
    version: str = "",
    distribution: str = "",
    destination: str = ".",
) -> TaskTemplate:
    """
    Fill what is empty or open in a template; what its author wrote stays.

    Args:
        template: As it came out of a package.
        project: Goes into the id where that has none; likewise the next two.
        domain: See ``project``.
        version: See ``project``.
        distribution: Where the code of a ``--fast`` package was put.
        destination: The folder that the code is unpacked into.

    Raises:
        UsageError: The template grew beyond the limit.
    """
    message = type(template.own_message)()
    message.CopyFrom(template.own_message)
    for field, value in (("project", project), ("domain", domain), ("version", version)):
        old = getattr(message.id, field)
        if value and (not old or _OPEN.fullmatch(old)):
            setattr(message.id, field, value)
    if distribution:
        _fill_arguments(message, distribution, destination)
    return template_from_message(message, template.wire)


def _fill_arguments(message: Any, distribution: str, destination: str) -> None:  # noqa: ANN401 - generated code
    def fill(argument: str) -> str:
        return _DESTINATION.sub(lambda _: destination, _CODE.sub(lambda _: distribution, argument))

    if message.HasField("container"):
        message.container.args[:] = [fill(argument) for argument in message.container.args]
    for argument in _pod_arguments(message):
        argument.string_value = fill(argument.string_value)


def _pod_arguments(message: Any) -> Iterable[Any]:  # noqa: ANN401 - generated code
    """Give the arguments of a Pod's containers, as values that can be changed in place."""
    if not message.HasField("k8s_pod") or "containers" not in message.k8s_pod.pod_spec.fields:
        return
    for container in message.k8s_pod.pod_spec.fields["containers"].list_value.values:
        for key in ("args", "command"):
            if key in container.struct_value.fields:
                values = container.struct_value.fields[key].list_value.values
                yield from (value for value in values if value.WhichOneof("kind") == "string_value")
