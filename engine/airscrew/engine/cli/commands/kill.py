"""``airscrew kill``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import execution_name, label_option, namespace_option, pairs
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.cli.app import App
    from airscrew.engine.cli.progress import Reporter


@click.command(cls=Command)
@click.argument("executions", nargs=-1)
@namespace_option
@label_option
@click.option("--force", is_flag=True, help="Do not wait for what runs outside: its ledger entry stays open.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who look later.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait until they are gone.")
@click.pass_obj
def kill(
    app: App, executions: tuple[str, ...], namespace: str, label: tuple[str, ...], force: bool, reason: str, wait: bool
) -> int:
    """
    End executions and see that they are gone.

    Name them, or give labels that they carry. Without an engine that runs, this one carries it out.
    """
    if not executions and not label:
        raise UsageError("name what to kill, or give labels: airscrew kill NAME, airscrew kill -l team=x")
    if executions and label:
        raise UsageError("names and labels do not go together: give one of them")
    names = [execution_name(text, namespace) for text in executions]
    why = reason or "killed by airscrew kill"
    return asyncio.run(_kill(app, names, pairs(label, "--label"), namespace, why, force=force, wait=wait))


async def _kill(
    app: App, names: list[str], labels: dict[str, str], namespace: str, reason: str, *, force: bool, wait: bool
) -> int:
    from airscrew.engine.api.model import ListRequest
    from airscrew.engine.cli.exits import leaf
    from airscrew.engine.cli.progress import PlainReporter
    from airscrew.engine.cli.running import for_run
    from airscrew.engine.cli.session import working
    from airscrew.engine.config import WorkScope

    reporter = PlainReporter(sys.stderr)
    settings = for_run(app.settings())
    async with working(app, settings, WorkScope.only(*names)) as session:
        chosen = names
        if labels:
            request = ListRequest(namespace=namespace, labels=labels, active=True, limit=500)
            chosen = await _names(session.api, request)
        if not chosen:
            reporter.note("nothing active carries these labels")
        try:
            async with asyncio.TaskGroup() as group:
                for name in chosen:
                    group.create_task(
                        _one(session.api, name, reason, reporter, force=force, wait=wait or session.is_own)
                    )
        except BaseExceptionGroup as failures:
            raise leaf(failures) from None
    for name in chosen:
        click.echo(name)
    return 0


async def _names(api: EngineApi, request: object) -> list[str]:
    from msgspec.structs import replace

    from airscrew.engine.api.model import ListRequest

    assert isinstance(request, ListRequest)
    names: list[str] = []
    while True:
        page = await api.list(request)
        names += [view.execution for view in page.executions]
        if not page.next_page_token:
            return names
        request = replace(request, page_token=page.next_page_token)


async def _one(api: EngineApi, name: str, reason: str, reporter: Reporter, *, force: bool, wait: bool) -> None:
    await api.kill(name, reason, force=force)
    if not wait:
        return
    async for view in api.watch(name):
        reporter.phase(view)
        if view.is_over:
            return
