"""
Labels and annotations that the API server takes, whatever was given. Pure.

What comes later wins: the configuration, the PodTemplate, the Pod of the template, the metadata of the task, the
execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_IN_DOMAIN = re.compile(r"[^a-z0-9.-]+")
_EDGES = "-._"
_LIMIT = 63
_DOMAIN_LIMIT = 253


def make_labels(layers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join labels; keys and values are made such that Kubernetes takes them, and what leaves nothing is left out."""
    return {key: label_value(value) for key, value in _joined(layers).items()}


def make_annotations(layers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join annotations; their values may be any text."""
    return _joined(layers)


def label_value(text: str) -> str:
    """Make a text fit for a label: 63 of letters, digits, ``-``, ``_`` and ``.``, none of these at its ends."""
    return _NOT_ALLOWED.sub("-", text).strip(_EDGES)[:_LIMIT].rstrip(_EDGES)


def metadata_key(text: str) -> str:
    """Make a text fit for a key of labels and annotations; empty when nothing is left."""
    domain, slash, name = text.rpartition("/")
    name = label_value(name)
    if not slash or not name:
        return name
    domain = _NOT_IN_DOMAIN.sub("-", domain.lower()).strip(_EDGES)[:_DOMAIN_LIMIT].rstrip(_EDGES)
    return f"{domain}/{name}" if domain else name


def _joined(layers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    found = {metadata_key(key): value for layer in layers for key, value in layer.items()}
    return {key: found[key] for key in sorted(found) if key}
