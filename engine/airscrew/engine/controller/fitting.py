"""
Making a record fit: what is written for people is cut before a step is refused for its size.

Custom state and where the outputs lie are never touched. A step that could not be written would be tried for ever,
and what it tells of the job would be lost: so its texts give way.
"""

from __future__ import annotations

import msgspec

from airscrew.idl.errors import ExecutionError, shorten
from airscrew.state.errors import TooLargeError
from airscrew.state.records import NO_INFO, Record, encode_record

_LIMITS = (4000, 1000, 200)
"""How many characters a text keeps, tried one after the other; a character takes up to six bytes in JSON."""


def fitted(record: Record) -> tuple[Record, bytes]:
    """
    Return a record that can be written and its bytes: the record itself, or one with shorter texts.

    Raises:
        TooLargeError: What may not be cut is too large by itself.
    """
    for limit in _LIMITS:
        try:
            return record, encode_record(record)
        except TooLargeError:
            record = _cut(record, limit)
    return record, encode_record(record)


def _cut(record: Record, limit: int) -> Record:
    verdict = record.verdict
    if verdict is not None:
        verdict = msgspec.structs.replace(verdict, error=_cut_error(verdict.error, limit))
    past = tuple(
        msgspec.structs.replace(one, error=_cut_error(one.error, limit // 10)) for one in record.attempts
    )
    return msgspec.structs.replace(
        record,
        reason=shorten(record.reason, limit),
        quarantine=shorten(record.quarantine, limit),
        error=_cut_error(record.error, limit),
        verdict=verdict,
        attempts=past,
        info=NO_INFO,
    )


def _cut_error(error: ExecutionError | None, limit: int) -> ExecutionError | None:
    return None if error is None else msgspec.structs.replace(error, message=shorten(error.message, max(limit, 60)))
