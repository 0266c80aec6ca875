from __future__ import annotations

import pytest
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl2.task.common_pb2 import Inputs, Outputs
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import UsageError
from airscrew.idl.literals import decode_context, decode_literal_map, encode_literal_map, from_json, literal_type_of
from airscrew.idl.wire import WireError, WireForm

LITERALS = {
    "zebra": from_json(1, literal_type_of(int), "zebra"),
    "ant": from_json({"b": [1], "a": []}, literal_type_of(dict[str, list[int]]), "ant"),
}


@pytest.mark.parametrize("wire", WireForm)
def test_literals_survive_the_wire(wire):
    assert decode_literal_map(encode_literal_map(LITERALS, wire), wire) == LITERALS


@pytest.mark.parametrize("wire", WireForm)
def test_no_literals_survive_the_wire(wire):
    assert decode_literal_map(encode_literal_map({}, wire), wire) == {}


def test_flytekit_reads_what_is_encoded():
    assert dict(LiteralMap.FromString(encode_literal_map(LITERALS, WireForm.FLYTE1)).literals) == LITERALS


def test_flyte_2_reads_what_is_encoded_in_the_order_given():
    data = encode_literal_map(LITERALS, WireForm.FLYTE2, context={"k": "v"})

    inputs = Inputs.FromString(data)

    assert [named.name for named in inputs.literals] == ["zebra", "ant"]
    assert inputs.literals[0].value.scalar.primitive.integer == 1
    assert [(pair.key, pair.value) for pair in inputs.context] == [("k", "v")]


def test_the_order_of_the_wire_is_kept_where_it_has_one():
    orders = {wire: list(decode_literal_map(encode_literal_map(LITERALS, wire), wire)) for wire in WireForm}

    assert orders == {WireForm.FLYTE1: ["ant", "zebra"], WireForm.FLYTE2: ["zebra", "ant"]}


def test_equal_maps_give_equal_bytes():
    data = encode_literal_map(LITERALS, WireForm.FLYTE1)

    assert encode_literal_map(dict(reversed(LITERALS.items())), WireForm.FLYTE1) == data


def test_the_context_of_inputs_is_read_back():
    data = encode_literal_map(LITERALS, WireForm.FLYTE2, context={"b": "1", "a": ""})

    assert decode_context(data) == {"b": "1", "a": ""}


def test_outputs_of_flyte_2_are_read():
    outputs = Outputs()
    outputs.literals.add(name="o0").value.scalar.primitive.integer = 7

    assert decode_literal_map(outputs.SerializeToString(), WireForm.FLYTE2)["o0"].scalar.primitive.integer == 7


def test_a_name_that_comes_twice_is_refused():
    outputs = Outputs()
    for _ in range(2):
        outputs.literals.add(name="o0")

    with pytest.raises(WireError, match="the literal map has 'o0' twice"):
        decode_literal_map(outputs.SerializeToString(), WireForm.FLYTE2)


@pytest.mark.parametrize("wire", WireForm)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_map_or_a_wire_error(wire, data):
    try:
        assert isinstance(decode_literal_map(data, wire), dict)
    except WireError as error:
        assert "literal" in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.usefixtures("without_flyte2")
def test_flyte_2_needs_its_extra():
    with pytest.raises(UsageError, match=r"pip install airscrew\[flyte2\]"):
        encode_literal_map(LITERALS, WireForm.FLYTE2)
