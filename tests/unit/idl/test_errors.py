from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.idl.errors import MESSAGE_LIMIT, AirscrewError, ErrorKind, ExecutionError, UsageError, shorten
from airscrew.idl.struct_fields import CustomFieldError
from airscrew.idl.wire import WireError


@pytest.mark.parametrize("error", [UsageError, WireError, CustomFieldError])
def test_every_error_has_one_root(error):
    assert issubclass(error, AirscrewError)


def test_bad_bytes_are_not_the_fault_of_a_user():
    assert not issubclass(WireError, UsageError)


@given(st.text(max_size=300), st.integers(80, 200))
def test_a_message_that_fits_stays_and_a_longer_one_is_cut(message, limit):
    short = shorten(message, limit)

    assert len(short) <= max(limit, 0)
    assert short == message or len(message) > limit


def test_a_long_message_keeps_both_its_ends():
    message = "begin" + "x" * MESSAGE_LIMIT + "end"

    short = shorten(message)

    assert short.startswith("begin")
    assert short.endswith("end")
    assert "characters left out" in short
    assert len(short) <= MESSAGE_LIMIT


def test_an_error_survives_its_json_form():
    error = ExecutionError(code="USER:RuntimeError", message="boom", kind=ErrorKind.USER, worker="worker-1")

    assert msgspec.json.decode(msgspec.json.encode(error), type=ExecutionError) == error


def test_a_field_that_a_newer_member_wrote_does_not_stop_reading():
    stored = b'{"code":"c","message":"m","kind":"SYSTEM","color":"red"}'

    error = msgspec.json.decode(stored, type=ExecutionError)

    assert error == ExecutionError(code="c", message="m", kind=ErrorKind.SYSTEM)


def test_bad_input_is_told_in_one_line_whatever_the_names_in_it_are():
    told = str(UsageError("name 'a\nb\x1b[2J\u2028c\ud800' is not valid, and é is"))

    assert told == r"name 'a\nb\x1b[2J\u2028c\ud800' is not valid, and é is"
