"""
Paths into JSON: ``$.a.b[0]``, ``a.b[0]``, ``$["odd name"]``, ``$`` for the whole.

A path that leads nowhere gives None; only a path that cannot be read is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

JsonPath = tuple[str | int, ...]
"""Names of objects' members and positions in lists, from the root."""

_STEP = re.compile(r"""\.?([A-Za-z_][\w-]*)|\[(\d+)\]|\["([^"]+)"\]|\['([^']+)'\]""")


@lru_cache(maxsize=512)
def parse_path(text: str) -> JsonPath:
    """
    Read a path.

    Raises:
        ValueError: It cannot be read; says where.
    """
    steps: list[str | int] = []
    at = 1 if text.startswith("$") else 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"{text!r} is no JSON path at {text[at:]!r}: write it as $.a.b[0]")
        name, index, double, single = step.groups()
        steps.append(int(index) if index is not None else name or double or single)
        at = step.end()
    return tuple(steps)


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object as such; an empty one in place of anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[object]:
    """Return a JSON list as such; an empty one in place of anything else."""
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def look_up(value: object, path: str) -> object:
    """Follow a path from a value; None when it leads nowhere or the path is empty."""
    if not path:
        return None
    for step in parse_path(path):
        if isinstance(step, int):
            items = as_list(value)
            value = items[step] if step < len(items) else None
        else:
            value = as_object(value).get(step)
    return value


def text_at(value: object, path: str) -> str:
    """Follow a path to something that can be shown; empty when it leads nowhere."""
    found = look_up(value, path)
    return found if isinstance(found, str) else "" if found is None else str(found)


def number_at(value: object, path: str) -> float:
    """Follow a path to a number; 0 when it leads nowhere or to something else."""
    found = look_up(value, path)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else 0.0
