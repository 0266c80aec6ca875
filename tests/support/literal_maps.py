"""
Literal maps for tests, from plain values.
"""

from __future__ import annotations

from typing import Any

from airscrew.idl.literals import from_json, literal_type_of, to_json


def literals(**values: tuple[object, object]) -> Any:
    """Make a literal map: ``literals(x=(7, int))``."""
    from flyteidl.core.literals_pb2 import LiteralMap

    made = LiteralMap()
    for name, (value, python_type) in values.items():
        made.literals[name].CopyFrom(from_json(value, literal_type_of(python_type), name))
    return made


def plain(outputs: Any) -> dict[str, object]:
    """Read a literal map as JSON."""
    return {name: to_json(literal) for name, literal in outputs.literals.items()}
