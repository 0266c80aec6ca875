"""
What the engine's own log says to people: its warnings and errors, a line each, on stderr.

Messages are constant and their fields follow in brackets; what takes more than a line is shown with ``AIRSCREW_DEBUG``.
"""

from __future__ import annotations

import logging
import os
import sys

from typing_extensions import override

_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
_MAX_FIELD = 300


class StderrHandler(logging.Handler):
    """Writes each record as a line."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"airscrew: {record.levelname.lower()}: {line(record)}\n")
        sys.stderr.flush()


def line(record: logging.LogRecord) -> str:
    """Write a record in one line: its message, its fields, and the error that it carries."""
    debugging = bool(os.environ.get("AIRSCREW_DEBUG"))
    fields = {name: value for name, value in vars(record).items() if name not in _OWN}
    shown = [f"{name}={_one_line(value)}" for name, value in fields.items() if debugging or "\n" not in str(value)]
    if record.exc_info and record.exc_info[1] is not None:
        shown.append(f"error={_one_line(repr(record.exc_info[1]))}")
    return f"{record.getMessage()} ({', '.join(shown)})" if shown else record.getMessage()


def _one_line(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_FIELD or os.environ.get("AIRSCREW_DEBUG") else f"{text[:_MAX_FIELD]}…"


def show_warnings() -> None:
    """Let the engine's warnings be seen; a second call changes nothing."""
    logger = logging.getLogger("airscrew")
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        logger.addHandler(StderrHandler(logging.WARNING))
