"""``airscrew plugins``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutorView
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@output_option("table", "json", "yaml")
@click.pass_obj
def plugins(app: App, output: str) -> None:
    """List the installed executors."""
    views = asyncio.run(_read(app))
    if output == "table":
        click.echo(render.table(_HEADERS, [_cells(view) for view in views]))
    else:
        click.echo(render.as_data(views, output))


_HEADERS = ("ID", "TASK TYPES", "START", "LIVE", "VERSION", "STATUS")


def _cells(view: ExecutorView) -> list[str]:
    return [view.id, ", ".join(view.task_types), view.start, str(view.live), view.version, render.executor_status(view)]


async def _read(app: App) -> list[ExecutorView]:
    from airscrew.engine.cli.session import looking

    async with looking(app) as api:
        return await api.executors()
