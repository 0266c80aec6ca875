"""
Values: between Python, JSON, text and Flyte's literals, each by its literal type.

Pure functions over ``flyteidl.core`` messages; both wire forms share them. Nothing here MUST open a file or
a location, and nothing here may import protobuf or flyteidl before it is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "check_inputs": "match",
    "decode_context": "maps",
    "decode_error_document": "error_document",
    "decode_literal_map": "maps",
    "encode_error_document": "error_document",
    "encode_literal_map": "maps",
    "ErrorDocument": "error_document",
    "from_json": "read",
    "from_text": "read",
    "given_type_name": "names",
    "literal_matches": "match",
    "literal_type_of": "python_types",
    "Mismatch": "match",
    "to_display": "show",
    "to_json": "show",
    "to_python": "show",
    "type_name": "names",
}
"""Modules that are imported when a name of theirs is first asked for: the command line starts without them."""


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
