from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.types_pb2 import BlobType, EnumType, LiteralType, SchemaType, StructuredDatasetType
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.literals import (
    from_json,
    given_type_name,
    literal_type_of,
    to_display,
    to_json,
    to_python,
    type_name,
)
from airscrew.idl.literals.scalars import binary, blob, generic, primitive


def offloaded(uri: str) -> Literal:
    literal = Literal()
    literal.offloaded_metadata.uri = uri
    literal.offloaded_metadata.inferred_type.collection_type.simple = 1
    return literal


@pytest.mark.parametrize(
    ("literal_type", "name"),
    [
        (int, "int"),
        (float, "float"),
        (str, "str"),
        (bool, "bool"),
        (datetime, "datetime"),
        (timedelta, "timedelta"),
        (bytes, "bytes"),
        (None, "None"),
        (dict, "dict"),
        (list[str], "list[str]"),
        (dict[str, float], "dict[str, float]"),
        (int | None, "Optional[int]"),
        (int | str, "Union[int, str]"),
        (int | str | None, "Union[int, str, None]"),
        (list[int | None], "list[Optional[int]]"),
        (LiteralType(simple=8), "Error"),
        (LiteralType(simple=77), "unknown"),
        (LiteralType(), "unknown"),
        (LiteralType(blob=BlobType()), "FlyteFile"),
        (LiteralType(blob=BlobType(format="csv")), "FlyteFile[csv]"),
        (LiteralType(blob=BlobType(dimensionality=1)), "FlyteDirectory"),
        (LiteralType(enum_type=EnumType(values=["red", "green"])), "enum(red, green)"),
        (LiteralType(enum_type=EnumType(values=["v"] * 15)), f"enum({'v, ' * 12}… 3 more)"),
        (LiteralType(structured_dataset_type=StructuredDatasetType(format="parquet")), "StructuredDataset[parquet]"),
        (LiteralType(schema=SchemaType()), "FlyteSchema"),
    ],
)
def test_a_type_is_named_as_people_write_it(literal_type, name):
    assert type_name(literal_type_of(literal_type)) == name


def test_a_dataclass_of_the_sdk_is_named_by_its_class(sdk_template):
    assert type_name(sdk_template("v1/basic.rich_io").interface.inputs["c"].type) == "Cfg"


@pytest.mark.parametrize(
    ("value", "python_type", "name"),
    [
        (1, int, "int"),
        ([1], list[int], "list[int]"),
        ([], list[int], "list[nothing]"),
        ([1, "a"], list[int | str], "list[int | str]"),
        ({"a": 1.0}, dict[str, float], "dict[str, float]"),
        (None, int | None, "None"),
        ({}, dict, "bytes[msgpack]"),
        ("x", LiteralType(blob=BlobType(format="csv")), "FlyteFile[csv]"),
    ],
)
def test_what_was_given_is_named_too(value, python_type, name):
    assert given_type_name(from_json(value, literal_type_of(python_type), "x")) == name


def test_nothing_is_named_nothing():
    assert given_type_name(Literal()) == "nothing"


@pytest.mark.parametrize(
    ("literal", "shown"),
    [
        (primitive(integer=3), "3"),
        (primitive(float_value=3.0), "3.0"),
        (primitive(float_value=float("inf")), "Infinity"),
        (primitive(string_value="two\nlines"), "two\nlines"),
        (primitive(boolean=True), "true"),
        (primitive(datetime=Timestamp(seconds=0)), "1970-01-01T00:00:00Z"),
        (primitive(duration=Duration(seconds=5400)), "1h 30m"),
        (primitive(duration=Duration(seconds=-1, nanos=-500_000_000)), "-1.5s"),
        (primitive(duration=Duration()), "0s"),
        (generic({"a": [1, None]}), '{"a": [1, null]}'),
        (binary(b"hi", ""), "aGk="),
        (binary(msgspec.msgpack.encode({"ü": 1}), "msgpack"), '{"ü": 1}'),
        (blob("s3://x", BlobType()), "s3://x"),
        (offloaded("s3://big"), "s3://big"),
        (from_json(None, literal_type_of(int | None), "x"), "None"),
        (from_json(timedelta(hours=1), literal_type_of(timedelta | None), "x"), "1h"),
        (Literal(), "None"),
    ],
)
def test_a_literal_is_shown_for_people(literal, shown):
    assert to_display(literal) == shown


def test_a_long_value_is_cut_in_its_middle():
    shown = to_display(primitive(string_value="a" * 5000), limit=200)

    assert len(shown) <= 200
    assert "characters left out" in shown


def test_python_gets_its_own_types_back():
    moment = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

    assert to_python(from_json(moment, literal_type_of(datetime), "x")) == moment
    assert to_python(from_json(timedelta(1), literal_type_of(timedelta), "x")) == timedelta(1)
    assert to_python(from_json(b"\x00", literal_type_of(bytes), "x")) == b"\x00"


def test_a_struct_gives_whole_numbers_as_ints_and_a_known_type_gives_floats_back():
    declared = LiteralType(simple=9)
    declared.structure.dataclass_type["rate"].simple = 2
    declared.structure.dataclass_type["rates"].collection_type.simple = 2
    literal = generic({"rate": 1, "size": 1, "rates": [1]})

    assert repr(to_json(literal)) == "{'rate': 1, 'rates': [1], 'size': 1}"
    assert repr(to_json(literal, declared)) == "{'rate': 1.0, 'rates': [1.0], 'size': 1}"


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\xff\xff", b"\x81\x90\x01", msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x"))]
)
def test_msgpack_that_json_cannot_say_is_shown_all_the_same(data):
    assert isinstance(to_display(binary(data, "msgpack")), str)


def test_msgpack_with_other_keys_gets_text_for_keys():
    assert to_json(binary(msgspec.msgpack.encode({1: {None: 2}}), "msgpack")) == {"1": {"None": 2}}


@pytest.mark.parametrize(
    "literal",
    [
        primitive(datetime=Timestamp(seconds=2**62)),
        primitive(datetime=Timestamp(seconds=1, nanos=-5)),
        primitive(duration=Duration(seconds=2**62)),
        primitive(duration=Duration(seconds=1, nanos=2**31 - 1)),
    ],
)
def test_a_time_that_no_calendar_has_is_shown_all_the_same(literal):
    assert to_display(literal)
    assert msgspec.json.encode(to_json(literal))


@given(st.binary(max_size=80))
def test_any_literal_map_of_the_wire_can_be_shown(data):
    try:
        literals = LiteralMap.FromString(data).literals
    except Exception:  # noqa: BLE001 - what is no message is not the matter here
        return
    for literal in literals.values():
        assert isinstance(to_display(literal), str)
        assert msgspec.json.encode(to_json(literal))
