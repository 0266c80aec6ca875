"""
Whether a value of one literal type may stand where another is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airscrew.idl.literals import names

if TYPE_CHECKING:
    from flyteidl.core.types_pb2 import LiteralType

_TABLES = frozenset({"schema", "structured_dataset_type"})


def type_fits(given: LiteralType, wanted: LiteralType) -> bool:
    """Tell whether every value of ``given`` is one of ``wanted``."""
    if given.WhichOneof("type") == "union_type":
        return all(type_fits(variant, wanted) for variant in given.union_type.variants)
    match wanted.WhichOneof("type"):
        case "union_type":
            return any(type_fits(given, variant) for variant in wanted.union_type.variants)
        case "collection_type":
            return given.WhichOneof("type") == "collection_type" and type_fits(
                given.collection_type, wanted.collection_type
            )
        case "map_value_type":
            return given.WhichOneof("type") == "map_value_type" and type_fits(
                given.map_value_type, wanted.map_value_type
            )
        case _:
            return _leaf_fits(given, wanted)


def _leaf_fits(given: LiteralType, wanted: LiteralType) -> bool:
    kinds = given.WhichOneof("type"), wanted.WhichOneof("type")
    match kinds:
        case ("simple", "simple"):
            return bool(given.simple == wanted.simple) or (given.simple, wanted.simple) == (names.INTEGER, names.FLOAT)
        case ("simple", "enum_type"):
            return bool(given.simple == names.STRING)
        case ("enum_type", "simple"):
            return bool(wanted.simple == names.STRING)
        case ("enum_type", "enum_type"):
            return set(given.enum_type.values) <= set(wanted.enum_type.values)
        case ("blob", "blob"):
            formats = {given.blob.format, wanted.blob.format} - {""}
            return bool(given.blob.dimensionality == wanted.blob.dimensionality) and len(formats) <= 1
        case _:
            return kinds[0] in _TABLES and kinds[1] in _TABLES
