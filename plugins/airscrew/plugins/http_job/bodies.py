"""
Request bodies from a template of plain JSON. Pure.

A string that is nothing but one variable becomes the variable's value with its type: ``"{{.inputs.width}}"`` becomes a
number. Within a longer string the value's text is put in. ``{{.inputs.x?}}`` may be missing: its member is left out, or
it is empty within a longer string. Variables that are not ours (``{{.outputPrefix}}``...) are left for the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from airscrew.plugins.http_job.paths import as_object

VARIABLE = re.compile(r"\{\{\s*[.$]([A-Za-z_]\w*(?:\.[\w-]+)*)(\?)?\s*\}\}")
OWN: Final = frozenset({"inputs", "custom", "key", "name", "attempt", "execution", "namespace", "taskType", "taskName"})

_LEFT_OUT: Final = object()


class MissingValueError(Exception):
    """A variable has no value; the text is the variable's name."""


def fill(template: object, values: Mapping[str, object]) -> object:
    """
    Put values into a copy of a template.

    Raises:
        MissingValueError: A variable that must be there is not.
    """
    filled = _fill(template, values)
    return None if filled is _LEFT_OUT else filled


def strings(value: object) -> Iterator[str]:
    """Walk over all strings of a JSON value that still hold a variable, in a fixed order."""
    if isinstance(value, str):
        if VARIABLE.search(value):
            yield value
    elif isinstance(value, Mapping):
        for part in cast("Mapping[str, object]", value).values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from strings(part)


def replace_strings(value: object, replacements: Mapping[str, str]) -> object:
    """Replace whole strings in a copy of a JSON value."""
    if isinstance(value, str):
        return replacements.get(value, value)
    if isinstance(value, Mapping):
        return {name: replace_strings(part, replacements) for name, part in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return [replace_strings(part, replacements) for part in cast("list[object]", value)]
    return value


def _fill(template: object, values: Mapping[str, object]) -> object:
    if isinstance(template, str):
        return _fill_text(template, values)
    if isinstance(template, Mapping):
        members = {name: _fill(part, values) for name, part in cast("Mapping[str, object]", template).items()}
        return {name: value for name, value in members.items() if value is not _LEFT_OUT}
    if isinstance(template, Sequence):
        items = [_fill(part, values) for part in cast("Sequence[object]", template)]
        return [item for item in items if item is not _LEFT_OUT]
    return template


def _fill_text(text: str, values: Mapping[str, object]) -> object:
    whole = VARIABLE.fullmatch(text)
    if whole and _is_own(whole):
        return _value(whole, values)
    return VARIABLE.sub(lambda match: _as_text(_value(match, values)) if _is_own(match) else match[0], text)


def _is_own(match: re.Match[str]) -> bool:
    return match[1].split(".", 1)[0] in OWN


def _value(match: re.Match[str], values: Mapping[str, object]) -> object:
    found: object = values
    for step in match[1].split("."):
        members = as_object(found)
        if step not in members:
            if match[2]:
                return _LEFT_OUT
            raise MissingValueError(match[1])
        found = members[step]
    return found


def _as_text(value: object) -> str:
    if value is _LEFT_OUT or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
