"""
Points in time and durations: between text, Python and protobuf, exact to the nanosecond where text is.

A time without a zone is taken as UTC, as the SDKs do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_NANOS = 1_000_000_000
_MAX_SECONDS = 315_576_000_000
"""The bound of ``google.protobuf.Duration``: 10,000 years."""

_UNIT_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_UNIT_FRACTIONS = {"ms": 1_000, "us": 1_000_000, "µs": 1_000_000, "ns": _NANOS}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|us|µs|ns|w|d|h|m|s)\s*", re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<w>[0-9.]+)W)?(?:(?P<d>[0-9.]+)D)?"
    r"(?:T(?:(?P<h>[0-9.]+)H)?(?:(?P<m>[0-9.]+)M)?(?:(?P<s>[0-9.]+)S)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)


def to_timestamp(value: str | datetime) -> Timestamp:
    """
    Read a time: a datetime, or ISO 8601 text.

    Raises:
        ValueError: It is none.
    """
    from google.protobuf.timestamp_pb2 import Timestamp

    timestamp = Timestamp()
    if isinstance(value, str):
        try:
            timestamp.FromJsonString(value)  # keeps nanoseconds
        except ValueError:
            value = datetime.fromisoformat(value.strip())
        else:
            return timestamp
    try:
        timestamp.FromDatetime(value if value.tzinfo else value.replace(tzinfo=UTC))
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return timestamp


def to_duration(value: str | float | Decimal | timedelta) -> Duration:
    """
    Read a duration: seconds, a timedelta, ``1h30m``, ``1.5s``, ``250ms`` or ISO 8601 ``PT90M``.

    Raises:
        ValueError: It is none, or longer than 10,000 years.
    """
    from google.protobuf.duration_pb2 import Duration

    match value:
        case timedelta():
            micros = value // timedelta(microseconds=1)
            nanos = micros * 1000
        case str():
            nanos = _text_nanos(value.strip())
        case _:
            nanos = _to_nanos(Decimal(str(value)))
    if abs(nanos) > _MAX_SECONDS * _NANOS:
        raise ValueError("it is longer than 10,000 years")
    sign = -1 if nanos < 0 else 1
    seconds, rest = divmod(abs(nanos), _NANOS)
    return Duration(seconds=sign * seconds, nanos=sign * rest)


def _to_nanos(seconds: Decimal) -> int:
    try:
        return int(seconds * _NANOS)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"it is no number of seconds ({type(error).__name__})") from None


def _text_nanos(text: str) -> int:
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    if _NUMBER.fullmatch(body):
        return sign * _to_nanos(Decimal(body))
    iso = _ISO.fullmatch(body)
    if iso and any(iso.groups()):
        return sign * sum(_part_nanos(number, unit) for unit, number in iso.groupdict().items() if number)
    parts = _PART.findall(body)
    if not parts or _PART.sub("", body):
        raise ValueError("it is no duration: give seconds, or as 1h30m, 1.5s, 250ms")
    return sign * sum(_part_nanos(number, unit) for number, unit in parts)


def _part_nanos(number: str, unit: str) -> int:
    try:
        amount = Decimal(number)
    except InvalidOperation:
        raise ValueError(f"{number!r} is no number") from None
    if unit in _UNIT_FRACTIONS:
        return _to_nanos(amount / _UNIT_FRACTIONS[unit])
    return _to_nanos(amount * _UNIT_SECONDS[unit])


def timestamp_text(timestamp: Timestamp) -> str:
    """Write a time as ISO 8601 in UTC; one that no calendar has, as its seconds."""
    try:
        return timestamp.ToJsonString()
    except (ValueError, OverflowError):
        return f"{timestamp.seconds}.{timestamp.nanos:09}s since 1970"


def duration_text(duration: Duration) -> str:
    """Write a duration as protobuf's JSON does, as ``5400s``; it can be read back."""
    try:
        return duration.ToJsonString()
    except (ValueError, OverflowError):
        return f"{duration.seconds}s {duration.nanos}ns"


def duration_for_people(duration: Duration) -> str:
    """Write a duration as ``1h 30m`` or ``1.5s``."""
    seconds = abs(duration.seconds)
    parts: list[str] = []
    for unit in ("d", "h", "m"):
        count, seconds = divmod(seconds, _UNIT_SECONDS[unit])
        parts += [f"{count}{unit}"] if count else []
    rest = f"{seconds}.{abs(duration.nanos):09}".rstrip("0").rstrip(".")
    parts += [f"{rest}s"] if rest != "0" or not parts else []
    return ("-" if duration.seconds < 0 or duration.nanos < 0 else "") + " ".join(parts)


def to_datetime(timestamp: Timestamp) -> datetime:
    """
    Give a datetime in UTC, cut to microseconds.

    Raises:
        ValueError: No calendar has it.
    """
    try:
        return timestamp.ToDatetime(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def to_timedelta(duration: Duration) -> timedelta:
    """
    Give a timedelta, cut to microseconds.

    Raises:
        ValueError: It is too long for one.
    """
    try:
        return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)
    except OverflowError as error:
        raise ValueError(str(error)) from None
