from __future__ import annotations

import re

import msgspec
import pytest
from flyteidl.core import literals_pb2 as lit
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.data import make

from airscrew.engine.data.render import (
    VARIABLES,
    literal_text,
    references,
    render,
    unique_key,
    unknown_variables,
    variable_values,
)
from airscrew.engine.errors import PermanentError

LOCATIONS = make.locations("s3://b/p", 1)
VALUES = variable_values(LOCATIONS, key="a-1", namespace="team", run_name="run", run_start=1_700_000_000.0)


def rendered(text: str, **inputs: str) -> str:
    return render([text], VALUES, inputs)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.input}}", LOCATIONS.input_uri),
        ("{{ .InputPrefix }}", LOCATIONS.input_prefix),
        ("{{$outputPrefix}}/0", f"{LOCATIONS.output_prefix}/0"),
        ("{{.RAWOUTPUTDATAPREFIX}}", LOCATIONS.raw_output_prefix),
        ("{{ $CheckpointOutputPrefix\t}}", LOCATIONS.checkpoint_prefix),
        ("{{.prevCheckpointPrefix}}", LOCATIONS.previous_checkpoint_prefix),
        ("{{.perRetryUniqueKey}}", "a_1"),
        ("{{.taskTemplatePath}}", LOCATIONS.template_uri),
        ("{{.Namespace}}", "team"),
        ("{{.runName}}/{{.actionName}}", "run/a0"),
        ("{{.runStartTime}}", "2023-11-14T22:13:20+00:00"),
        ("--x={{.inputs.x}}", "--x=7"),
        ("{{ .Inputs.x }} {{$inputs.x}}", "7 7"),
        ("no {{ braces }} {{input}} { {.input} }", "no {{ braces }} {{input}} { {.input} }"),
    ],
)
def test_every_variable_has_its_value(text: str, expected: str) -> None:
    assert rendered(text, x="7") == expected


def test_no_checkpoint_before_the_first_attempt_renders_as_two_quotes() -> None:
    values = variable_values(make.locations("/b", 0), key="a", namespace="n")

    assert render(["{{.prevCheckpointPrefix}}"], values, {}) == ['""']


def test_what_is_put_in_is_not_rendered_again() -> None:
    assert rendered("{{.inputs.x}}", x="{{.namespace}} \\1 {{.inputs.x}}") == "{{.namespace}} \\1 {{.inputs.x}}"


def test_local_files_are_rendered_as_paths() -> None:
    values = variable_values(make.locations("file:///with%20space"), key="a", namespace="n")

    assert render(["{{.input}}"], values, {}) == ["/with space/team/hello-01234567/inputs.pb"]


def test_an_unknown_variable_is_an_error_that_names_it_and_the_known_ones() -> None:
    with pytest.raises(PermanentError, match=r"\{\{ \.inptu \}\}.*unknown.*Input, .*Inputs\.<name>") as caught:
        rendered("--in {{ .inptu }}")

    assert caught.value.code == "BadTaskSpecification"


def test_an_input_that_the_task_does_not_have_is_an_error_that_names_the_others() -> None:
    with pytest.raises(PermanentError, match=r"\{\{\.inputs\.z\}\}.*known are x, y"):
        rendered("{{.inputs.z}}", x="", y="")


def test_names_of_inputs_keep_their_case() -> None:
    assert rendered("{{.INPUTS.X}}", X="1") == "1"
    with pytest.raises(PermanentError):
        rendered("{{.inputs.X}}", x="1")


def test_the_places_of_a_fast_registration_come_from_the_overrides() -> None:
    overrides = {"remote_package_path": "s3://b/fast.tar.gz", "dest_dir": "/root"}
    values = variable_values(LOCATIONS, key="a", namespace="n", overrides=overrides)

    text = "--additional-distribution {{ .remote_package_path }} --dest-dir {{ .dest_dir }}"
    assert render([text], values, {}) == ["--additional-distribution s3://b/fast.tar.gz --dest-dir /root"]


