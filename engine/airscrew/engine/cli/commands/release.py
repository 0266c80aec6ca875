"""``airscrew release``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import run_async, seconds

if TYPE_CHECKING:
    from airscrew.engine.cli.app import App


@click.command(cls=Command)
@click.option("--delete", is_flag=True, help="Also end and delete what runs; else it runs on, and nobody holds it.")
@click.option("--forget", is_flag=True, help="Also delete the state, all of it.")
@click.option("--wait", default="0s", metavar="DURATION", help="How long engines that still work are waited for (0s).")
@click.pass_obj
def release(app: App, delete: bool, forget: bool, wait: str) -> None:
    """
    Let go of all that an installation holds.

    For an installation that goes: objects of its tasks lose the finalizer that would keep them from being deleted. No
    engine may work on the store meanwhile. An engine that is started on the same store again finds what still runs.
    """
    from random import SystemRandom

    from airscrew.engine.clock import SystemClock
    from airscrew.engine.release import Letting
    from airscrew.engine.release import release as let_go

    letting = Letting(delete=delete, forget=forget, wait_seconds=seconds(wait, "--wait"))
    gone = run_async(lambda: let_go(app.settings(), letting, clock=SystemClock(), random=SystemRandom()))
    for name, one in gone.executors.items():
        if one.objects:
            click.echo(f"{name}: let go of {one.objects}, deleted {one.deleted}")
    if not any(one.objects for one in gone.executors.values()):
        click.echo("nothing was held")
    if gone.forgot:
        click.echo("the state is deleted")
