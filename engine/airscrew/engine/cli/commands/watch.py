"""``airscrew watch``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
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

    from airscrew.engine.cli.exits import ExitCode, exit_code_of_execution
    from airscrew.engine.cli.looking import views
    from airscrew.engine.cli.progress import PlainReporter
    from airscrew.engine.cli.render import as_data, plain

    reporter, notes = PlainReporter(sys.stdout), PlainReporter(sys.stderr)
    code = ExitCode.OK
    async with aclosing(views(app, execution, notes.note)) as shown:
        async for view in shown:
            match output:
                case "json":
                    click.echo(msgspec.json.encode(plain(view)).decode())
                case "yaml":
                    click.echo("---\n" + as_data(view, output))
                case _:
                    reporter.phase(view)
            code = exit_code_of_execution(view) if view.is_over else code
    return code
