"""
``template.custom`` and other Structs: to plain JSON, back, and into a typed message.

The SDKs write a message into a Struct by these rules: keys in lowerCamelCase, every number a
double, enum values by name, zero values left out. ``decode_custom`` reads such a Struct into a
protobuf message, a msgspec Struct or a dataclass; what does not fit is an error that names
the field and the message.

Pure functions; protobuf is imported when they are called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from airscrew.idl.errors import AirscrewError
from airscrew.idl.json_tree import is_array, is_object

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct, Value
    from msgspec import inspect

T = TypeVar("T")


class CustomFieldError(AirscrewError):
    """
    ``template.custom`` does not fit the message of its plugin.

    Attributes:
        message_name: The message's name.
        field: The path of the field in it, empty for the whole.
    """

    def __init__(self, message_name: str, field: str, problem: str) -> None:
        self.message_name = message_name
        self.field = field
        where = f"{message_name}.{field}" if field else message_name
        super().__init__(f"template.custom does not fit {where}: {problem}")


def struct_to_json(struct: Struct, *, whole_as_int: bool = False) -> dict[str, object]:
    """
    Decode a Struct into a plain dict, its keys in order.

    Args:
        struct: The message.
        whole_as_int: Whether doubles that are whole become ints.
    """
    fields = struct.fields
    return {key: _from_value(fields[key], whole_as_int) for key in sorted(fields)}


def _from_value(value: Value, whole_as_int: bool) -> object:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if whole_as_int and number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return struct_to_json(value.struct_value, whole_as_int=whole_as_int)
        case "list_value":
            return [_from_value(item, whole_as_int) for item in value.list_value.values]
        case _:
            return None


def json_to_struct(value: Mapping[str, object]) -> Struct:
    """
    Encode a plain dict as a Struct.

    Raises:
        ValueError: It holds something that is not JSON.
        TypeError: Likewise.
    """
    from google.protobuf.struct_pb2 import Struct

    struct = Struct()
    struct.update(cast("dict[str, Any]", value))
    return struct


def decode_custom(custom: Mapping[str, object], message_type: type[T], *, ignore_unknown: bool = False) -> T:
    """
    Read ``template.custom`` into a plugin's own message.

    Args:
        custom: The decoded Struct.
        message_type: A protobuf message class, a ``msgspec.Struct`` or a dataclass. The fields of the
            latter two are found under their own name, its lowerCamelCase form, or any spelling of
            it that differs in case and underscores only.
        ignore_unknown: Whether fields that the message does not have are skipped.

    Raises:
        CustomFieldError: It does not fit; names the field and the message.
        TypeError: ``message_type`` is none of the three.
    """
    if hasattr(message_type, "DESCRIPTOR"):
        decoded = _decode_protobuf(custom, cast("type[Message]", message_type), ignore_unknown=ignore_unknown)
        return cast("T", decoded)
    if is_dataclass(message_type) or issubclass(message_type, msgspec.Struct):
        return _decode_typed(custom, message_type, ignore_unknown=ignore_unknown)
    raise TypeError(f"{message_type!r} is no protobuf message, msgspec.Struct or dataclass")


def _decode_protobuf(custom: Mapping[str, object], message_type: type[Message], *, ignore_unknown: bool) -> Message:
    from google.protobuf.json_format import ParseDict, ParseError

    name = message_type.DESCRIPTOR.full_name
    try:
        return ParseDict(dict(custom), message_type(), ignore_unknown_fields=ignore_unknown)
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        field, problem = explain_parse_error(str(error))
        raise CustomFieldError(name, field, problem) from None


_OUTER_FIELD = re.compile(r"Failed to parse (\w+) field: ")
_NO_FIELD = re.compile(r'Message type "[\w.]+" has no field named "([^"]*)"')


def explain_parse_error(text: str) -> tuple[str, str]:
    """
    Take the field's path and the problem out of an error of ``json_format``, which has them in its text only.

    Returns:
        The path, empty when it is unknown, and the problem on one line.
    """
    path = _OUTER_FIELD.findall(text)
    problem = _OUTER_FIELD.sub("", text)
    missing = _NO_FIELD.search(problem)
    if missing:
        return ".".join([*path, missing[1]]), "there is no such field"
    return ".".join(path), " ".join(re.sub(r" at \w+(\.[\w\[\]]+)+\.*$", "", problem).split()).rstrip(".")


def _decode_typed(custom: Mapping[str, object], message_type: type[T], *, ignore_unknown: bool) -> T:
    fitted = _Fitting(message_type.__name__, ignore_unknown=ignore_unknown).fit(
        custom, _type_info(cast("type", message_type)), ""
    )
    try:
        return msgspec.convert(fitted, message_type, strict=True)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        raise CustomFieldError(message_type.__name__, path.strip("`."), problem) from None


@cache
def _type_info(message_type: type) -> inspect.Type:
    from msgspec import inspect

    return inspect.type_info(message_type)


class _Fitting:
    """Renames keys and turns whole doubles into ints, by the types of the message."""

    def __init__(self, message_name: str, *, ignore_unknown: bool) -> None:
        self._message_name = message_name
        self._ignore_unknown = ignore_unknown

    def fit(self, value: object, info: inspect.Type, path: str) -> object:
        """Give the value as ``msgspec.convert`` wants it."""
        from msgspec import inspect

        match info:
            case inspect.UnionType():
                return self.fit(value, _member_for(value, info.types), path)
            case inspect.StructType() | inspect.DataclassType() if is_object(value):
                return self._fit_fields(value, info, path)
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() if is_array(value):
                return [self.fit(item, info.item_type, f"{path}[{n}]") for n, item in enumerate(value)]
            case inspect.DictType() if is_object(value):
                return {key: self.fit(item, info.value_type, f"{path}.{key}") for key, item in value.items()}
            case inspect.IntType() if isinstance(value, float) and value.is_integer():
                return int(value)
            case _:
                return value

    def _fit_fields(
        self, value: Mapping[str, object], info: inspect.StructType | inspect.DataclassType, path: str
    ) -> dict[str, object]:
        known = {_plain(field.name): field for field in info.fields}
        known |= {_plain(field.encode_name): field for field in info.fields}
        fitted: dict[str, object] = {}
        for key, item in value.items():
            where = f"{path}.{key}".lstrip(".")
            field = known.get(_plain(key))
            if field is not None:
                fitted[field.encode_name] = self.fit(item, field.type, where)
            elif not self._ignore_unknown:
                raise CustomFieldError(self._message_name, where, "there is no such field")
        return fitted


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _member_for(value: object, members: tuple[inspect.Type, ...]) -> inspect.Type:
    """Pick the member of a union that a JSON value is for: a record for an object, and so on."""
    from msgspec import inspect

    wanted: tuple[type[inspect.Type], ...]
    match value:
        case Mapping():
            wanted = (inspect.StructType, inspect.DataclassType, inspect.DictType)
        case list():
            wanted = (inspect.ListType, inspect.VarTupleType, inspect.SetType)
        case float() if not any(isinstance(member, inspect.FloatType) for member in members):
            wanted = (inspect.IntType,)
        case _:
            wanted = ()
    return next((member for member in members if isinstance(member, wanted)), members[0])
