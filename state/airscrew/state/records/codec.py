"""
The JSON form of all of it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from airscrew.idl.errors import AirscrewError
from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.errors import TooLargeError
from airscrew.state.records.options import Options
from airscrew.state.records.record import Record

SCHEMA_VERSION = 2
"""
What this version writes into ``v``; absent means 1.

1 is the first form. 2 has ``doubts``, ``tokens`` and ``waits``: an engine that writes the first form reads them, and
keeps them as they are.
"""

_DOUBTS_SINCE = 2
_QUOTAS_SINCE = 2

MAX_RECORD_BYTES = 64 * 1024
"""A larger record is refused: it is rewritten with every step."""

T = TypeVar("T")


class _Reference(msgspec.Struct, frozen=True, gc=False):
    """What options say of their template."""

    template: str


_encoder = msgspec.json.Encoder()
_record_decoder = msgspec.json.Decoder(Record)
_options_decoder = msgspec.json.Decoder(Options)
_reference_decoder = msgspec.json.Decoder(_Reference)
_fields = frozenset(Record.__struct_fields__)


class RecordError(AirscrewError):
    """A record that cannot be read; this execution alone is quarantined."""


def encode(value: msgspec.Struct) -> bytes:
    """Write options, a ledger entry, an event or a request as JSON."""
    return _encoder.encode(value)


def form_of(record: Record, written: int) -> int:
    """
    Say which form a record is to be written in.

    Args:
        record: It, with the form that it was read in.
        written: The newest form that all who share the store write.

    Returns:
        Never an older form than it was read in, or than what it holds needs: engines of an older version keep what they
        do not know only of records that say that they are newer.
    """
    has_quota = record.tokens or record.waits is not None
    return max(record.v, written, _DOUBTS_SINCE if record.doubts else 1, _QUOTAS_SINCE if has_quota else 1)


def encode_record(record: Record) -> bytes:
    """
    Write a record as JSON.

    Raises:
        TooLargeError: It is over ``MAX_RECORD_BYTES``.
    """
    if record.extra:
        known = msgspec.json.decode(
            _encoder.encode(msgspec.structs.replace(record, extra={})), type=dict[str, msgspec.Raw]
        )
        data = _encoder.encode(known | record.extra)
    else:
        data = _encoder.encode(record)
    if len(data) > MAX_RECORD_BYTES:
        raise TooLargeError(f"the record of {record.uid} takes {len(data)} bytes; the limit is {MAX_RECORD_BYTES}")
    return data


def decode_record(data: bytes) -> Record:
    """
    Read a record; what a newer version wrote beyond it is kept in ``extra``.

    Raises:
        RecordError: It is not one.
    """
    try:
        record = _record_decoder.decode(data)
        if record.v <= SCHEMA_VERSION:
            return record
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except BAD_JSON as error:
        raise RecordError(f"not a record: {error}") from error
    unknown = {name: msgspec.Raw(bytes(raw)) for name, raw in fields.items() if name not in _fields}
    return msgspec.structs.replace(record, extra=unknown)


def decode_options(data: bytes) -> Options:
    """
    Read options.

    Raises:
        RecordError: They are not.
    """
    try:
        return _options_decoder.decode(data)
    except BAD_JSON as error:
        raise RecordError(f"not options: {error}") from error


def template_in(data: bytes) -> str:
    """
    Read of options which template they refer to, and nothing else: many are looked through for it.

    Raises:
        RecordError: They are not options.
    """
    try:
        return _reference_decoder.decode(data).template
    except BAD_JSON as error:
        raise RecordError(f"not options: {error}") from error


def decode(data: bytes, kind: type[T]) -> T:
    """
    Read a ledger entry, an event or a request.

    Raises:
        RecordError: It is not one.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except BAD_JSON as error:
        raise RecordError(f"not a {kind.__name__}: {error}") from error
