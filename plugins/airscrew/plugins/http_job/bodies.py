"""
Request bodies from a template of plain JSON. Pure.

A string that is nothing but one variable becomes the variable's value with its type: ``"{{.inputs.width}}"`` becomes a
number. Within a longer string the value's text is put in. ``{{.inputs.x?}}`` may be missing: its member is left out, or
it is empty within a longer string. Variables that are not ours (``{{.outputPrefix}}``...) are left for the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from airscrew.plugins.http_job.paths import as_list, as_object

VARIABLE = re.compile(r"\{\{\s*[.$]([A-Za-z_]\w*(?:\.[\w-]+)*)(\?)?\s*\}\}")
OWN: Final = frozenset({"inputs", "custom", "parameters", "key", "name", "attempt", "execution", "taskType"})

_LEFT_OUT: Final = object()


class MissingValueError(Exception):
    """A variable has no value; the text is the variable's name."""


def fill(template: object, values: Mapping[str, object], foreign: Mapping[str, str]) -> object:
    """
    Put values into a copy of a template, in one pass: what is put in is never read as a template again.

    Args:
        template: The template.
        values: The values of our variables.
        foreign: The text of each variable that is not ours, as it is written.

    Raises:
        MissingValueError: A variable that must be there is not.
    """
    filled = _fill(template, values, foreign)
    return None if filled is _LEFT_OUT else filled


def foreign_variables(template: object) -> list[str]:
    """List the variables of a template that are not ours, as they are written, each once."""
    found = (match[0] for text in _strings(template) for match in VARIABLE.finditer(text) if not _is_own(match))
    return list(dict.fromkeys(found))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in [*as_object(value).values(), *as_list(value)]:
        yield from _strings(part)


def _fill(template: object, values: Mapping[str, object], foreign: Mapping[str, str]) -> object:
    if isinstance(template, str):
        return _fill_text(template, values, foreign)
    if isinstance(template, dict):
        members = {name: _fill(part, values, foreign) for name, part in as_object(cast("object", template)).items()}
        return {name: value for name, value in members.items() if value is not _LEFT_OUT}
    if isinstance(template, list):
        items = [_fill(part, values, foreign) for part in as_list(cast("object", template))]
        return [item for item in items if item is not _LEFT_OUT]
    return template


def _fill_text(text: str, values: Mapping[str, object], foreign: Mapping[str, str]) -> object:
    whole = VARIABLE.fullmatch(text)
    if whole and _is_own(whole):
        return _value(whole, values)
    return VARIABLE.sub(
        lambda match: _as_text(_value(match, values)) if _is_own(match) else foreign.get(match[0], match[0]), text
    )


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
