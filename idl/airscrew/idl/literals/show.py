"""
From literals to JSON, to Python values, and to text for people.

Showing never fails on a value that can be on the wire: what has no JSON form is shown as what it is.
``to_json`` is the inverse of ``from_json`` for the same type.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from airscrew.idl.errors import shorten
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.literals import names
from airscrew.idl.literals.times import (
    duration_for_people,
    duration_text,
    timestamp_text,
    to_datetime,
    to_duration,
    to_timedelta,
)
from airscrew.idl.struct_fields import struct_to_json

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Binary, Literal, Primitive, Scalar
    from flyteidl.core.types_pb2 import LiteralType

DISPLAY_LIMIT = 2_000
"""Text for people is cut in its middle beyond so many characters."""


def to_json(literal: Literal, literal_type: LiteralType | None = None) -> object:
    """
    Give a literal as a JSON value.

    Files, datasets and offloaded values are their URI, bytes are base64, times ISO 8601, durations as ``90s``,
    floats without a number in JSON ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.

    Args:
        literal: The literal.
        literal_type: Its type, if known: then the numbers of a dataclass are int or float as it says.
    """
    return _jsonable(_value(literal, literal_type))


def to_python(literal: Literal, literal_type: LiteralType | None = None) -> object:
    """Give a literal as Python has it: as JSON, but datetime, timedelta, bytes and float are themselves."""
    return _value(literal, literal_type)


def to_display(literal: Literal, literal_type: LiteralType | None = None, *, limit: int = DISPLAY_LIMIT) -> str:
    """Give a literal as text for people: strings bare, durations as ``1h 30m``, the rest as JSON on one line."""
    if literal.scalar.WhichOneof("value") == "union":
        return to_display(literal.scalar.union.value, literal.scalar.union.type, limit=limit)
    if literal.scalar.primitive.WhichOneof("value") == "duration":
        return duration_for_people(literal.scalar.primitive.duration)
    value = to_json(literal, literal_type)
    match value:
        case str():
            return shorten(value, limit)
        case None:
            return "None"
        case _:
            return shorten(json.dumps(value, ensure_ascii=False), limit)


def _value(literal: Literal, literal_type: LiteralType | None) -> object:
    kind = literal_type.WhichOneof("type") if literal_type is not None else None
    match literal.WhichOneof("value"):
        case "scalar":
            return _scalar(literal.scalar, literal_type)
        case "collection":
            inner = literal_type.collection_type if literal_type is not None and kind == "collection_type" else None
            return [_value(item, inner) for item in literal.collection.literals]
        case "map":
            inner = literal_type.map_value_type if literal_type is not None and kind == "map_value_type" else None
            entries = literal.map.literals
            return {key: _value(entries[key], inner) for key in sorted(entries)}
        case "offloaded_metadata":
            return literal.offloaded_metadata.uri
        case _:
            return None


def _scalar(scalar: Scalar, literal_type: LiteralType | None) -> object:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive(scalar.primitive)
        case "blob":
            return scalar.blob.uri
        case "schema":
            return scalar.schema.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "binary":
            return _binary(scalar.binary, literal_type)
        case "generic":
            return _retyped(struct_to_json(scalar.generic, whole_as_int=True), literal_type)
        case "union":
            return _value(scalar.union.value, scalar.union.type)
        case "error":
            return {"failed_node_id": scalar.error.failed_node_id, "message": scalar.error.message}
        case _:
            return None


def _primitive(primitive: Primitive) -> object:
    match primitive.WhichOneof("value"):
        case "integer":
            return primitive.integer
        case "float_value":
            return primitive.float_value
        case "string_value":
            return primitive.string_value
        case "boolean":
            return primitive.boolean
        case "datetime":
            try:
                exact = primitive.datetime.nanos % 1000 == 0
                return to_datetime(primitive.datetime) if exact else timestamp_text(primitive.datetime)
            except ValueError:
                return timestamp_text(primitive.datetime)
        case "duration":
            try:
                exact = primitive.duration.nanos % 1000 == 0
                return to_timedelta(primitive.duration) if exact else duration_text(primitive.duration)
            except ValueError:
                return duration_text(primitive.duration)
        case _:
            return None


def _binary(binary: Binary, literal_type: LiteralType | None) -> object:
    if binary.tag == "msgpack":
        try:
            return _retyped(decode_msgpack(binary.value), literal_type)
        except ValueError:
            return binary.value
    return binary.value


def decode_msgpack(data: bytes) -> object:
    """
    Decode msgpack into values that JSON has, but for bytes, which stay.

    Raises:
        ValueError: It is none.
    """
    try:
        return _with_text_keys(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no msgpack: {error}") from None


def _with_text_keys(value: object) -> object:
    match value:
        case _ if is_object(value):
            return {str(key): _with_text_keys(item) for key, item in value.items()}
        case _ if is_array(value):
            return [_with_text_keys(item) for item in value]
        case msgspec.msgpack.Ext():
            return bytes(value.data)
        case _:
            return value


def _retyped(value: object, literal_type: LiteralType | None) -> object:
    """Give the numbers of a dataclass the types of its fields: neither Struct nor msgpack keeps them surely."""
    if literal_type is None:
        return value
    match literal_type.WhichOneof("type"):
        case "simple" if literal_type.simple == names.FLOAT and type(value) is int:
            return float(value)
        case "simple" if is_object(value):
            types = literal_type.structure.dataclass_type
            return {key: _retyped(item, types.get(key)) for key, item in value.items()}
        case "collection_type" if is_array(value):
            return [_retyped(item, literal_type.collection_type) for item in value]
        case "map_value_type" if is_object(value):
            return {key: _retyped(item, literal_type.map_value_type) for key, item in value.items()}
        case _:
            return value


def _jsonable(value: object) -> object:
    match value:
        case _ if is_object(value):
            return {key: _jsonable(item) for key, item in value.items()}
        case _ if is_array(value):
            return [_jsonable(item) for item in value]
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return duration_text(to_duration(value))
        case _:
            return value
