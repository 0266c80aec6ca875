"""``airscrew logs``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import execution_name, namespace_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.argument("execution")
@namespace_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the execution is over.")
@click.option("--attempt", type=click.IntRange(min=1), help="Of this attempt, 1 for the first; the last by default.")
@click.option("--metrics", is_flag=True, help="What its job measured instead, as JSON lines, where it was told.")
@click.pass_obj
def logs(app: App, execution: str, namespace: str, follow: bool, attempt: int | None, metrics: bool) -> None:
    """Print the log of an execution."""
    if follow and metrics:
        raise click.UsageError("--metrics are told when an attempt is over: leave out --follow")
    name = execution_name(execution, namespace)
    asyncio.run(_print(app, name, None if attempt is None else attempt - 1, follow=follow, metrics=metrics))


async def _print(app: App, execution: str, attempt: int | None, *, follow: bool, metrics: bool) -> None:
    from airscrew.engine.cli.looking import log
    from airscrew.engine.cli.progress import PlainReporter
    from airscrew.engine.cli.session import looking

    if follow:
        async with aclosing(log(app, execution, attempt, PlainReporter(sys.stderr).note)) as read:
            async for data in read:
                _write(data)
        return
    async with looking(app) as api:
        async for chunk in api.logs(execution, attempt=attempt, metrics=metrics):
            _write(chunk.data)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
