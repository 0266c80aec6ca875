"""
What was found in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from airscrew.idl.template.task_template import TaskTemplate

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal


class LoadedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """
    A template that was found.

    Attributes:
        template: The template.
        source: The file, or the file in the package, that it came from.
        form: What it was read as, as ``flyteidl.admin.TaskSpec (binary)``.
        default_inputs: Inputs that need not be given (a ``TaskSpec`` of Flyte 2 has them).
    """

    template: TaskTemplate
    source: str
    form: str
    default_inputs: Mapping[str, Literal] = msgspec.field(default_factory=dict[str, "Literal"])


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was recognised, or not, and is no task; the reason goes on after the source's name."""

    source: str
    reason: str


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """
    The code of a ``pyflyte package --fast``, as a tar.gz.

    The caller puts it somewhere and tells the templates where, by ``registered``.
    """

    name: str
    data: bytes


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a file holds, in its order."""

    templates: tuple[LoadedTemplate, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    distribution: Distribution | None = None
