"""
What is kept of a job that is over, where ``airscrew logs`` finds it: connectors keep theirs for as long as they please.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from airscrew.idl.phase import LogLink
from airscrew.plugins.connector.client import ConnectorClient
from airscrew.plugins.connector.errors import ConnectorError
from airscrew.plugins.connector.state import ConnectorState

LOG_NAME, METRICS_NAME = "task.log", "task.metrics.jsonl"
"""What the engine calls the log of an attempt, and what its job measured, in the work directory."""


async def keep_told(client: ConnectorClient, state: ConnectorState, folder: str, now: float) -> tuple[LogLink, ...]:
    """
    Write what the connector has of a job's log and metrics, and link what there is; nothing where there is no folder.

    Neither is a reason to fail: whatever goes wrong with it is the same as there being none.
    """
    return tuple([link async for link in _kept(client, state, Path(folder), now)]) if folder else ()


async def _kept(client: ConnectorClient, state: ConnectorState, folder: Path, now: float) -> AsyncIterator[LogLink]:
    try:
        if lines := await client.logs(state):
            yield await _write(folder / LOG_NAME, lines, "connector log")
    except (ConnectorError, OSError):
        pass
    try:
        if measured := await client.metrics(state, now):
            lines = [msgspec.json.encode(one).decode() for one in measured]
            yield await _write(folder / METRICS_NAME, lines, "connector metrics")
    except (ConnectorError, OSError):
        pass


async def _write(path: Path, lines: list[str], name: str) -> LogLink:
    text = "\n".join(lines) + "\n"
    await asyncio.to_thread(_write_file, path, text)
    return LogLink(name=name, uri=path.as_uri())


def _write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
