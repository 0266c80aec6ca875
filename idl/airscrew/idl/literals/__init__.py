"""
Values: between Python, JSON, text and Flyte's literals, each by its literal type.

Pure functions over ``flyteidl.core`` messages; both wire forms share them. Nothing here MUST open a file or
a location, and nothing here may import protobuf or flyteidl before it is called.
"""

from __future__ import annotations

from airscrew.idl.literals.error_document import ErrorDocument, decode_error_document, encode_error_document
from airscrew.idl.literals.maps import decode_context, decode_literal_map, encode_literal_map
from airscrew.idl.literals.match import Mismatch, check_inputs, literal_matches
from airscrew.idl.literals.names import given_type_name, type_name
from airscrew.idl.literals.python_types import literal_type_of
from airscrew.idl.literals.read import from_json, from_text
from airscrew.idl.literals.show import to_display, to_json, to_python

__all__ = [
    "ErrorDocument",
    "Mismatch",
    "check_inputs",
    "decode_context",
    "decode_error_document",
    "decode_literal_map",
    "encode_error_document",
    "encode_literal_map",
    "from_json",
    "from_text",
    "given_type_name",
    "literal_matches",
    "literal_type_of",
    "to_display",
    "to_json",
    "to_python",
    "type_name",
]
