"""
Where phase events go: the log, a file; and the shape of any other sink.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from typing_extensions import override

from airscrew.idl.errors import AirscrewError
from airscrew.state.records import PhaseEvent


class RefusedError(AirscrewError):
    """The sink will never take this event: it goes to the dead letters, and the sink goes on with the next one."""


class Sink(Protocol):
    """
    Takes phase events.

    Attributes:
        name: Unique; its cursor is kept under it.
    """

    name: str

    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        """
        Take some events, in order. When this returns they are the sink's: they are not delivered again.

        Called with one batch at a time. May wait as long as it likes: only this sink falls behind. Events come at
        least
        once: ``event.id`` tells a repetition.

        Raises:
            RefusedError: With a batch of one: this event will never be taken. With more, they come again one by one.
            Exception: Not now: the same batch comes again later.
        """
        ...


class LogSink(Sink):
    """Writes one structured log line per event."""

    name = "log"

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._log = logger or logging.getLogger("airscrew.events")

    @override
    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        if not self._log.isEnabledFor(logging.INFO):
            return
        for event in events:
            fields = {
                "execution": event.execution,
                "attempt": event.attempt,
                "version": event.version,
                "phase": event.phase.title,
                "reason": event.reason,
            }
            self._log.info("phase", extra=fields)


class FileSink(Sink):
    """
    Appends events to a file, one JSON object a line, synced before they count as delivered.

    A file over ``limit_bytes`` is moved to ``<name>.1``, over the one before.
    """

    name = "file"

    def __init__(self, path: Path, *, limit_bytes: int = 64 * 1024 * 1024) -> None:
        self._path = path
        self._limit = limit_bytes
        self._encoder = msgspec.json.Encoder()

    @override
    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        data = self._encoder.encode_lines(events)
        await asyncio.get_running_loop().run_in_executor(None, self._append, data)

    def _append(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
            size = file.tell()
        if size > self._limit:
            self._path.replace(self._path.with_name(self._path.name + ".1"))


class MemorySink(Sink):
    """Keeps events in a list, for tests and embedding."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.events: list[PhaseEvent] = []

    @override
    async def deliver(self, events: Sequence[PhaseEvent]) -> None:
        self.events.extend(events)
