"""``airscrew prune``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option, seconds

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.option("--older-than", metavar="DURATION", help="Only what ended so long ago, as 12h; the configured age, 7d.")
@click.option("--keep", type=click.IntRange(min=0), help="Keep so many of the newest, whatever their age.")
@click.option("--dry-run", is_flag=True, help="Only print what would go.")
@output_option("name", "json", "yaml")
@click.pass_obj
def prune(app: App, older_than: str | None, keep: int | None, dry_run: bool, output: str) -> None:
    """Delete executions that ended long ago."""
    retention = app.settings().retention
    age = retention.finished_age if older_than is None else seconds(older_than, "--older-than")
    names = asyncio.run(_prune(app, age, retention.keep if keep is None else keep, dry_run=dry_run))
    click.echo(
        render.as_data(names, output) if output != "name" else "\n".join(names), nl=bool(names) or output != "name"
    )
    click.echo(f"airscrew: {len(names)} {'would go' if dry_run else 'pruned'}", err=True)


async def _prune(app: App, age: float, keep: int, *, dry_run: bool) -> list[str]:
    from airscrew.engine.cli.session import working
    from airscrew.engine.config import WorkScope

    async with working(app, app.settings(), WorkScope.only()) as session:
        return await session.api.prune(older_than_seconds=age, keep=keep, dry_run=dry_run)
