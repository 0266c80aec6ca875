"""``airscrew quotas``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.api.model import QuotaView
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@output_option("table", "json", "yaml")
@click.pass_obj
def quotas(app: App, output: str) -> None:
    """
    List the quotas and who waits for them.

    Shares of namespaces and projects are listed when they are in use or waited for.
    """
    found = asyncio.run(_list(app))
    if output != "table":
        click.echo(render.as_data(found, output))
    elif not found:
        click.echo("no quotas are set")
    else:
        click.echo(render.table(_HEADERS, [_cells(view, app.now()) for view in found]))


_HEADERS = ("POOL", "SHARE", "LIMIT", "USED", "WAITING", "OLDEST WAIT")


def _cells(view: QuotaView, now: float) -> list[str]:
    limit = "" if view.limit is None else str(view.limit)
    wait = render.age(view.oldest_wait_since, now)
    return [view.pool, view.scope, limit, str(view.used), str(view.waiting), wait]


async def _list(app: App) -> list[QuotaView]:
    from airscrew.engine.cli.session import looking

    async with looking(app) as api:
        return await api.quotas()
