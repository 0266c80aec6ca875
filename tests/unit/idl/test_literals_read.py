from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Literal as Choice

import msgspec
import pytest
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import BlobType, LiteralType, SchemaType, StructuredDatasetType
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import UsageError
from airscrew.idl.literals import from_json, from_text, literal_matches, literal_type_of, to_json

CSV = LiteralType(blob=BlobType(format="csv"))
DATASET = LiteralType(structured_dataset_type=StructuredDatasetType(format="parquet"))
SCHEMA = LiteralType(schema=SchemaType())
GENERIC = LiteralType(simple=9)


class Color(Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Config:
    rate: float
    names: list[str]
    size: int | None = None


def read(text: str, python_type: object) -> object:
    return to_json(from_text(text, literal_type_of(python_type), "x"))


def read_json(value: object, python_type: object) -> object:
    return to_json(from_json(value, literal_type_of(python_type), "x"))


@pytest.mark.parametrize(
    ("text", "python_type", "value"),
    [
        ("3", int, 3),
        ("-9223372036854775808", int, -(2**63)),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("nan", float, "NaN"),
        ("-inf", float, "-Infinity"),
        ("3", str, "3"),
        ("", str, ""),
        ("true", bool, True),
        ("No", bool, False),
        ("null", type(None), None),
        ("2024-01-02T03:04:05Z", datetime, "2024-01-02T03:04:05Z"),
        ("2024-01-02", datetime, "2024-01-02T00:00:00Z"),
        ("2024-01-02 03:04+02:00", datetime, "2024-01-02T01:04:00Z"),
        ("2024-01-02T03:04:05.123456789Z", datetime, "2024-01-02T03:04:05.123456789Z"),
        ("90", timedelta, "90s"),
        ("1h30m", timedelta, "5400s"),
        ("-1.5s", timedelta, "-1.500s"),
        ("250ms", timedelta, "0.250s"),
        ("PT1H30M", timedelta, "5400s"),
        ("1d 2h", timedelta, "93600s"),
        ("aGk=", bytes, "aGk="),
        ("[1, 2]", list[int], [1, 2]),
        ("[[]]", list[list[str]], [[]]),
        ('{"a": 1.5}', dict[str, float], {"a": 1.5}),
        ('{"a": {"b": [1]}}', dict, {"a": {"b": [1]}}),
        ("red", Color, "red"),
        ("a", Choice["a", "b"], "a"),
        ("3", int | None, 3),
        ("null", int | None, None),
        ("None", str | None, None),
        ("abc", int | str, "abc"),
        ("3", int | str, 3),
        ("s3://bucket/x.csv", CSV, "s3://bucket/x.csv"),
        ("data.parquet", DATASET, "data.parquet"),
        ("x", SCHEMA, "x"),
        ('{"rate": 1, "names": ["a"]}', Config, {"rate": 1.0, "names": ["a"]}),
    ],
)
def test_text_of_a_command_line_is_read_by_the_type(text, python_type, value):
    assert read(text, python_type) == value


@pytest.mark.parametrize(
    ("text", "python_type", "message"),
    [
        ("abc", int, r"^x: expected int, got 'abc' \(str\)$"),
        ("1.5", int, r"expected int, got '1.5'"),
        (str(2**63), int, r"expected int, got 9223372036854775808 \(int\): it does not fit into 64 bits"),
        ("abc", float, r"expected float, got 'abc'"),
        ("maybe", bool, r"expected bool, got 'maybe'"),
        ("x", type(None), r"expected None, got 'x'"),
        ("tomorrow", datetime, r"expected datetime, got 'tomorrow' \(str\): "),
        ("soon", timedelta, r"expected timedelta, got 'soon' \(str\): it is no duration: give seconds, or as 1h30m"),
        ("9" * 20, timedelta, r"longer than 10,000 years"),
        ("%%", bytes, r"expected bytes, got '%%' \(str\): give bytes in base64"),
        ("1,2", list[int], r"expected list\[int\], got '1,2' \(str\): give it as JSON"),
        ("3", list[int], r"expected list\[int\], got 3 \(int\)"),
        ('["a"]', list[int], r"^x\[0\]: expected int, got 'a' \(str\)$"),
        ('{"a": [1, "b"]}', dict[str, list[int]], r"^x.a\[1\]: expected int, got 'b'"),
        ("blue", Color, r"expected enum\(red, green\), got 'blue'"),
        ("c", Choice["a", "b"], r"expected enum\(a, b\), got 'c'"),
        ("abc", int | None, r"expected Optional\[int\], got 'abc'"),
        ("", CSV, r"expected FlyteFile\[csv\], got '' \(str\): give a path or a URI"),
        ("[1]", dict, r"expected dict, got \[1\] \(list\)"),
        ("y" * 500, int, r"got 'y{59}… \(str\)$"),
        ('{"rate": "fast", "names": []}', Config, r"^x.rate: expected float, got 'fast'"),
        ("[" * 5000, list[int], r"expected list\[int\], got '\[+… \(str\): give it as JSON"),
        ("x", LiteralType(), r"^x: expected unknown, got 'x' \(str\): this type is not known here$"),
    ],
)
def test_text_that_does_not_fit_is_refused_by_name_type_and_value(text, python_type, message):
    with pytest.raises(UsageError, match=message):
        read(text, python_type)


@pytest.mark.parametrize(
    ("value", "python_type", "plain"),
    [
        (3.0, int, 3),
        (3, float, 3.0),
        ("NaN", float, "NaN"),
        (math.inf, float, "Infinity"),
        (None, type(None), None),
        (datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), datetime, "2024-01-02T02:00:00Z"),
        (datetime(2024, 1, 2), datetime, "2024-01-02T00:00:00Z"),
        (timedelta(seconds=1.5), timedelta, "1.500s"),
        (1.5, timedelta, "1.500s"),
        (b"hi", bytes, "aGk="),
        ((1, 2), list[int], [1, 2]),
        (Color.GREEN, Color, "green"),
        ({"uri": "s3://x"}, CSV, "s3://x"),
        ({"path": "/x"}, CSV, "/x"),
        (PurePosixPath("/tmp/x"), CSV, "/tmp/x"),
        (PurePosixPath("x"), str, "x"),
        (Config(1.0, ["a"]), Config, {"rate": 1.0, "names": ["a"], "size": None}),
        ({"a": 1}, GENERIC, {"a": 1}),
        ({"message": "m"}, LiteralType(simple=8), {"message": "m", "failed_node_id": ""}),
        (3, float | int, 3),
        (3.0, int | float, 3.0),
        (True, int | bool, True),
        (3, float | None, 3.0),
        ([1, "a", None], list[int | str | None], [1, "a", None]),
    ],
)
def test_json_and_python_values_are_read_by_the_type(value, python_type, plain):
    result = read_json(value, python_type)

    assert (result, type(result)) == (plain, type(plain))


