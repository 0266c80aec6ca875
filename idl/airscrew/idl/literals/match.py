"""
Whether literals are of the types that an interface declares.

Strict where a task would fail on it, and lenient where the SDKs themselves are: an int may stand for a float, a
dataclass may be a Struct or msgpack, any value may be msgpack that decodes to its type, a
union's value may come without its wrapping, a schema for a structured dataset. An offloaded value is judged by
the type that its writer gave; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

from airscrew.idl.errors import UsageError
from airscrew.idl.literals import names
from airscrew.idl.literals.names import given_type_name, type_name
from airscrew.idl.literals.read import from_json
from airscrew.idl.literals.show import decode_msgpack
from airscrew.idl.literals.types_fit import type_fits

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal, Scalar
    from flyteidl.core.types_pb2 import LiteralType


class Typed(Protocol):
    """What has a literal type, as a variable of an interface."""

    @property
    def type(self) -> LiteralType:
        """The type."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """
    Where a literal is not of its type.

    Attributes:
        path: Within the value, as ``[2].name``; empty for the whole.
        expected: The type there.
        given: The type that is there instead.
    """

    path: str
    expected: str
    given: str

    @override
    def __str__(self) -> str:
        return f"{self.path + ': ' if self.path else ''}expected {self.expected}, got {self.given}"


def literal_matches(literal: Literal, literal_type: LiteralType) -> Mismatch | None:
    """Give the first place where the literal is not of the type, or None when it is of it."""
    return _mismatch(literal, literal_type, "")


def check_inputs(inputs: Mapping[str, Typed], literals: Mapping[str, Literal]) -> list[str]:
    """
    Compare given literals with declared variables.

    Args:
        inputs: The inputs of an interface; outputs are checked alike.
        literals: What was given.

    Returns:
        One line for each that is missing, unexpected or of another type; empty when all is well.
    """
    errors = [f"{name} is missing: expected {type_name(inputs[name].type)}" for name in inputs if name not in literals]
    for name, literal in literals.items():
        if name not in inputs:
            known = ", ".join(inputs) or "none"
            errors.append(f"{name} is unexpected: declared are {known}")
            continue
        mismatch = _mismatch(literal, inputs[name].type, name)
        if mismatch is not None:
            errors.append(str(mismatch))
    return errors


def _mismatch(literal: Literal, literal_type: LiteralType, path: str) -> Mismatch | None:
    value = literal.WhichOneof("value")
    if value == "offloaded_metadata":
        return _offloaded(literal, literal_type, path)
    if value == "scalar" and literal.scalar.WhichOneof("value") == "union":
        return _union_value(literal, literal_type, path)
    match literal_type.WhichOneof("type"):
        case "union_type":
            variants = literal_type.union_type.variants
            fits = any(_mismatch(literal, variant, path) is None for variant in variants)
            return None if fits else _differs(literal, literal_type, path)
        case "collection_type" if value == "collection":
            return _items(literal, literal_type.collection_type, path)
        case "map_value_type" if value == "map":
            return _entries(literal, literal_type.map_value_type, path)
        case _ if value == "scalar" and _scalar_fits(literal.scalar, literal_type):
            return None
        case _:
            return _differs(literal, literal_type, path)


def _differs(literal: Literal, literal_type: LiteralType, path: str) -> Mismatch:
    given = given_type_name(literal)
    if literal_type.WhichOneof("type") == "enum_type" and given == "str":
        given = repr(literal.scalar.primitive.string_value)
    return Mismatch(path=path, expected=type_name(literal_type), given=given)


def _items(literal: Literal, inner: LiteralType, path: str) -> Mismatch | None:
    for number, item in enumerate(literal.collection.literals):
        mismatch = _mismatch(item, inner, f"{path}[{number}]")
        if mismatch is not None:
            return mismatch
    return None


def _entries(literal: Literal, inner: LiteralType, path: str) -> Mismatch | None:
    entries = literal.map.literals
    for key in sorted(entries):
        mismatch = _mismatch(entries[key], inner, f"{path}.{key}" if path else key)
        if mismatch is not None:
            return mismatch
    return None


def _offloaded(literal: Literal, literal_type: LiteralType, path: str) -> Mismatch | None:
    metadata = literal.offloaded_metadata
    unknown = not metadata.HasField("inferred_type")
    fits = unknown or type_fits(metadata.inferred_type, literal_type)
    return None if fits else _differs(literal, literal_type, path)


def _union_value(literal: Literal, literal_type: LiteralType, path: str) -> Mismatch | None:
    """Judge a wrapped value: its variant must be one of the union's, and the value of that variant."""
    union = literal.scalar.union
    if literal_type.WhichOneof("type") != "union_type":
        return Mismatch(path=path, expected=type_name(literal_type), given=f"a union of {type_name(union.type)}")
    tag = union.type.structure.tag
    variants = [
        variant
        for variant in literal_type.union_type.variants
        if type_fits(union.type, variant) and tag in {"", variant.structure.tag or tag}
    ]
    if not variants:
        return Mismatch(path=path, expected=type_name(literal_type), given=f"a union of {type_name(union.type)}")
    mismatches = [_mismatch(union.value, variant, path) for variant in variants]
    return None if None in mismatches else mismatches[0]


def _scalar_fits(scalar: Scalar, literal_type: LiteralType) -> bool:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_fits(scalar, literal_type)
        case "binary":
            return _binary_fits(scalar, literal_type)
        case "none_type":
            return _is_simple(literal_type, names.NONE)
        case "generic":
            return _is_simple(literal_type, names.STRUCT)
        case "error":
            return _is_simple(literal_type, names.ERROR)
        case "blob":
            return literal_type.WhichOneof("type") == "blob" and _blob_fits(scalar, literal_type)
        case "schema" | "structured_dataset":
            return literal_type.WhichOneof("type") in {"schema", "structured_dataset_type"}
        case _:
            return False


def _is_simple(literal_type: LiteralType, simple: int) -> bool:
    return bool(literal_type.WhichOneof("type") == "simple" and literal_type.simple == simple)


def _primitive_fits(scalar: Scalar, literal_type: LiteralType) -> bool:
    kind = scalar.primitive.WhichOneof("value")
    if literal_type.WhichOneof("type") == "enum_type":
        return bool(kind == "string_value" and scalar.primitive.string_value in literal_type.enum_type.values)
    if literal_type.WhichOneof("type") != "simple" or kind is None:
        return False
    simple = names.PRIMITIVE_TYPES[kind]
    return bool(simple == literal_type.simple) or (simple, literal_type.simple) == (names.INTEGER, names.FLOAT)


def _blob_fits(scalar: Scalar, literal_type: LiteralType) -> bool:
    """Judge a file: one for one, many for many; formats differ only when both are given."""
    given, wanted = scalar.blob.metadata.type, literal_type.blob
    formats_fit = not given.format or not wanted.format or given.format == wanted.format
    return bool(given.dimensionality == wanted.dimensionality and formats_fit)


def _binary_fits(scalar: Scalar, literal_type: LiteralType) -> bool:
    if _is_simple(literal_type, names.BINARY) or _is_simple(literal_type, names.STRUCT):
        return True
    if scalar.binary.tag != "msgpack":
        return False
    try:
        from_json(decode_msgpack(scalar.binary.value), literal_type, "")
    except (ValueError, UsageError):
        return False
    return True
