"""
A manifest as plain JSON, and what keeps its reading short and typed.

A tree is never changed in place: whoever changes something returns a new one. Nulls are left out on the way in, as the
API server does. What does not fit is a :class:`PermanentError` that names the field by its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from airscrew.engine.errors import PermanentError
from airscrew.idl.json_tree import is_array, is_object

Tree: TypeAlias = dict[str, object]

BAD_SPECIFICATION = "BadTaskSpecification"


def bad(field: str, problem: str) -> PermanentError:
    """Make the error about a field of a specification."""
    return PermanentError(f"{field}: {problem}" if field else problem, code=BAD_SPECIFICATION)


def copied(value: Mapping[str, object]) -> Tree:
    """Copy a tree through and through, without its nulls and with whole numbers as such."""
    return {key: _plain(item) for key, item in value.items() if item is not None}


def _plain(value: object) -> object:
    if is_object(value):
        return copied(value)
    if is_array(value):
        return [_plain(item) for item in value if item is not None]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def objects(tree: Mapping[str, object], field: str) -> list[Tree]:
    """
    Give a field that is a list of objects; empty when it is not there.

    Raises:
        PermanentError: It is something else.
    """
    value = tree.get(field)
    if value is None:
        return []
    if not is_array(value):
        raise bad(field, "is no list")
    found: list[Tree] = []
    for index, item in enumerate(value):
        if not is_object(item):
            raise bad(f"{field}[{index}]", "is no object")
        found.append(dict(item))
    return found


def child(tree: Mapping[str, object], *path: str) -> Tree:
    """
    Give a field that is an object, by its path; empty when it is not there.

    Raises:
        PermanentError: It is something else.
    """
    value: object = tree
    for depth, field in enumerate(path, 1):
        value = value.get(field) if is_object(value) else None
        if value is None:
            return {}
        if not is_object(value):
            raise bad(".".join(path[:depth]), "is no object")
    return dict(value) if is_object(value) else {}


def texts(tree: Mapping[str, object], field: str) -> list[str]:
    """Give a field that is a list of texts; empty when it is not there."""
    value = tree.get(field)
    return [str(item) for item in value] if is_array(value) else []


def text(tree: Mapping[str, object], field: str) -> str:
    """Give a field that is a text; empty when it is not there."""
    value = tree.get(field)
    return value if isinstance(value, str) else ""


def strings(tree: Mapping[str, object], *path: str) -> dict[str, str]:
    """Give a field that is a map of texts, by its path; empty when it is not there."""
    return {key: str(value) for key, value in child(tree, *path).items()}


def without_empty(tree: Mapping[str, object]) -> Tree:
    """Leave out what is an empty text, list or map; zero and false stay."""
    return {key: value for key, value in tree.items() if value is not None and value not in ("", [], {})}


def appended(items: Iterable[object], more: Iterable[object]) -> list[object]:
    """Put lists one after the other, each item once, at its first place."""
    joined: list[object] = []
    for item in (*items, *more):
        if item not in joined:
            joined.append(item)
    return joined