@pytest.mark.parametrize(
    ("value", "python_type"),
    [
        ("3", int), (True, int), (3.5, int), ("x", float), (True, float), (3, str), (1, bool), ("true", bool),
        (None, int), (3, datetime), (True, timedelta), (None, timedelta), (3, bytes), ("ab", list[str]),
        ({"a": 1}, list[int]), ([1], dict[str, int]), ({1: 2}, dict[str, int]), ("blue", Color), (3, Color),
        (3, CSV), ({}, CSV), ("x", dict), (object(), dict), ({"a": object()}, dict), (float("nan"), timedelta),
        ("x", LiteralType(simple=8)), ({"a": 1j}, GENERIC), (math.inf, int), ([], int | None),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_never_bent_into_the_type(value, python_type):
    with pytest.raises(UsageError, match=r"^x: expected "):
        read_json(value, python_type)


def test_a_union_carries_its_variant_with_the_tag_that_the_sdk_looks_for():
    literal = from_json("a", literal_type_of(int | str), "x")

    assert literal.scalar.union.type == LiteralType(simple=3, structure={"tag": "str"})
    assert literal.scalar.union.value.scalar.primitive.string_value == "a"


def test_a_union_without_tags_gets_those_of_the_sdk():
    bare = LiteralType(union_type={"variants": [LiteralType(simple=1), LiteralType(simple=0)]})

    tags = [from_json(value, bare, "x").scalar.union.type.structure.tag for value in (1, None)]

    assert tags == ["int", "none"]


def test_a_union_that_flytekit_declared_is_filled_as_flytekit_would(sdk_template):
    declared = sdk_template("v1/basic.optional_in").interface.inputs
    unions = [variable.type for variable in declared.values() if variable.type.HasField("union_type")]

    for union in unions:
        literal = from_json(5, union, "x")
        assert literal.scalar.union.type in union.union_type.variants
        assert literal_matches(literal, union) is None


def test_a_dataclass_is_msgpack_as_the_sdk_writes_it(sdk_template):
    declared = sdk_template("v1/basic.rich_io").interface.inputs["c"].type

    binary = from_json({"a": 1, "b": ["x"]}, declared, "c").scalar.binary

    assert binary.tag == "msgpack"
    assert msgspec.msgpack.decode(binary.value) == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, r"^c: Cfg needs the field 'b'$"),
        ({"a": 1, "b": [], "z": 0}, r"^c: Cfg has no field 'z', only a, b$"),
        ({"a": "one", "b": []}, r"^c.a: expected int, got 'one'"),
        ({"a": 1, "b": [2]}, r"^c.b\[0\]: expected str, got 2"),
    ],
)
def test_a_mistake_in_a_dataclass_is_named(value, message, sdk_template):
    declared = sdk_template("v1/basic.rich_io").interface.inputs["c"].type

    with pytest.raises(UsageError, match=message):
        from_json(value, declared, "c")


