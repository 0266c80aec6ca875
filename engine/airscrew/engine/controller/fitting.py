"""
Making a record fit: what is written for people is cut before a step is refused for its size.

Custom state and where the outputs lie are never touched. A step that could not be written would be tried for ever,
and what it tells of the job would be lost: so its texts give way.
"""

from __future__ import annotations

import msgspec

from airscrew.idl.errors import ExecutionError, shorten
from airscrew.idl.phase import TaskInfo
from airscrew.state.errors import TooLargeError
from airscrew.state.records import NO_INFO, Record, encode_record

MAX_INFO_BYTES = 12 * 1024
"""What is told along with a phase is cut to the links beyond it."""

MAX_LINKS = 20
CODE_LIMIT = 200

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
    past = tuple(msgspec.structs.replace(one, error=_cut_error(one.error, limit // 10)) for one in record.attempts)
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


def fitting(info: TaskInfo) -> TaskInfo:
    """Cut what is told along with a phase, when it is too large to be written with every step."""
    if not info.custom_info and not info.external_resources and not info.reasons and len(info.logs) <= MAX_LINKS:
        return info
    if len(msgspec.json.encode(info)) <= MAX_INFO_BYTES:
        return info
    links = TaskInfo(logs=info.logs[:MAX_LINKS], progress=info.progress, occurred_at=info.occurred_at)
    if len(msgspec.json.encode(links)) <= MAX_INFO_BYTES:
        return links
    return TaskInfo(progress=info.progress, occurred_at=info.occurred_at)


def short_error(error: ExecutionError | None) -> ExecutionError | None:
    """Cut an error's message to what a record holds."""
    if error is None:
        return None
    return msgspec.structs.replace(error, message=shorten(error.message), code=shorten(error.code, CODE_LIMIT))
