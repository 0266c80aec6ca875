"""``airscrew version``."""

from __future__ import annotations

import platform
from importlib.metadata import version as distribution_version
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli import render
from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import output_option

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@output_option("text", "json", "yaml")
@click.pass_obj
def version(app: App, output: str) -> None:
    """Print the version."""
    del app
    values = {"version": distribution_version("airscrew"), "python": platform.python_version()}
    if output == "text":
        click.echo(f"airscrew {values['version']} (Python {values['python']})")
    else:
        click.echo(render.as_data(values, output))