def test_a_struct_without_annotation_is_generic():
    assert from_json({"a": 1}, GENERIC, "x").scalar.WhichOneof("value") == "generic"


def test_a_file_keeps_the_format_that_is_declared():
    literal = from_text("s3://x", CSV, "x")

    assert literal.scalar.blob.metadata.type == CSV.blob


def test_a_dataset_keeps_the_type_that_is_declared():
    literal = from_text("s3://x", DATASET, "x")

    assert literal.scalar.structured_dataset.metadata.structured_dataset_type == DATASET.structured_dataset_type


@pytest.mark.parametrize(
    ("given", "resolved"),
    [("a/../b.csv", "/home/me/b.csv"), ("/abs", "/abs"), ("s3://b/k", "s3://b/k"), ("~/x", "~/x")],
)
def test_a_relative_path_starts_where_the_caller_says(given, resolved):
    assert to_json(from_text(given, literal_type_of(Path), "x", base_dir="/home/me")) == resolved


SHORT = st.text(max_size=3)
ROUND = st.one_of(
    st.tuples(st.just(int), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(float), st.floats(allow_nan=False)),
    st.tuples(st.just(str), st.text(max_size=10)),
    st.tuples(st.just(bool), st.booleans()),
    st.tuples(st.just(datetime), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.just(timedelta), st.timedeltas(timedelta(days=-3_000_000), timedelta(days=3_000_000))),
    st.tuples(st.just(bytes), st.binary(max_size=10)),
    st.tuples(st.just(list[int | str | None]), st.lists(st.none() | st.integers(0, 9) | SHORT, max_size=3)),
    st.tuples(st.just(dict[str, list[float]]), st.dictionaries(SHORT, st.lists(st.floats(-9, 9), max_size=2))),
    st.tuples(st.just(Color | None), st.none() | st.sampled_from(Color)),
    st.tuples(st.just(dict), st.dictionaries(SHORT, st.none() | st.integers(0, 9) | SHORT, max_size=3)),
)


@given(ROUND)
def test_a_literal_survives_its_json_form_and_is_of_its_type(case):
    python_type, value = case
    literal_type = literal_type_of(python_type)

    literal = from_json(value, literal_type, "x")

    assert from_json(to_json(literal, literal_type), literal_type, "x") == literal
    assert literal_matches(literal, literal_type) is None
    assert Literal.FromString(literal.SerializeToString()) == literal


TYPES = st.sampled_from([int, float, str, bool, type(None), datetime, timedelta, bytes, list[int], dict[str, int], dict,
                         Color, Config, int | None, int | str, CSV, DATASET, GENERIC])  # fmt: skip


@given(st.text(max_size=30), TYPES)
def test_any_text_is_read_or_refused_and_nothing_else(text, python_type):
    literal_type = literal_type_of(python_type)
    literal = None
    try:
        literal = from_text(text, literal_type, "x")
    except UsageError:
        return

    assert literal_matches(literal, literal_type) is None


@given(st.text("0123456789.-+:TZPHMSDWhmsdunwµ eE", max_size=20))
def test_any_text_that_resembles_a_time_is_read_or_refused(text):
    for python_type in (datetime, timedelta):
        try:
            assert read(text, python_type)
        except UsageError:
            continue
