"""
What a JSON value is, told to the type checkers: ``isinstance`` alone leaves the inside of a dict unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypeIs


def is_object(value: object) -> TypeIs[Mapping[str, object]]:
    """Tell whether it is an object; its keys are strings by what JSON is."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeIs[list[object]]:
    """Tell whether it is an array."""
    return isinstance(value, list)
