"""
The log of a job that is over, where ``airscrew logs`` finds it: connectors keep theirs for as long as they please.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from airscrew.idl.phase import LogLink
from airscrew.plugins.connector.client import ConnectorClient
from airscrew.plugins.connector.errors import ConnectorError
from airscrew.plugins.connector.state import ConnectorState

LOG_NAME = "task.log"
"""What the engine calls the log of an attempt in its work directory."""


async def keep_log(client: ConnectorClient, state: ConnectorState, folder: str) -> LogLink | None:
    """
    Write what the connector has of a job's log; None when it has nothing, or there is no folder for it.

    A log is no reason to fail: whatever goes wrong with it is the same as there being none.
    """
    if not folder:
        return None
    try:
        lines = await client.logs(state)
        if not lines:
            return None
        path = await asyncio.to_thread(_write, Path(folder), "\n".join(lines) + "\n")
    except (ConnectorError, OSError):
        return None
    return LogLink(name="connector log", uri=path.as_uri())


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_NAME
    path.write_text(text)
    return path
