"""
The task template: both wire forms in one model, read from files and built by hand.

Pure functions over bytes. Nothing here MUST open a file, and nothing here may import
protobuf, flyteidl or yaml before it is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from airscrew.idl.template.model import (
    Accelerator,
    Container,
    ContainerPort,
    DataConfig,
    ExtendedResources,
    Interface,
    K8sPod,
    LogLinkTemplate,
    Resources,
    RetryBackoff,
    RunAs,
    SecretRef,
    SecurityContext,
    SharedMemory,
    Sql,
    TargetKind,
    TaskId,
    TaskMetadata,
    Variable,
)
from airscrew.idl.template.task_template import (
    MAX_TEMPLATE_BYTES,
    TaskTemplate,
    content_hash,
    decode_template,
    template_from_message,
)

if TYPE_CHECKING:
    from airscrew.idl.template.build import make_template
    from airscrew.idl.template.load import Distribution, Loaded, LoadedTemplate, Skipped, load_one, load_templates
    from airscrew.idl.template.registration import registered

__all__ = [
    "MAX_TEMPLATE_BYTES",
    "Accelerator",
    "Container",
    "ContainerPort",
    "DataConfig",
    "Distribution",
    "ExtendedResources",
    "Interface",
    "K8sPod",
    "Loaded",
    "LoadedTemplate",
    "LogLinkTemplate",
    "Resources",
    "RetryBackoff",
    "RunAs",
    "SecretRef",
    "SecurityContext",
    "SharedMemory",
    "Skipped",
    "Sql",
    "TargetKind",
    "TaskId",
    "TaskMetadata",
    "TaskTemplate",
    "Variable",
    "content_hash",
    "decode_template",
    "load_one",
    "load_templates",
    "make_template",
    "registered",
    "template_from_message",
]

_HOMES = {
    "Distribution": "load",
    "load_one": "load",
    "load_templates": "load",
    "Loaded": "load",
    "LoadedTemplate": "load",
    "make_template": "build",
    "registered": "registration",
    "Skipped": "load",
}
"""Modules that are imported when a name of theirs is first asked for: the command line starts without them."""


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
