"""
Literal types of Python's own types, the way the SDKs make them: for templates built by hand.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from airscrew.idl.literals import names
from airscrew.idl.literals.scalars import tagged
from airscrew.idl.struct_fields import json_to_struct

if TYPE_CHECKING:
    from flyteidl.core.types_pb2 import LiteralType

_SIMPLE: Mapping[object, Any] = {
    None: names.NONE,
    type(None): names.NONE,
    int: names.INTEGER,
    float: names.FLOAT,
    str: names.STRING,
    bool: names.BOOLEAN,
    datetime: names.DATETIME,
    timedelta: names.DURATION,
    bytes: names.BINARY,
}
_MSGPACK = {"cache-key-metadata": {"serialization-format": "msgpack"}}


def literal_type_of(python_type: object) -> LiteralType:
    """
    Give the literal type of a Python type; a ``LiteralType`` is itself.

    Raises:
        TypeError: There is none.
    """
    from flyteidl.core.types_pb2 import BlobType, LiteralType

    if isinstance(python_type, LiteralType):
        return python_type
    if python_type in _SIMPLE:
        return LiteralType(simple=_SIMPLE[python_type])
    if python_type is Path:
        return LiteralType(blob=BlobType())
    if get_origin(python_type) is not None:
        return _generic(get_origin(python_type), get_args(python_type))
    if isinstance(python_type, type):
        return _class(cast("type[object]", python_type))
    raise TypeError(f"there is no literal type for {python_type!r}")


def _generic(origin: Any, arguments: tuple[Any, ...]) -> LiteralType:  # noqa: ANN401 - a special form, or a class
    from flyteidl.core.types_pb2 import LiteralType, UnionType

    if origin in {list, Sequence}:
        return LiteralType(collection_type=literal_type_of(arguments[0]))
    if origin in {dict, Mapping} and arguments[0] is str:
        return LiteralType(map_value_type=literal_type_of(arguments[1]))
    if origin in {Union, types.UnionType}:
        variants = [tagged(literal_type_of(argument)) for argument in arguments]
        return LiteralType(union_type=UnionType(variants=variants))
    if origin is Literal:
        annotated = literal_type_of(str)
        annotated.annotation.annotations.CopyFrom(json_to_struct({"literal_values": list(arguments)}))
        return annotated
    raise TypeError(f"there is no literal type for {origin!r} of {arguments!r}")


def _class(python_type: type[object]) -> LiteralType:
    from flyteidl.core.types_pb2 import EnumType, LiteralType

    if issubclass(python_type, Enum):
        return LiteralType(enum_type=EnumType(values=[str(member.value) for member in python_type]))
    if python_type is dict or is_dataclass(python_type):
        struct = LiteralType(simple="STRUCT")
        struct.annotation.annotations.CopyFrom(json_to_struct(_MSGPACK))
        if is_dataclass(python_type):
            struct.metadata.CopyFrom(json_to_struct({"title": str(python_type.__name__)}))
            for name, field_type in get_type_hints(cast("type", python_type)).items():
                struct.structure.dataclass_type[name].CopyFrom(literal_type_of(field_type))
        return struct
    raise TypeError(f"there is no literal type for {python_type!r}")
