"""``airscrew plugin``."""

from __future__ import annotations

from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path

import click

from airscrew.engine.cli.command import Command

KINDS = ("webapi", "kubernetes", "sync", "complex")


@click.group
def plugin() -> None:
    """Make a new plugin."""


@plugin.command(cls=Command)
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(KINDS), help=f"What it is built on: {', '.join(KINDS)}.")
@click.option("--idl", is_flag=True, help="Describe its tasks by a protobuf message, with the code of it.")
@click.option("--folder", metavar="DIR", help="Where to write it (./NAME).")
def new(name: str, kind: str, folder: str | None, *, idl: bool) -> None:
    """
    Write a package with an executor of task type NAME, its tests, and the class that authors such tasks.

    \b
    webapi       jobs of a service that is reached by requests
    kubernetes   objects of a cluster
    sync         one call, and nothing to come back to
    complex      the contract itself
    """  # noqa: D301 - click reads the character itself
    from airscrew.engine.scaffold import Kind, Wanted, check_free, plan_package, with_code, write_package

    check_free(name, [one.name for one in entry_points(group="airscrew.executors")], packages_distributions())
    wanted = Wanted(name=name, kind=Kind(kind), idl=idl)
    place = Path(folder or name)
    files = plan_package(wanted, version=version("airscrew"), protobuf=version("protobuf"))
    write_package(place, with_code(files) if idl else files)
    click.echo(f"airscrew: {place} is written; its README.md says what follows", err=True)
