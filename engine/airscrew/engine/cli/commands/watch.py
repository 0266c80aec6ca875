"""``airscrew watch``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import execution_name, namespace_option, output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.argument("execution")
@namespace_option
@output_option("text", "json", "yaml")
@click.pass_obj
def watch(app: App, execution: str, namespace: str, output: str) -> int:
    """
    Follow an execution until it is over.

    It only looks: Ctrl-C ends the looking. With -o json each change is one line. The exit code is the execution's.
    """
    return asyncio.run(_watch(app, execution_name(execution, namespace), output))


async def _watch(app: App, execution: str, output: str) -> int:
    import msgspec

    from airscrew.engine.cli.exits import exit_code_of_execution
    from airscrew.engine.cli.progress import PlainReporter
    from airscrew.engine.cli.render import as_data, plain
    from airscrew.engine.cli.session import looking

    reporter = PlainReporter(sys.stdout)
    async with looking(app) as api:
        async for view in api.watch(execution):
            match output:
                case "json":
                    click.echo(msgspec.json.encode(plain(view)).decode())
                case "yaml":
                    click.echo("---\n" + as_data(view, output))
                case _:
                    reporter.phase(view)
            if view.is_over:
                return exit_code_of_execution(view)
    return 0
