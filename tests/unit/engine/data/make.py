from __future__ import annotations

from flyteidl.core import literals_pb2 as lit
from flyteidl.core import types_pb2 as typ
from google.protobuf.struct_pb2 import Struct

from airscrew.engine.data.locations import plan_locations
from airscrew.engine.executor import Locations
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid, attempt_key
from airscrew.idl.template.model import Variable
from airscrew.idl.wire import WireForm

INSTALLATION = "0" * 32
UID = Uid("0123456789abcdef0123456789abcdef")
EXECUTION = ExecutionId("team", "hello")


def key(attempt: int = 0) -> AttemptKey:
    return attempt_key(INSTALLATION, UID, attempt)


def locations(base: str, attempt: int = 0, wire: WireForm = WireForm.FLYTE1) -> Locations:
    before = key(attempt - 1) if attempt else None
    return plan_locations(base, EXECUTION, UID, attempt, key(attempt), previous_key=before, wire=wire)


def integer(value: int) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(integer=value)))


def real(value: float) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(float_value=value)))


def text(value: str) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(string_value=value)))


def boolean(value: bool) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(boolean=value)))


def none() -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(none_type=lit.Void()))


def blob(uri: str) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(blob=lit.Blob(uri=uri)))


def frame(uri: str) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(structured_dataset=lit.StructuredDataset(uri=uri)))


def packed(value: bytes, tag: str = "msgpack") -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(binary=lit.Binary(value=value, tag=tag)))


def struct(**values: object) -> lit.Literal:
    message = Struct()
    message.update(values)
    return lit.Literal(scalar=lit.Scalar(generic=message))


def union(value: lit.Literal) -> lit.Literal:
    return lit.Literal(scalar=lit.Scalar(union=lit.Union(value=value)))


def many(*items: lit.Literal) -> lit.Literal:
    return lit.Literal(collection=lit.LiteralCollection(literals=items))


def mapped(**items: lit.Literal) -> lit.Literal:
    return lit.Literal(map=lit.LiteralMap(literals=items))


def literal_map(**items: lit.Literal) -> lit.LiteralMap:
    return lit.LiteralMap(literals=items)


INTEGER = Variable(type=typ.LiteralType(simple=typ.INTEGER))
STRING = Variable(type=typ.LiteralType(simple=typ.STRING))
