"""Inputs: refused in a line, or taken, echoed, read back and shown; with a healthy task beside them."""

from __future__ import annotations

from pathlib import Path

import msgspec
from flyteidl.core.interface_pb2 import Variable
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.types_pb2 import LiteralType
from google.protobuf.message import DecodeError
from tests.fuzz.engine import play, see_end, see_refusal, submitted
from tests.fuzz.mutations import spoilt_bytes, spoilt_messages, weighted
from tests.fuzz.target import Target
from tests.support.templates import echo_template

from airscrew.engine.api.model import ApiError, SubmitRequest
from airscrew.engine.core import Core
from airscrew.idl.literals import from_json, literal_type_of
from airscrew.plugins.echo import EchoExecutor

SIMPLE: dict[str, tuple[object, object]] = {
    "whole": (7, int),
    "real": (0.5, float),
    "words": ("hello", str),
    "truth": (True, bool),
    "many": ([1, 2, 3], list[int]),
    "named": ({"a": 0.5, "b": 1.5}, dict[str, float]),
}
TREE = {"a": [1, {"b": None}], "c": "d"}


def known() -> tuple[dict[str, LiteralType], LiteralMap]:
    """Every kind of literal, with its type."""
    types = {name: literal_type_of(kind) for name, (_, kind) in SIMPLE.items()}
    made = LiteralMap()
    for name, (value, _) in SIMPLE.items():
        made.literals[name].CopyFrom(from_json(value, types[name], name))
    types["when"], types["long"], types["tree"] = LiteralType(simple=5), LiteralType(simple=6), LiteralType(simple=7)
    made.literals["when"].scalar.primitive.datetime.FromJsonString("2024-01-01T00:00:00.5Z")
    made.literals["long"].scalar.primitive.duration.FromSeconds(90)
    made.literals["tree"].scalar.generic.update(TREE)
    types["packed"] = LiteralType(simple=7)
    made.literals["packed"].scalar.binary.value = msgspec.msgpack.encode(TREE)
    made.literals["packed"].scalar.binary.tag = "msgpack"
    types["blob"] = LiteralType(blob={"format": "csv"})
    made.literals["blob"].scalar.blob.uri = "s3://bucket/file.csv"
    made.literals["blob"].scalar.blob.metadata.type.format = "csv"
    types["frame"] = LiteralType(structured_dataset_type={"format": "parquet"})
    made.literals["frame"].scalar.structured_dataset.uri = "s3://bucket/frame"
    made.literals["frame"].scalar.structured_dataset.metadata.structured_dataset_type.format = "parquet"
    variants = [LiteralType(simple=1), LiteralType(simple=0)]
    types["union"] = LiteralType(union_type={"variants": variants})
    made.literals["union"].CopyFrom(
        Literal(scalar={"union": {"value": from_json(7, variants[0], "union"), "type": variants[0]}})
    )
    types["enum"] = LiteralType(enum_type={"values": ["red", "blue"]})
    made.literals["enum"].scalar.primitive.string_value = "red"
    return types, made


TYPES, VALUES = known()
SEEDS = [
    VALUES.SerializeToString(deterministic=True),
    *(LiteralMap(literals={name: one}).SerializeToString() for name, one in VALUES.literals.items()),
]


def template(names: list[str]) -> bytes:
    """An echo of these inputs."""
    made = echo_template(name="demo.literals")
    for name in names:
        made.interface.inputs.variables[name].CopyFrom(Variable(type=TYPES[name]))
        made.interface.outputs.variables[name].CopyFrom(Variable(type=TYPES[name]))
    return bytes(made.SerializeToString(deterministic=True))


def declared(data: bytes) -> list[str]:
    """Say which inputs a task declares that is to take these: those of its that there are, or all."""
    try:
        names = sorted(set(LiteralMap.FromString(data).literals) & set(TYPES))
    except (DecodeError, ValueError):
        names = []
    return names or sorted(TYPES)


def check(data: bytes) -> None:
    async def body(core: Core, folder: Path) -> None:
        request = SubmitRequest(name="bad", template=template(declared(data)), inputs=data)
        execution = await submitted(core, request)
        if execution:
            view = await see_end(core, execution)
            assert view.phase.name == "SUCCESS", view
        by_file = folder / "inputs.pb"
        by_file.write_bytes(data)
        await submitted(core, SubmitRequest(name="file", template=request.template, input_uri=by_file.as_uri()))
        try:
            await core.api.outputs("default/file")
        except ApiError as error:
            see_refusal(error)

    play(body, EchoExecutor())


INPUTS = weighted(
    (2, spoilt_messages(LiteralMap, SEEDS)),
    (3, spoilt_messages(LiteralMap, SEEDS[1:])),
    (1, spoilt_bytes(SEEDS[1:])),
    (1, spoilt_bytes(SEEDS)),
)
TARGET = Target(name="literals", inputs=INPUTS, check=check, examples=150)


@TARGET.fuzzed
def test_any_inputs_are_refused_or_come_back(data: bytes) -> None:
    check(data)
