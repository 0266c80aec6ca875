"""
The engine's own log: records as lines, for people or for machines, on stderr.

Guarantees: a record is one line, whatever is in it; messages are constant and what differs is in fields; the values of
secrets are masked in the whole line as long as an engine is there that knows them; a record that cannot be written
stops nobody.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from typing_extensions import override

_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
_TAKEN = frozenset({"time", "level", "logger", "message", "exception", "stack"})
_MAX_FIELD = 300
_DEEPEST = 8

Redact = Callable[[str], str]


class LineHandler(logging.Handler):
    """
    Writes each record as a line.

    Attributes:
        is_json: Whether for machines.
        masks: Applied to each line, one after the other.
    """

    def __init__(self, level: int = logging.NOTSET, *, is_json: bool = False) -> None:
        super().__init__(level)
        self.is_json = is_json
        self.masks: list[Redact] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = json_line(record) if self.is_json else f"airscrew: {record.levelname.lower()}: {text_line(record)}"
            for mask in self.masks:
                text = mask(text)
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a wall: logging's own, which says so on stderr
            self.handleError(record)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record carries beside its message."""
    own = _OWN | vars(logging.makeLogRecord({})).keys()  # libraries put fields of theirs on every record
    return {name: value for name, value in vars(record).items() if name not in own}


def text_line(record: logging.LogRecord) -> str:
    """Write a record for people: its message, its fields, and the error that it carries."""
    debugging = bool(os.environ.get("AIRSCREW_DEBUG"))
    fields = fields_of(record)
    shown = [f"{name}={_one_line(value)}" for name, value in fields.items() if debugging or "\n" not in str(value)]
    if record.exc_info and record.exc_info[1] is not None:
        shown.append(f"error={_one_line(repr(record.exc_info[1]))}")
    return f"{record.getMessage()} ({', '.join(shown)})" if shown else record.getMessage()


def _one_line(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_FIELD or os.environ.get("AIRSCREW_DEBUG") else f"{text[:_MAX_FIELD]}…"


def json_line(record: logging.LogRecord) -> str:
    """Write a record for machines: an object with ``time``, ``level``, ``logger``, ``message`` and its fields."""
    when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    found: dict[str, object] = {
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    for name, value in fields_of(record).items():
        found[f"{name}_" if name in _TAKEN else name] = _plain(value, 0)
    if record.exc_info and record.exc_info[1] is not None:
        found["exception"] = logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        found["stack"] = record.stack_info
    return json.dumps(found)


def _plain(value: object, depth: int) -> object:
    """Return a value as JSON has it; what it has not, as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(name): _plain(inner, depth + 1) for name, inner in pairs}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, depth + 1) for inner in cast("list[object]", value)]
    return str(value)


def line_handler() -> LineHandler | None:
    """Return the handler that is in use; None when there is none."""
    found = [*logging.getLogger("airscrew").handlers, *logging.getLogger().handlers]
    return next((handler for handler in found if isinstance(handler, LineHandler)), None)


@contextmanager
def masking(redact: Redact) -> Iterator[None]:
    """Mask what an engine knows to be secret in all that is written until the block ends."""
    handler = line_handler()
    if handler is None:
        yield
        return
    handler.masks.append(redact)
    try:
        yield
    finally:
        handler.masks.remove(redact)
