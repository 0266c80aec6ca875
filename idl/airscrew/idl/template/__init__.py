"""
The task template: both wire forms in one model, read from files and built by hand.

Pure functions over bytes. Nothing here MUST open a file, and nothing here may import
protobuf, flyteidl or yaml before it is called.
"""

from __future__ import annotations

from airscrew.idl.template.build import make_template
from airscrew.idl.template.load import Distribution, Loaded, LoadedTemplate, Skipped, load_one, load_templates
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
from airscrew.idl.template.registration import registered
from airscrew.idl.template.task_template import (
    MAX_TEMPLATE_BYTES,
    TaskTemplate,
    content_hash,
    decode_template,
    template_from_message,
)

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
