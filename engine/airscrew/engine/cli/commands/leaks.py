"""``airscrew leaks``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.api.model import LeakView
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.option("--clear", metavar="KEY", help="Strike off an unknown entry, after you have looked for it outside.")
@output_option("table", "json", "yaml")
@click.pass_obj
def leaks(app: App, clear: str | None, output: str) -> None:
    """
    List what may still lie outside.

    These are ledger entries of attempts that are over. The engine goes on with those that it knows; an unknown one
    waits for a person.
    """
    found = asyncio.run(_clear(app, clear) if clear else _list(app))
    if output != "table":
        click.echo(render.as_data(found, output))
    elif not found:
        click.echo("nothing is left outside")
    else:
        click.echo(render.table(_HEADERS, [_cells(leak, app.now()) for leak in found]))


_HEADERS = ("KEY", "EXECUTION", "ATTEMPT", "EXECUTOR", "STATE", "AGE", "NOTE")


def _cells(leak: LeakView, now: float) -> list[str]:
    since = render.age(leak.since, now)
    return [leak.key, leak.execution, str(leak.attempt + 1), leak.executor, leak.state, since, render.cut(leak.note)]


async def _list(app: App) -> list[LeakView]:
    from airscrew.engine.cli.session import looking

    async with looking(app) as api:
        return await api.leaks()


async def _clear(app: App, key: str) -> list[LeakView]:
    from airscrew.engine.cli.session import working
    from airscrew.engine.config import WorkScope

    async with working(app, app.settings(), WorkScope.only()) as session:
        await session.api.clear_leak(key)
        return await session.api.leaks()
