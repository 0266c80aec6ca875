"""
What a JSON value is, told to the type checkers: ``isinstance`` alone leaves the inside of a dict unknown.

And what reading one raises.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from typing_extensions import TypeIs

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding JSON or msgpack raises: for what is none, for text that is not UTF-8, for what is nested too deeply."""


def is_object(value: object) -> TypeIs[Mapping[str, object]]:
    """Tell whether it is an object; its keys are strings by what JSON is."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeIs[list[object]]:
    """Tell whether it is an array."""
    return isinstance(value, list)
