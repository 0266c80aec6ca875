from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

import pytest
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import BlobType, LiteralType, SchemaType, StructuredDatasetType

from airscrew.idl.literals import check_inputs, from_json, literal_matches, literal_type_of
from airscrew.idl.literals.scalars import (
    binary,
    blob,
    error,
    generic,
    none,
    primitive,
    schema,
    structured_dataset,
    union,
)
from airscrew.idl.template.model import Variable

FILE, CSV, FOLDER = (LiteralType(blob=BlobType(**kind)) for kind in ({}, {"format": "csv"}, {"dimensionality": 1}))
DATASET = LiteralType(structured_dataset_type=StructuredDatasetType())
SCHEMA = LiteralType(schema=SchemaType())
ERROR = LiteralType(simple=8)


class Color(Enum):
    RED = "red"


def make(value: object, python_type: object) -> Literal:
    return from_json(value, literal_type_of(python_type), "made")


def offloaded(python_type: object) -> Literal:
    literal = Literal()
    literal.offloaded_metadata.uri = "s3://x"
    if python_type is not None:
        literal.offloaded_metadata.inferred_type.CopyFrom(literal_type_of(python_type))
    return literal


@pytest.mark.parametrize(
    ("literal", "python_type"),
    [
        (primitive(integer=1), int),
        (primitive(integer=1), float),
        (primitive(string_value="red"), Color),
        (primitive(integer=1), int | None),
        (none(), int | None),
        (none(), type(None)),
        (make(1, int | None), int | None),
        (make(None, int | None), int | None),
        (make(1, int), int | None),
        (make([1, None], list[int | None]), list[int | None]),
        (make([], list[int]), list[int]),
        (make({"a": [1]}, dict[str, list[int]]), dict[str, list[int]]),
        (generic({"a": 1}), dict),
        (binary(b"\x80", "msgpack"), dict),
        (binary(b"x", ""), bytes),
        (binary(b"x", "pickle"), bytes),
        (binary(b"\x01", "msgpack"), int),
        (binary(b"\x92\x01\x02", "msgpack"), list[int]),
        (blob("x", CSV.blob), CSV),
        (blob("x", CSV.blob), FILE),
        (blob("x", FILE.blob), CSV),
        (blob("x", FOLDER.blob), FOLDER),
        (structured_dataset("x", DATASET.structured_dataset_type), DATASET),
        (structured_dataset("x", DATASET.structured_dataset_type), SCHEMA),
        (schema("x", SCHEMA.schema), DATASET),
        (error("m", "n"), ERROR),
        (offloaded(list[int]), list[int]),
        (offloaded(list[int]), list[float]),
        (offloaded(list[int]), list[int] | None),
        (offloaded(None), list[int]),
        (offloaded(dict[str, str]), dict[str, str]),
    ],
)
def test_a_literal_of_its_type_matches(literal, python_type):
    assert literal_matches(literal, literal_type_of(python_type)) is None


@pytest.mark.parametrize(
    ("literal", "python_type", "message"),
    [
        (primitive(string_value="1"), int, "expected int, got str"),
        (primitive(float_value=1), int, "expected int, got float"),
        (primitive(boolean=True), int, "expected int, got bool"),
        (primitive(string_value="blue"), Color, "expected enum(red), got 'blue'"),
        (primitive(integer=1), datetime, "expected datetime, got int"),
        (none(), int, "expected int, got None"),
        (primitive(integer=1), type(None), "expected None, got int"),
        (primitive(string_value="x"), int | None, "expected Optional[int], got str"),
        (make(1, int | str), str | None, "expected Optional[str], got a union of int"),
        (make(1, int | str), int, "expected int, got a union of int"),
        (union(primitive(string_value="x"), literal_type_of(int)), int | None, "expected int, got str"),
        (make([1, 2], list[int]), list[str], "[0]: expected str, got int"),
        (make({"a": 1}, dict[str, int]), dict[str, str], "a: expected str, got int"),
        (make([{"a": [1]}], list[dict[str, list[int]]]), list[dict[str, list[str]]], "[0].a[0]: expected str, got int"),
        (make([1], list[int]), int, "expected int, got list[int]"),
        (make({"a": 1}, dict[str, int]), dict, "expected dict, got dict[str, int]"),
        (generic({}), dict[str, int], "expected dict[str, int], got dict"),
        (binary(b"x", ""), dict[str, int], "expected dict[str, int], got bytes"),
        (binary(b"\xa1x", "msgpack"), int, "expected int, got bytes[msgpack]"),
        (binary(b"\xc1", "msgpack"), int, "expected int, got bytes[msgpack]"),
        (blob("x", CSV.blob), FOLDER, "expected FlyteDirectory, got FlyteFile[csv]"),
        (blob("x", BlobType(format="pdf")), CSV, "expected FlyteFile[csv], got FlyteFile[pdf]"),
        (primitive(string_value="s3://x"), FILE, "expected FlyteFile, got str"),
        (offloaded(list[str]), list[int], "expected list[int], got offloaded list[str]"),
        (offloaded(dict[str, str]), list[int], "expected list[int], got offloaded dict[str, str]"),
        (Literal(), int, "expected int, got nothing"),
        (Literal(scalar={}), int, "expected int, got nothing"),
        (primitive(), int, "expected int, got nothing"),
        (primitive(integer=1), LiteralType(), "expected unknown, got int"),
    ],
)
def test_a_literal_of_another_type_is_told_where_and_what(literal, python_type, message):
    assert str(literal_matches(literal, literal_type_of(python_type))) == message


def test_variants_of_one_type_are_told_apart_by_their_tags():
    first, second = (LiteralType(simple=9, structure={"tag": tag}) for tag in ("A", "B"))
    either = LiteralType(union_type={"variants": [first]})

    assert literal_matches(union(generic({}), first), either) is None
    assert literal_matches(union(generic({}), second), either) is not None


@pytest.fixture
def inputs() -> dict[str, Variable]:
    return {name: Variable(type=literal_type_of(kind)) for name, kind in {"x": int, "names": list[str]}.items()}


def test_inputs_that_fit_have_no_errors(inputs):
    assert check_inputs(inputs, {"x": make(1, int), "names": make([], list[str])}) == []


def test_every_mistake_in_the_inputs_is_told(inputs):
    given = {"names": make([3], list[int]), "y": make(1, int)}

    assert check_inputs(inputs, given) == [
        "x is missing: expected int",
        "names[0]: expected str, got int",
        "y is unexpected: declared are x, names",
    ]


def test_inputs_of_a_task_that_takes_none_are_unexpected():
    assert check_inputs({}, {"y": make(timedelta(1), timedelta)}) == ["y is unexpected: declared are none"]
