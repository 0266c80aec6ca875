"""
``data:`` URIs (RFC 2397): small literal maps that travel within a record instead of a file of their own. Pure.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from urllib.parse import unquote_to_bytes

from airscrew.engine.data.errors import LocationError

MAX_INLINE_BYTES = 8 * 1024
"""What is larger goes to a file: a URI is part of a record that is rewritten with every step."""

MEDIA_TYPE = "application/protobuf"


def is_data_uri(uri: str) -> bool:
    """Tell whether the URI carries its own bytes."""
    return uri[:5].lower() == "data:"


def encode_data_uri(data: bytes, media_type: str = MEDIA_TYPE) -> str:
    """Put bytes into a URI."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def decode_data_uri(uri: str) -> bytes:
    """
    Take the bytes out of a URI, whether they are in base64 or percent-encoded.

    Raises:
        LocationError: It is not a ``data:`` URI, or its base64 is broken.
    """
    head, comma, body = uri.partition(",")
    if not comma or not is_data_uri(head):
        raise LocationError("a data: URI has the form data:[<type>][;base64],<bytes>")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    text = unquote_to_bytes(body) if "%" in body else body.encode("ascii", "replace")
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise LocationError(f"a data: URI is not valid base64: {error}") from None
