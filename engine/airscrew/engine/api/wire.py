"""
The structs of ``model`` to the messages of ``service.proto`` and back, by the names of their fields.

Guarantees: ``decode(encode(x, M()), type(x)) == x`` for every struct; a field that the message does not have is a
``TypeError`` at the first use of the struct, so no field is lost in silence; a phase or kind that a newer peer sends
and this one does not know is read as the undefined one.

How each struct is carried is worked out once per class, from its annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor
    from google.protobuf.message import Message

S = TypeVar("S", bound=msgspec.Struct)
M = TypeVar("M", bound="Message")

_JSON_SUFFIX = "_json"
_plans: dict[tuple[type[msgspec.Struct], type[Message]], tuple[_Field, ...]] = {}

_SCALARS = (inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.BytesType)


@dataclass(frozen=True, slots=True)
class _Field:
    """
    How one field is carried.

    Attributes:
        name: Of the struct's field.
        write: Sets it in a message.
        read: Gets it from a message; ``UNSET`` leaves the struct's default.
    """

    name: str
    write: Callable[[object, Message], None]
    read: Callable[[Message], object]


def encode(value: msgspec.Struct, message: M) -> M:
    """
    Fill a message from a struct and return it.

    Raises:
        ValueError: A text is not Unicode or a number does not fit.
    """
    for field in _plan(type(value), message):
        field.write(getattr(value, field.name), message)
    return message


def decode(message: Message, cls: type[S]) -> S:
    """
    Make a struct from a message.

    Raises:
        msgspec.DecodeError: A ``_json`` field holds no JSON.
    """
    values = {field.name: field.read(message) for field in _plan(cls, message)}
    return cls(**{name: value for name, value in values.items() if value is not msgspec.UNSET})


def _plan(cls: type[msgspec.Struct], message: Message) -> tuple[_Field, ...]:
    plan = _plans.get((cls, type(message)))
    if plan is None:
        info = cast("inspect.StructType", inspect.type_info(cls))
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        plan = tuple(_field(field.name, field.type, descriptor) for field in info.fields)
        _plans[cls, type(message)] = plan
    return plan


def _field(name: str, kind: inspect.Type, message: Descriptor) -> _Field:
    known = message.fields_by_name
    if name + _JSON_SUFFIX in known:
        return _json_field(name)
    if name not in known:
        raise TypeError(f"{message.full_name} has no field {name}: add it to service.proto")
    optional = isinstance(kind, inspect.UnionType)
    if isinstance(kind, inspect.UnionType):
        (kind,) = (part for part in kind.types if not isinstance(part, inspect.NoneType))
    match kind:
        case inspect.StructType(cls=cls):
            return _struct_field(name, cls, optional=optional)
        case inspect.EnumType(cls=enum):
            return _enum_field(name, _numbers(enum, cast("EnumDescriptor", known[name].enum_type)))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            make = list if isinstance(kind, inspect.ListType) else tuple
            return _repeated_field(name, item, make, known[name].enum_type)
        case inspect.DictType():
            return _map_field(name)
        case _ if isinstance(kind, _SCALARS):
            return _scalar_field(name, optional=optional)
        case _:
            raise TypeError(f"{message.full_name}.{name} has a type that cannot be carried: {kind}")


def _scalar_field(name: str, *, optional: bool) -> _Field:
    def write(value: object, message: Message) -> None:
        if value is not None:
            setattr(message, name, value)

    def read(message: Message) -> object:
        return None if optional and not message.HasField(name) else getattr(message, name)

    return _Field(name, write, read)


def _json_field(name: str) -> _Field:
    field = name + _JSON_SUFFIX

    def write(value: object, message: Message) -> None:
        if value is not None:
            setattr(message, field, msgspec.json.encode(value).decode())

    def read(message: Message) -> object:
        text = getattr(message, field)
        return msgspec.json.decode(text) if text else msgspec.UNSET

    return _Field(name, write, read)


def _struct_field(name: str, cls: type[msgspec.Struct], *, optional: bool) -> _Field:
    def write(value: object, message: Message) -> None:
        if value is not None:
            part = getattr(message, name)
            part.SetInParent()
            encode(cast("msgspec.Struct", value), part)

    def read(message: Message) -> object:
        return None if optional and not message.HasField(name) else decode(getattr(message, name), cls)

    return _Field(name, write, read)


def _numbers(enum: type[Enum], descriptor: EnumDescriptor) -> Mapping[Enum, int]:
    prefix = descriptor.values[0].name.removesuffix(_zero(enum, descriptor).name)
    return {member: descriptor.values_by_name[prefix + member.name].number for member in enum}


def _zero(enum: type[Enum], descriptor: EnumDescriptor) -> Enum:
    first = descriptor.values[0].name
    return max((member for member in enum if first.endswith("_" + member.name)), key=lambda member: len(member.name))


def _enum_field(name: str, numbers: Mapping[Enum, int]) -> _Field:
    members = {number: member for member, number in numbers.items()}

    def write(value: object, message: Message) -> None:
        setattr(message, name, numbers[cast("Enum", value)])

    def read(message: Message) -> object:
        return members.get(getattr(message, name), members[0])

    return _Field(name, write, read)


def _map_field(name: str) -> _Field:
    def write(value: object, message: Message) -> None:
        getattr(message, name).update(cast("Mapping[str, object]", value))

    def read(message: Message) -> object:
        return dict(getattr(message, name))

    return _Field(name, write, read)


def _repeated_field(
    name: str, item: inspect.Type, make: Callable[[Sequence[object]], object], descriptor: EnumDescriptor | None
) -> _Field:
    if isinstance(item, inspect.StructType):
        return _repeated_structs(name, item.cls, make)
    numbers: Mapping[Enum, int] = {}
    if isinstance(item, inspect.EnumType):
        assert descriptor is not None
        numbers = _numbers(item.cls, descriptor)
    members = {number: member for member, number in numbers.items()}

    def write(value: object, message: Message) -> None:
        items = cast("Sequence[Enum]", value)
        getattr(message, name).extend([numbers[entry] for entry in items] if numbers else items)

    def read(message: Message) -> object:
        items = getattr(message, name)
        return make([members.get(entry, members[0]) for entry in items] if members else items)

    return _Field(name, write, read)


def _repeated_structs(name: str, cls: type[msgspec.Struct], make: Callable[[Sequence[object]], object]) -> _Field:
    def write(value: object, message: Message) -> None:
        parts = getattr(message, name)
        for entry in cast("Sequence[msgspec.Struct]", value):
            encode(entry, parts.add())

    def read(message: Message) -> object:
        return make([decode(part, cls) for part in getattr(message, name)])

    return _Field(name, write, read)
