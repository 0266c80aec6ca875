"""``airscrew retry``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import execution_name, namespace_option, output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.session import Session


@click.command(cls=Command)
@click.argument("execution")
@namespace_option
@click.option("--force", is_flag=True, help="Even while the last attempt may still have something outside.")
@click.option("--detach", is_flag=True, help="Leave it to an engine in the background, and print its name.")
@click.option("--follow-logs/--no-logs", "with_logs", default=True, help="Whether the log is shown as it is written.")
@output_option("text", "json", "yaml")
@click.pass_obj
def retry(app: App, execution: str, namespace: str, force: bool, detach: bool, with_logs: bool, output: str) -> int:
    """
    Run an execution again.

    One that is over runs again under a new name, which names its origin; one that is quarantined goes on.
    """
    from airscrew.engine.cli.running import RunOptions

    name = execution_name(execution, namespace)
    options = RunOptions(detach=detach, with_logs=with_logs, output=output)
    return asyncio.run(_retry(app, name, options, force=force))


async def _retry(app: App, name: str, options: object, *, force: bool) -> int:
    from airscrew.engine.cli.daemon import ensure_engine
    from airscrew.engine.cli.running import RunOptions, drive, for_run
    from airscrew.engine.config import WorkScope

    assert isinstance(options, RunOptions)
    settings = for_run(app.settings())
    if options.detach:
        await ensure_engine(app, settings)

    async def begin(session: Session) -> str:
        return (await session.api.retry(name, force=force)).execution

    return await drive(app, settings, WorkScope.only(name), options, begin)
