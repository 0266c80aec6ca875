"""``airscrew plugins``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command, Group
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutorView, LoadReply, LoadView
    from airscrew.engine.cli.app import App


@click.group(cls=Group, invoke_without_command=True)
@output_option("table", "json", "yaml")
@click.pass_context
def plugins(ctx: click.Context, output: str) -> None:
    """List the installed executors."""
    if ctx.invoked_subcommand is not None:
        return
    views = asyncio.run(_read(ctx.obj))
    if output == "table":
        click.echo(render.table(_HEADERS, [_cells(view) for view in views]))
    else:
        click.echo(render.as_data(views, output))


@plugins.command(cls=Command)
@output_option("text", "json", "yaml")
@click.pass_obj
def load(app: App, output: str) -> int:
    """
    Have a running engine take in what was installed since it began.

    Tasks of the new types are served at once. An executor that the engine has already stays as it is: another version
    of it comes with a restart, which adopts all that runs. Of several engines on a store each loads its own.
    """
    from airscrew.engine.cli.exits import ExitCode

    reply = asyncio.run(_load(app))
    if output == "text":
        click.echo("\n".join(_told(reply)))
    else:
        click.echo(render.as_data(reply, output))
    failed = any(view.outcome == "failed" for view in reply.executors)
    return ExitCode.SYSTEM_FAILURE if failed else ExitCode.OK


_HEADERS = ("ID", "TASK TYPES", "START", "LIVE", "VERSION", "STATUS")


def _cells(view: ExecutorView) -> list[str]:
    return [view.id, ", ".join(view.task_types), view.start, str(view.live), view.version, render.executor_status(view)]


def _told(reply: LoadReply) -> list[str]:
    """Say what came of a load, one line each; what was there before is only counted."""
    told = [_line(view) for view in reply.executors if view.outcome != "there"]
    lines = told or [f"nothing new is installed; {len(reply.executors)} executors are there"]
    if reply.member:
        lines.append(f"this is so in {reply.member} alone: the other engines of the store load theirs, or restart")
    return lines


def _line(view: LoadView) -> str:
    if view.outcome == "loaded":
        return f"{view.id} {view.version}".rstrip() + f": loaded, serves {', '.join(view.task_types)}"
    return f"{view.id}: {view.reason}"


async def _read(app: App) -> list[ExecutorView]:
    from airscrew.engine.cli.session import looking

    async with looking(app) as api:
        return await api.executors()


async def _load(app: App) -> LoadReply:
    from airscrew.engine.cli.session import looking

    async with looking(app) as api:
        return await api.load_executors()
