"""
An engine in the background, for ``run --detach``: ``airscrew serve --until-idle`` in a session of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airscrew.engine.api.model import ApiError
from airscrew.engine.cli.session import served_by

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings

START_SECONDS = 30.0
"""How long an engine may take until it answers."""

_STEP_SECONDS = 0.05


def command(app: App, settings: EngineSettings) -> list[str]:
    """Return what is started."""
    words = [sys.executable, "-m", "airscrew.engine.cli", "--home", settings.home]
    config = app.reach.get("config")
    if config:
        words += ["--config", os.path.abspath(config)]  # noqa: PTH100 - the path as it was named, not resolved
    words += ["serve", "--until-idle"]
    if settings.process_executor:
        words.append("--process")
    return words


async def ensure_engine(app: App, settings: EngineSettings) -> None:
    """
    See that an engine answers, and start one if none does.

    Raises:
        ApiError: ``unavailable``: it ended, or does not answer in time; says what its log says last.
    """
    if app.server or await served_by(settings):
        return
    settings.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = settings.home_path / "serve.log"
    with log.open("ab") as stream:
        begin = stream.tell()
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program; returns once the process is made; it outlives us on purpose
            command(app, settings),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env=dict(app.environment),
        )
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    try:
        while await served_by(settings) is None:
            if process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise ApiError("unavailable", f"the engine in the background does not answer: {_last(log, begin)}")
            await asyncio.sleep(_STEP_SECONDS)
    finally:
        process.returncode = process.poll() or 0  # nobody waits for it: it outlives us, whatever came of this


def _last(log: Path, begin: int) -> str:
    lines = [line for line in log.read_bytes()[begin:].decode(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].removeprefix('airscrew: error: ')} ({log})" if lines else f"see {log}"
