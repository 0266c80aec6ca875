"""
From bindings to literals: static values, promises of other nodes' outputs, lists and maps of both.

A promise may go on into its value: ``[2]`` of a list, ``.name`` of a map, a dataclass or a Struct. What is found there
is written as the SDKs expect it: a part of msgpack stays msgpack, a part of a Struct becomes the primitive that it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.json_tree import BAD_JSON

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Binding, BindingData, Literal, LiteralMap
    from flyteidl.core.types_pb2 import OutputReference, PromiseAttribute
    from google.protobuf.struct_pb2 import Value

BAD_FUTURES = "BadDynamicSpecification"
MSGPACK = "msgpack"


class UnresolvedError(PermanentError):
    """
    A binding refers to what is not there, and never will be.

    Attributes:
        variable: The variable that it is for.
    """

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"the value for {variable!r} cannot be had: {problem}", code=BAD_FUTURES)
        self.variable = variable


def resolve_bindings(
    bindings: Iterable[Binding], results: Mapping[str, LiteralMap], *, failed: Collection[str] = ()
) -> LiteralMap:
    """
    Make the literals that bindings describe.

    Args:
        bindings: A node's inputs, or the outputs of the plan.
        results: The outputs of the nodes that succeeded, by node id.
        failed: Nodes whose outputs are none: those that ``min_successes`` lets fail.

    Raises:
        UnresolvedError: A promised value is not there.
    """
    from flyteidl.core.literals_pb2 import LiteralMap

    resolved = LiteralMap()
    for binding in bindings:
        literal = _resolve(binding.binding, results, failed, binding.var)
        resolved.literals[binding.var].CopyFrom(literal)
    return resolved


def promised_nodes(data: BindingData) -> set[str]:
    """Say whose outputs a binding needs."""
    match data.WhichOneof("value"):
        case "promise":
            return {str(data.promise.node_id)}
        case "collection":
            return set[str]().union(*(promised_nodes(item) for item in data.collection.bindings))
        case "map":
            return set[str]().union(*(promised_nodes(item) for item in data.map.bindings.values()))
        case _:
            return set()


def _resolve(data: BindingData, results: Mapping[str, LiteralMap], failed: Collection[str], variable: str) -> Literal:
    from flyteidl.core.literals_pb2 import Literal

    literal = Literal()
    match data.WhichOneof("value"):
        case "scalar":
            literal.scalar.CopyFrom(data.scalar)
        case "offloaded_metadata":
            literal.offloaded_metadata.CopyFrom(data.offloaded_metadata)
        case "collection":
            items = [_resolve(item, results, failed, variable) for item in data.collection.bindings]
            literal.collection.SetInParent()
            literal.collection.literals.extend(items)
        case "map":
            literal.map.SetInParent()
            for name, item in data.map.bindings.items():
                literal.map.literals[name].CopyFrom(_resolve(item, results, failed, variable))
        case "promise":
            return _promised(data.promise, results, failed, variable)
        case _:
            raise UnresolvedError(variable, "its binding is empty")
    return literal


def _promised(
    promise: OutputReference, results: Mapping[str, LiteralMap], failed: Collection[str], variable: str
) -> Literal:
    node, name = str(promise.node_id), str(promise.var)
    if node in failed:
        return _none()
    if node not in results:
        raise UnresolvedError(variable, f"node {node!r} has no outputs")
    if name not in results[node].literals:
        raise UnresolvedError(variable, f"node {node!r} has no output {name!r}")
    literal = results[node].literals[name]
    path = list(promise.attr_path)
    for position, attribute in enumerate(path):
        literal = _unwrapped(literal)
        match literal.WhichOneof("value"):
            case "collection":
                literal = _item(literal, attribute, variable)
            case "map":
                literal = _entry(literal, attribute, variable)
            case _:
                return _inside_scalar(literal, path[position:], variable)
    return literal


def _unwrapped(literal: Literal) -> Literal:
    while literal.scalar.WhichOneof("value") == "union":
        literal = literal.scalar.union.value
    return literal


def _item(literal: Literal, attribute: PromiseAttribute, variable: str) -> Literal:
    index = _key(attribute)
    if not isinstance(index, int) or not -len(literal.collection.literals) <= index < len(literal.collection.literals):
        raise UnresolvedError(variable, f"a list of {len(literal.collection.literals)} has no item {index!r}")
    return literal.collection.literals[index]


def _entry(literal: Literal, attribute: PromiseAttribute, variable: str) -> Literal:
    name = _key(attribute)
    if not isinstance(name, str) or name not in literal.map.literals:
        raise UnresolvedError(variable, f"a map has no entry {name!r}")
    return literal.map.literals[name]


def _inside_scalar(literal: Literal, path: list[PromiseAttribute], variable: str) -> Literal:
    """Go into a value that Flyte itself does not look into."""
    match literal.scalar.WhichOneof("value"):
        case "binary" if literal.scalar.binary.tag == MSGPACK:
            return _inside_msgpack(literal, path, variable)
        case "generic":
            return _inside_struct(literal, path, variable)
        case kind:
            raise UnresolvedError(variable, f"{kind or 'the value'} has no part {_key(path[0])!r}")


def _inside_msgpack(literal: Literal, path: list[PromiseAttribute], variable: str) -> Literal:
    import msgspec

    try:
        value: object = msgspec.msgpack.decode(literal.scalar.binary.value)
    except BAD_JSON as error:
        raise UnresolvedError(variable, f"its msgpack is broken: {error}") from error
    for attribute in path:
        value = _part(value, _key(attribute), variable)
    if value is None:
        return _none()
    from flyteidl.core.literals_pb2 import Binary, Literal, Scalar

    return Literal(scalar=Scalar(binary=Binary(value=msgspec.msgpack.encode(value), tag=MSGPACK)))


def _part(value: object, key: str | int, variable: str) -> object:
    match value, key:
        case dict(), _ if key in value:
            return cast("object", value[key])
        case list(), int() if -len(cast("list[object]", value)) <= key < len(cast("list[object]", value)):
            return cast("list[object]", value)[key]
        case _:
            raise UnresolvedError(variable, f"the value has no part {key!r}")


def _inside_struct(literal: Literal, path: list[PromiseAttribute], variable: str) -> Literal:
    from google.protobuf.struct_pb2 import Value

    value = Value(struct_value=literal.scalar.generic)
    for attribute in path:
        key = _key(attribute)
        match value.WhichOneof("kind"):
            case "struct_value" if isinstance(key, str) and key in value.struct_value.fields:
                value = value.struct_value.fields[key]
            case "list_value" if isinstance(key, int) and 0 <= key < len(value.list_value.values):
                value = value.list_value.values[key]
            case _:
                raise UnresolvedError(variable, f"the value has no part {key!r}")
    return _from_value(value)


def _from_value(value: Value) -> Literal:
    from flyteidl.core.literals_pb2 import Literal

    literal = Literal()
    match value.WhichOneof("kind"):
        case "string_value":
            literal.scalar.primitive.string_value = value.string_value
        case "number_value":
            literal.scalar.primitive.float_value = value.number_value
        case "bool_value":
            literal.scalar.primitive.boolean = value.bool_value
        case "struct_value":
            literal.scalar.generic.CopyFrom(value.struct_value)
        case "list_value":
            literal.collection.SetInParent()
            literal.collection.literals.extend(_from_value(item) for item in value.list_value.values)
        case _:
            return _none()
    return literal


def _key(attribute: PromiseAttribute) -> str | int:
    if attribute.WhichOneof("value") == "int_value":
        return int(attribute.int_value)
    return str(attribute.string_value)


def _none() -> Literal:
    from flyteidl.core.literals_pb2 import Literal

    literal = Literal()
    literal.scalar.none_type.SetInParent()
    return literal
