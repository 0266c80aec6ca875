"""
What is said on stderr: the engine's log, and what a command that serves has to tell, in one form.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from airscrew.engine.logs import LineHandler, line_handler

if TYPE_CHECKING:
    from airscrew.engine.config import Log


def show_warnings() -> None:
    """Let the engine's warnings be seen; a second call changes nothing."""
    if line_handler() is None:
        logging.getLogger("airscrew").addHandler(LineHandler(logging.WARNING))


def show_log(settings: Log) -> None:
    """Let the log be seen as the settings say; as JSON also what others log, so that every line is an object."""
    is_json = settings.format == "json"
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    own = logging.getLogger("airscrew")
    own.setLevel(level)
    place = logging.getLogger() if is_json else own
    old = line_handler()
    if old is not None:
        own.removeHandler(old)
        logging.getLogger().removeHandler(old)
    place.addHandler(LineHandler(is_json=is_json))
    logging.captureWarnings(is_json)


def announce_failure(why: str) -> None:
    """Say why a command ends."""
    announce(f"error: {why}", "the command failed", {"why": why}, level=logging.ERROR)


def announce(text: str, message: str, fields: Mapping[str, object] | None = None, *, level: int = logging.INFO) -> None:
    """
    Say something that is said whatever the log's level is.

    Args:
        text: For people.
        message: For machines: always the same, with what differs in fields.
        fields: For machines.
        level: For machines.
    """
    handler = line_handler()
    if handler is None or not handler.is_json:
        click.echo(f"airscrew: {text}", err=True)
        return
    record = logging.LogRecord("airscrew.serve", level, __file__, 0, message, None, None)
    vars(record).update(fields or {})
    handler.handle(record)
