from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airscrew.engine.data.data_uri import decode_data_uri, encode_data_uri, is_data_uri
from airscrew.engine.data.errors import LocationError


@given(st.binary(max_size=2000))
def test_what_was_put_into_a_uri_comes_out_of_it(data: bytes) -> None:
    assert decode_data_uri(encode_data_uri(data)) == data


def test_percent_encoded_bytes_are_read_too() -> None:
    assert decode_data_uri("data:,a%20b%00") == b"a b\0"


def test_an_empty_uri_has_no_bytes() -> None:
    assert decode_data_uri("data:,") == b""


def test_the_scheme_is_known_in_any_case() -> None:
    assert is_data_uri("DATA:;base64,AA==")
    assert not is_data_uri("/data:")


@pytest.mark.parametrize("uri", ["data:;base64,A", "data:;base64,A-_=", "data:;base64", "file:///x", "data:;base64,é"])
def test_what_is_no_such_uri_is_an_error(uri: str) -> None:
    with pytest.raises(LocationError):
        decode_data_uri(uri)
