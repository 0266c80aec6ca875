"""
From JSON, Python values and text of a command line to literals, by the literal type.

What does not fit is a ``UsageError`` that names the variable with the path into it, the type that is expected and
what was given. A number is never made of a string, nor the other way round; on a command line, where all is
text, the type decides how the text is read.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, NoReturn, cast

import msgspec

from airscrew.idl.errors import UsageError
from airscrew.idl.json_tree import is_array, is_object
from airscrew.idl.literals import names
from airscrew.idl.literals.names import type_name
from airscrew.idl.literals.scalars import binary, blob, error, generic, none, primitive, schema, structured_dataset
from airscrew.idl.literals.scalars import union as union_literal
from airscrew.idl.literals.times import to_duration, to_timestamp
from airscrew.idl.struct_fields import struct_to_json

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType

_INT64 = range(-(2**63), 2**63)
_SPECIAL_FLOATS = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf, "inf": math.inf, "-inf": -math.inf}
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_NONES = ("null", "None", "none")
_SHOWN = 60
_SAME_IN_JSON = frozenset({names.NONE, names.INTEGER, names.FLOAT, names.STRING, names.BOOLEAN, names.STRUCT})


def from_json(value: object, literal_type: LiteralType, name: str, *, base_dir: str = "") -> Literal:
    """
    Make a literal of a JSON value.

    Python's own values are taken as well: datetime, timedelta, bytes, path, Enum, dataclass, tuple.

    Args:
        value: The value.
        literal_type: The type that it must have.
        name: The variable's name, for errors.
        base_dir: Where relative paths of files start; they stay relative without it.

    Raises:
        UsageError: It does not fit.
    """
    return _Reader(base_dir).read(value, literal_type, name)


def from_text(text: str, literal_type: LiteralType, name: str, *, base_dir: str = "") -> Literal:
    """
    Make a literal of the text of a command line.

    Lists, dicts and dataclasses are JSON. In a union the variants are tried in their order;
    ``null`` and ``None`` are none, where none is allowed.

    Args:
        text: The text.
        literal_type: The type that it must have.
        name: The variable's name, for errors.
        base_dir: Where relative paths of files start; they stay relative without it.

    Raises:
        UsageError: It does not fit.
    """
    return _text(_Reader(base_dir), text, literal_type, name)


def _text(reader: _Reader, text: str, literal_type: LiteralType, name: str) -> Literal:
    match literal_type.WhichOneof("type"):
        case "simple":
            value = _simple_from_text(text, literal_type, name)
            return reader.read(value, literal_type, name)
        case "collection_type" | "map_value_type":
            return reader.read(_json(text, literal_type, name), literal_type, name)
        case "union_type":
            return _union_from_text(reader, text, literal_type, name)
        case _:
            return reader.read(text, literal_type, name)


def _union_from_text(reader: _Reader, text: str, literal_type: LiteralType, name: str) -> Literal:
    variants = list(literal_type.union_type.variants)
    if text in _NONES and any(_is_none(variant) for variant in variants):
        return reader.read(None, literal_type, name)
    for variant in variants:
        if _is_none(variant):
            continue
        try:
            return union_literal(_text(reader, text, variant, name), variant)
        except UsageError:
            continue
    return _refuse(text, literal_type, name)


def _is_none(literal_type: LiteralType) -> bool:
    return bool(literal_type.WhichOneof("type") == "simple" and literal_type.simple == names.NONE)


def _simple_from_text(text: str, literal_type: LiteralType, name: str) -> object:
    try:
        match literal_type.simple:
            case names.INTEGER:
                return int(text)
            case names.FLOAT:
                return float(text)
            case names.BOOLEAN:
                return _BOOLEANS[text.strip().lower()]
            case names.NONE if text in {*_NONES, ""}:
                return None
            case names.STRUCT | names.ERROR:
                return _json(text, literal_type, name)
            case _:
                return text
    except (ValueError, KeyError):
        _refuse(text, literal_type, name)


def _json(text: str, literal_type: LiteralType, name: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        _refuse(text, literal_type, name, "give it as JSON")


def _refuse(value: object, literal_type: LiteralType, name: str, hint: str = "") -> NoReturn:
    given = "None" if value is None else f"{_shown(value)} ({type(value).__name__})"
    raise UsageError(f"{name}: expected {type_name(literal_type)}, got {given}{': ' if hint else ''}{hint}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class _Reader:
    """
    Reads values recursively.

    Attributes:
        base_dir: Where relative paths start.
        exact: Whether an int may not stand for a float, nor a whole float for an int: a union tries this first.
    """

    base_dir: str
    exact: bool = False

    def read(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        match literal_type.WhichOneof("type"):
            case "simple":
                return self._simple(value, literal_type, name)
            case "collection_type":
                return self._collection(value, literal_type, name)
            case "map_value_type":
                return self._map(value, literal_type, name)
            case "union_type":
                return self._union(value, literal_type, name)
            case "enum_type":
                return self._enum(value, literal_type, name)
            case "blob" | "structured_dataset_type" | "schema":
                return self._location(value, literal_type, name)
            case _:
                _refuse(value, literal_type, name, "this type is not known here")

    def _simple(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        readers: dict[int, Callable[[object], Literal | None]] = {
            names.NONE: lambda given: none() if given is None else None,
            names.INTEGER: self._integer,
            names.FLOAT: self._float,
            names.STRING: lambda given: _string(given, names.allowed_values(literal_type)),
            names.BOOLEAN: lambda given: primitive(boolean=given) if isinstance(given, bool) else None,
            names.DATETIME: _datetime,
            names.DURATION: _duration,
            names.BINARY: _binary,
            names.ERROR: _error,
            names.STRUCT: lambda given: self._struct(given, literal_type, name),
        }
        reader = readers.get(literal_type.simple)
        try:
            literal = reader(value) if reader is not None else None
        except (ValueError, TypeError, OverflowError, RecursionError) as problem:
            _refuse(value, literal_type, name, " ".join(str(problem).split()))
        if literal is None:
            _refuse(value, literal_type, name)
        return literal

    def _integer(self, value: object) -> Literal | None:
        if isinstance(value, float) and value.is_integer() and not self.exact:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        if value not in _INT64:
            raise ValueError("it does not fit into 64 bits")
        return primitive(integer=value)

    def _float(self, value: object) -> Literal | None:
        if isinstance(value, str) and value.lower() in _SPECIAL_FLOATS:
            value = _SPECIAL_FLOATS[value.lower()]
        if isinstance(value, bool) or not isinstance(value, float | int) or (self.exact and isinstance(value, int)):
            return None
        return primitive(float_value=float(value))

    def _struct(self, value: object, literal_type: LiteralType, name: str) -> Literal | None:
        plain: object = msgspec.to_builtins(value, str_keys=True)  # dataclasses and Structs become dicts
        if not is_object(plain):
            return None
        _check_fields(plain, literal_type, name)
        if _wants_msgpack(literal_type):
            return binary(msgspec.msgpack.encode(plain), "msgpack")
        return generic(plain)

    def _collection(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        from flyteidl.core.literals_pb2 import Literal, LiteralCollection

        given = _sequence(value)
        if given is None:
            _refuse(value, literal_type, name)
        inner = literal_type.collection_type
        items = [self.read(item, inner, f"{name}[{number}]") for number, item in enumerate(given)]
        return Literal(collection=LiteralCollection(literals=items))

    def _map(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        from flyteidl.core.literals_pb2 import Literal, LiteralMap

        if not is_object(value) or any(type(key) is not str for key in value):
            _refuse(value, literal_type, name)
        inner = literal_type.map_value_type
        return Literal(
            map=LiteralMap(literals={key: self.read(item, inner, f"{name}.{key}") for key, item in value.items()})
        )

    def _union(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        for reader in (_Reader(self.base_dir, exact=True), self):
            for variant in literal_type.union_type.variants:
                try:
                    return union_literal(reader.read(value, variant, name), variant)
                except UsageError:
                    continue
        _refuse(value, literal_type, name)

    def _enum(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        candidates = (value.value, value.name) if isinstance(value, Enum) else (value,)
        for candidate in candidates:
            if isinstance(candidate, str) and candidate in literal_type.enum_type.values:
                return primitive(string_value=candidate)
        _refuse(value, literal_type, name)

    def _location(self, value: object, literal_type: LiteralType, name: str) -> Literal:
        given = _path_text(value.get("uri", value.get("path")) if is_object(value) else value)
        if not isinstance(given, str) or not given:
            _refuse(value, literal_type, name, "give a path or a URI")
        uri = self._resolved(given)
        match literal_type.WhichOneof("type"):
            case "blob":
                return blob(uri, literal_type.blob)
            case "schema":
                return schema(uri, literal_type.schema)
            case _:
                return structured_dataset(uri, literal_type.structured_dataset_type)

    def _resolved(self, path: str) -> str:
        if not self.base_dir or "://" in path or path.startswith(("/", "~")):
            return path
        return posixpath.normpath(posixpath.join(self.base_dir, path))


def _sequence(value: object) -> list[object] | None:
    return list(cast("Iterable[object]", value)) if isinstance(value, list | tuple | set | frozenset) else None


def _path_text(value: object) -> object:
    """Give a path object as its text, anything else as it is."""
    as_path = getattr(value, "__fspath__", None)
    return value if as_path is None else as_path()


def _string(value: object, allowed: list[str]) -> Literal | None:
    value = _path_text(value)
    if not isinstance(value, str) or (allowed and value not in allowed):
        return None
    return primitive(string_value=value)


def _datetime(value: object) -> Literal | None:
    return primitive(datetime=to_timestamp(value)) if isinstance(value, str | datetime) else None


def _duration(value: object) -> Literal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | timedelta):
        return None
    return primitive(duration=to_duration(value))


def _binary(value: object) -> Literal | None:
    if isinstance(value, bytes):
        return binary(value, "")
    if not isinstance(value, str):
        return None
    try:
        return binary(base64.b64decode(value, validate=True), "")
    except binascii.Error:
        raise ValueError("give bytes in base64") from None


def _error(value: object) -> Literal | None:
    if not is_object(value):
        return None
    return error(str(value.get("message", "")), str(value.get("failed_node_id", "")))


def _wants_msgpack(literal_type: LiteralType) -> bool:
    """Tell by the type's annotation; a dataclass is msgpack even without one."""
    annotation = literal_type.annotation.annotations.fields
    if "cache-key-metadata" in annotation:
        wanted = annotation["cache-key-metadata"].struct_value.fields
        return "serialization-format" in wanted and wanted["serialization-format"].string_value == "msgpack"
    return bool(literal_type.structure.dataclass_type)


