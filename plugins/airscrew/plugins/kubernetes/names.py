"""
What an object of ours is known by: its name, labels, annotations and finalizer. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from airscrew.engine.executor import TaskContext
from airscrew.idl.json_tree import BAD_JSON
from airscrew.plugins.kubernetes.metadata import make_annotations, make_labels
from airscrew.plugins.kubernetes.pod_view import Metadata
from airscrew.plugins.kubernetes.state import ObjectState

PREFIX = "airscrew.io/"
INSTALLATION = f"{PREFIX}installation"
ATTEMPT_KEY = f"{PREFIX}key"
EXECUTOR = f"{PREFIX}executor"
EXECUTION = f"{PREFIX}execution"
UID = f"{PREFIX}uid"
ATTEMPT = f"{PREFIX}attempt"
SETTINGS = f"{PREFIX}settings"
FINISHED = f"{PREFIX}finished"
EXPIRES = f"{PREFIX}expires"
FINALIZER = f"{PREFIX}attempt"


def selector(installation: str, executor: str) -> str:
    """Return the label selector of all that an executor of an installation makes."""
    return f"{INSTALLATION}={installation},{EXECUTOR}={executor}"


def key_selector(installation: str, executor: str, key: str) -> str:
    """Return the label selector of all that an attempt made."""
    return f"{selector(installation, executor)},{ATTEMPT_KEY}={key}"


def dressed(
    manifest: Mapping[str, object],
    context: TaskContext[ObjectState],
    *,
    installation: str,
    executor: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    settings: Mapping[str, object],
    finalizer: bool,
) -> dict[str, object]:
    """
    Give an object its name, labels, annotations and finalizer.

    What the operator wants for all objects comes first, over it the object's own, then the execution's, and last what
    the engine knows it by, which nobody can take away.
    """
    own = cast("Mapping[str, object]", manifest.get("metadata") or {})
    known_labels = {INSTALLATION: installation, EXECUTOR: executor, ATTEMPT_KEY: context.key}
    known = {EXECUTION: str(context.execution), UID: context.uid, ATTEMPT: str(context.attempt)}
    if settings:
        # Whoever finds the object by its key alone looks at it as its maker would have.
        known[SETTINGS] = msgspec.json.encode(settings).decode()
    given_labels = make_labels((labels, _strings(own.get("labels")), context.labels))
    given_annotations = make_annotations((annotations, _strings(own.get("annotations")), context.annotations))
    finalizers = [*cast("list[str]", own.get("finalizers") or []), *([FINALIZER] if finalizer else [])]
    metadata: dict[str, object] = {
        **own,
        "name": context.key,
        "namespace": context.namespace,
        "labels": {**given_labels, **known_labels},
        "annotations": {**given_annotations, **known},
    }
    if finalizers:
        metadata["finalizers"] = finalizers
    return {**manifest, "metadata": metadata}


def read_settings(metadata: Metadata) -> dict[str, object]:
    """Read what the maker of an object kept for the looks at it; empty when that cannot be read."""
    try:
        found = msgspec.json.decode(metadata.annotations.get(SETTINGS, "{}"))
    except BAD_JSON:
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def is_ours(metadata: Metadata, context: TaskContext[ObjectState], installation: str) -> bool:
    """Tell whether an object of an attempt's name was made by this attempt."""
    return (
        metadata.labels.get(INSTALLATION) == installation
        and metadata.labels.get(ATTEMPT_KEY) == context.key
        and metadata.annotations.get(UID) == context.uid
    )


def other_finalizers(metadata: Metadata) -> list[str]:
    """Return the finalizers that are not ours."""
    return [name for name in metadata.finalizers if name != FINALIZER]


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): str(entry) for name, entry in cast("Mapping[object, object]", value).items()}
