"""
Custom state to JSON and back, with its version.

The engine converts, so that a plugin works with a class of its own and the store holds legible JSON.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.errors import CorruptStateError, StateTooLargeError
from airscrew.engine.executor import AnyExecutor
from airscrew.idl.json_tree import BAD_JSON
from airscrew.state.records import Record

MAX_STATE_BYTES = 32 * 1024
"""Custom state over it is refused: it is written with every step, within a record of at most 64 KiB."""

_encoder = msgspec.json.Encoder()


class NewerStateError(CorruptStateError):
    """Custom state of a newer version of its class: it waits for an engine that knows it."""


def encode_state(state: object, executor_id: str) -> msgspec.Raw:
    """
    Write custom state as JSON.

    Raises:
        StateTooLargeError: It is over ``MAX_STATE_BYTES``.
        CorruptStateError: It cannot be written as JSON.
    """
    try:
        data = _encoder.encode(state)
    except (TypeError, ValueError) as error:
        raise CorruptStateError(f"custom state of {executor_id} cannot be written as JSON: {error}") from error
    if len(data) > MAX_STATE_BYTES:
        raise StateTooLargeError(
            f"custom state of {executor_id} takes {len(data)} bytes; the limit is {MAX_STATE_BYTES}: keep a reference"
        )
    return msgspec.Raw(data)


def decode_state(record: Record, executor: AnyExecutor) -> object:
    """
    Read custom state into the executor's class, migrated from an older version if need be.

    Raises:
        NewerStateError: It was written by a newer version.
        CorruptStateError: It does not decode.
    """
    if record.state_version > executor.state_version:
        raise NewerStateError(
            f"custom state has version {record.state_version}; this {executor.id} knows {executor.state_version}"
        )
    try:
        if record.state_version == executor.state_version:
            return msgspec.json.decode(record.state, type=executor.state_type)
        old = raw_state(record)
        new = executor.migrate_state(old, record.state_version)
        return msgspec.convert(dict(new), type=executor.state_type)
    except Exception as error:
        what = f"custom state of {executor.id} (version {record.state_version}) does not decode"
        raise CorruptStateError(f"{what}: {type(error).__name__}: {error}") from error


def raw_state(record: Record) -> dict[str, object]:
    """
    Read custom state as a plain map; empty when there is none.

    Raises:
        CorruptStateError: It is no JSON object.
    """
    if not bytes(record.state):
        return {}
    try:
        return msgspec.json.decode(record.state, type=dict[str, object])
    except BAD_JSON as error:
        raise CorruptStateError(f"custom state is no JSON object: {error}") from error