def _check_fields(value: Mapping[str, object], literal_type: LiteralType, name: str) -> None:
    """Hold a dataclass against what its type says: the JSON schema, and the literal type of each field."""
    schema_of = struct_to_json(literal_type.metadata)
    known, required = schema_of.get("properties"), schema_of.get("required")
    if is_object(known) and schema_of.get("additionalProperties") is False:
        for unknown in sorted(value.keys() - known.keys()):
            raise UsageError(f"{name}: {type_name(literal_type)} has no field {unknown!r}, only {', '.join(known)}")
    for field in required if is_array(required) else ():
        if field not in value:
            raise UsageError(f"{name}: {type_name(literal_type)} needs the field {field!r}")
    for member, member_type in sorted(literal_type.structure.dataclass_type.items()):
        if member in value and _is_checkable(member_type):
            from_json(value[member], member_type, f"{name}.{member}")


def _is_checkable(literal_type: LiteralType) -> bool:
    """Tell whether a field's JSON in a dataclass looks as it would outside: files and times do not."""
    match literal_type.WhichOneof("type"):
        case "simple":
            return literal_type.simple in _SAME_IN_JSON
        case "collection_type":
            return _is_checkable(literal_type.collection_type)
        case "map_value_type":
            return _is_checkable(literal_type.map_value_type)
        case "union_type":
            return all(_is_checkable(variant) for variant in literal_type.union_type.variants)
        case _:
            return False