def test_a_fast_registration_without_its_code_says_what_to_do() -> None:
    with pytest.raises(PermanentError, match=r"remote_package_path \}\} has no value.*overrides\.remote_package_path"):
        rendered("{{ .remote_package_path }}")


def test_references_say_what_has_to_be_known_first() -> None:
    found = references(["{{.inputs.a}} {{.inputs.B}}", "{{.TaskTemplatePath}} {{.input}}"])

    assert found.inputs == {"a", "B"}
    assert found.template
    assert not references(["{{.inputs.tasktemplatepath}} plain"]).template


def test_unknown_variables_are_listed_once_and_as_written() -> None:
    texts = ["{{ .nope }} {{.input}}", "{{.nope}} {{ .nope }} {{.inputs.x}} {{.inputs.y}} {{ . }}"]

    assert unknown_variables(texts) == ["{{ .nope }}", "{{.nope}}", "{{ . }}"]
    assert unknown_variables(texts, ["x"]) == ["{{ .nope }}", "{{.nope}}", "{{.inputs.y}}", "{{ . }}"]
    assert unknown_variables([f"{{{{.{name}}}}}" for name in VARIABLES]) == []


@given(st.text(), st.text(max_size=20))
def test_a_text_without_variables_stays_as_it_is(text: str, value: str) -> None:
    if "{{" not in text:
        assert rendered(text, x=value) == text
    assert rendered("{{.inputs.x}}", x=value) == value


@given(st.text(max_size=40))
def test_a_unique_key_is_a_word_with_a_letter_first(key: str) -> None:
    written = unique_key(key)

    assert re.fullmatch(r"[A-Za-z0-9_]*", written)
    assert not written[:1].isdigit()


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (make.integer(-3), "-3"),
        (make.integer(0), "0"),
        (make.real(0.5), "0.5"),
        (make.real(3.0), "3"),
        (make.real(1e300), "1e+300"),
        (make.boolean(False), "false"),
        (make.boolean(True), "true"),
        (make.text(""), ""),
        (make.text("a b"), "a b"),
        (make.blob("s3://b/x"), "s3://b/x"),
        (make.frame("s3://b/f"), "s3://b/f"),
        (make.packed(msgspec.msgpack.encode({"a": [1, None]})), '{"a":[1,null]}'),
        (make.packed(msgspec.msgpack.encode("plain")), "plain"),
        (make.many(make.integer(1), make.many(make.text("a"))), "[1,[a]]"),
        (make.many(), "[]"),
    ],
)
def test_literals_are_written_as_text(literal: lit.Literal, expected: str) -> None:
    assert literal_text(literal, "x") == expected


def test_times_are_written_in_rfc_3339_and_durations_in_seconds() -> None:
    moment = lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(datetime=Timestamp(seconds=1_700_000_000))))
    span = lit.Literal(scalar=lit.Scalar(primitive=lit.Primitive(duration=Duration(seconds=90))))

    assert literal_text(moment, "x") == "2023-11-14T22:13:20Z"
    assert literal_text(span, "x") == "90s"


@pytest.mark.parametrize(
    "literal",
    [
        make.mapped(a=make.integer(1)),
        make.union(make.integer(1)),
        make.none(),
        make.struct(a=1),
        make.packed(b"x", tag="pickle"),
        make.packed(b"\xc1"),
        make.many(make.none()),
        lit.Literal(),
        lit.Literal(offloaded_metadata=lit.LiteralOffloadedMetadata(uri="s3://b/x")),
    ],
)
def test_what_has_no_textual_form_is_an_error_that_names_the_input(literal: lit.Literal) -> None:
    with pytest.raises(PermanentError, match=r"input 'my_input' is .* and has no textual form") as caught:
        literal_text(literal, "my_input")

    assert caught.value.code == "BadTaskSpecification"
