"""
Literal types as people read them: ``int``, ``list[str]``, ``Optional[float]``, ``FlyteFile[csv]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, Scalar
    from flyteidl.core.types_pb2 import BlobType, LiteralType

NONE, INTEGER, FLOAT, STRING, BOOLEAN, DATETIME, DURATION, BINARY, ERROR, STRUCT = range(10)
"""The numbers of ``flyteidl.core.SimpleType``."""

SIMPLE_NAMES = ("None", "int", "float", "str", "bool", "datetime", "timedelta", "bytes", "Error", "dict")

PRIMITIVE_TYPES = {
    "integer": INTEGER,
    "float_value": FLOAT,
    "string_value": STRING,
    "boolean": BOOLEAN,
    "datetime": DATETIME,
    "duration": DURATION,
}
"""The simple type of each kind of primitive."""

_MAX_ENUM_VALUES = 12


def type_name(literal_type: LiteralType) -> str:
    """Name a type."""
    match literal_type.WhichOneof("type"):
        case "simple":
            return _simple_name(literal_type)
        case "collection_type":
            return f"list[{type_name(literal_type.collection_type)}]"
        case "map_value_type":
            return f"dict[str, {type_name(literal_type.map_value_type)}]"
        case "blob":
            return blob_name(literal_type.blob)
        case "enum_type":
            return _choice(list(literal_type.enum_type.values))
        case "structured_dataset_type":
            return "StructuredDataset" + _in_brackets(literal_type.structured_dataset_type.format)
        case "schema":
            return "FlyteSchema"
        case "union_type":
            return _union_name(literal_type)
        case _:
            return "unknown"


def _simple_name(literal_type: LiteralType) -> str:
    if literal_type.simple == STRUCT and "title" in literal_type.metadata.fields:
        return literal_type.metadata.fields["title"].string_value or "dict"
    if literal_type.simple == STRING and allowed_values(literal_type):
        return _choice(allowed_values(literal_type))
    return SIMPLE_NAMES[literal_type.simple] if 0 <= literal_type.simple < len(SIMPLE_NAMES) else "unknown"


def allowed_values(literal_type: LiteralType) -> list[str]:
    """Give the values of a string type that was ``typing.Literal``; none when it is free."""
    values = literal_type.annotation.annotations.fields.get("literal_values")
    return [] if values is None else [value.string_value for value in values.list_value.values]


def blob_name(blob: BlobType) -> str:
    """Name a file or a folder."""
    return ("FlyteDirectory" if blob.dimensionality == blob.MULTIPART else "FlyteFile") + _in_brackets(blob.format)


def _choice(values: list[str]) -> str:
    more = len(values) - _MAX_ENUM_VALUES
    shown = [*values[:_MAX_ENUM_VALUES], f"… {more} more"] if more > 0 else values
    return f"enum({', '.join(shown)})"


def _in_brackets(text: str) -> str:
    return f"[{text}]" if text else ""


def _union_name(literal_type: LiteralType) -> str:
    variants = [type_name(variant) for variant in literal_type.union_type.variants]
    others = [name for name in variants if name != "None"]
    if len(others) == len(variants):
        return f"Union[{', '.join(others)}]"
    return f"Optional[{others[0]}]" if len(others) == 1 else f"Union[{', '.join([*others, 'None'])}]"


def given_type_name(literal: Literal) -> str:
    """Name the type that a literal itself has."""
    match literal.WhichOneof("value"):
        case "scalar":
            return _scalar_name(literal.scalar)
        case "collection":
            return f"list[{_common_name(list(literal.collection.literals))}]"
        case "map":
            return f"dict[str, {_common_name(list(literal.map.literals.values()))}]"
        case "offloaded_metadata":
            return f"offloaded {type_name(literal.offloaded_metadata.inferred_type)}"
        case _:
            return "nothing"


def _common_name(literals: list[Literal]) -> str:
    names = sorted({given_type_name(literal) for literal in literals})
    return " | ".join(names) if names else "nothing"


def _scalar_name(scalar: Scalar) -> str:
    match scalar.WhichOneof("value"):
        case "primitive":
            kind = scalar.primitive.WhichOneof("value")
            return SIMPLE_NAMES[PRIMITIVE_TYPES[kind]] if kind else "nothing"
        case "none_type":
            return "None"
        case "blob":
            return blob_name(scalar.blob.metadata.type)
        case "binary":
            return f"bytes[{scalar.binary.tag}]" if scalar.binary.tag else "bytes"
        case "generic":
            return "dict"
        case "structured_dataset":
            return "StructuredDataset" + _in_brackets(scalar.structured_dataset.metadata.structured_dataset_type.format)
        case "schema":
            return "FlyteSchema"
        case "error":
            return "Error"
        case "union":
            return given_type_name(scalar.union.value)
        case _:
            return "nothing"
