"""``airscrew state``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings
    from airscrew.state.store import Store


@click.group
def state() -> None:
    """Export, import or inspect the state."""


@state.command("export", cls=Command)
@click.argument("file")
@click.pass_obj
def export_command(app: App, file: str) -> None:
    """Write all state to FILE (- for stdout), as of one moment; no engine may run meanwhile."""
    settings = app.settings()
    _require(settings)
    if file == "-":
        lines = asyncio.run(_export(settings, sys.stdout.buffer))
    else:
        draft = Path(f"{file}.part")
        try:
            with _opened(draft, "wb") as stream:
                lines = asyncio.run(_export(settings, stream))
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    click.echo(f"airscrew: {lines} keys exported", err=True)


@state.command("import", cls=Command)
@click.argument("file")
@click.pass_obj
def import_command(app: App, file: str) -> None:
    """Write the state of FILE (- for stdin) into an empty store; no engine may run meanwhile."""
    settings = app.settings()
    if file == "-":
        lines = asyncio.run(_import(settings, sys.stdin.buffer))
    else:
        with _opened(Path(file), "rb") as stream:
            lines = asyncio.run(_import(settings, stream))
    click.echo(f"airscrew: {lines} keys imported", err=True)


@state.command("status", cls=Command)
@output_option("text", "json", "yaml")
@click.pass_obj
def status_command(app: App, output: str) -> None:
    """Show how the store stands."""
    settings = app.settings()
    _require(settings)
    values = asyncio.run(_status(settings))
    if output == "text":
        click.echo(render.fields((name.replace("_", " ").capitalize(), str(value)) for name, value in values.items()))
    else:
        click.echo(render.as_data(values, output))


def _require(settings: EngineSettings) -> None:
    if settings.keeps_file and not settings.store_file.exists():
        raise UsageError(f"there is no state at {settings.store_file}: run something first, or give --home")


def _opened(path: Path, mode: str) -> BinaryIO:
    try:
        return path.open(mode)  # type: ignore[return-value]
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from error


@asynccontextmanager
async def _store(settings: EngineSettings) -> AsyncGenerator[Store]:
    from airscrew.state.urls import open_store

    async with open_store(settings.store_url) as store:
        yield store


async def _export(settings: EngineSettings, stream: BinaryIO) -> int:
    from airscrew.state.transfer import export_store

    async with _store(settings) as store:
        return await export_store(store, stream)


async def _import(settings: EngineSettings, stream: BinaryIO) -> int:
    from airscrew.state.transfer import import_store

    settings.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with _store(settings) as store:
        return await import_store(store, stream)


async def _status(settings: EngineSettings) -> dict[str, object]:
    """Ask the store, or, when an engine holds it, say what can be seen from outside."""
    from airscrew.engine.cli.session import served_by
    from airscrew.state.errors import StoreBusyError

    engine = await served_by(settings)
    if engine is not None:
        size = sum(file.stat().st_size for file in settings.store_file.parent.glob(settings.store_file.name + "*"))
        return {"store": settings.store_url, "size_bytes": size, "engine": f"process {engine.pid}, {engine.version}"}
    try:
        async with _store(settings) as store:
            status = await store.status()
    except StoreBusyError:
        return {"store": settings.store_url, "engine": "one holds the store and does not answer"}
    return {
        "store": status.description,
        "revision": status.revision,
        "compacted": status.compacted,
        "size_bytes": status.size_bytes,
        "in_use_bytes": status.in_use_bytes,
        "engine": "none",
    }
