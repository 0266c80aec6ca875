"""``airscrew serve``."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import run_async

if TYPE_CHECKING:
    from airscrew.engine.api.adapter import ServerInfo
    from airscrew.engine.api.model import EngineApi
    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings

IDLE_SECONDS = 10.0
"""How long nothing may be active before ``--until-idle`` ends."""

LOOK_SECONDS = 0.5


@click.command(cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Also listen on this port of loopback; clients show the token.")
@click.option("--until-idle", is_flag=True, help="End once nothing is active.")
@click.option(
    "--process/--no-process",
    "process_executor",
    default=None,
    help="Whether tasks may run as processes of this machine.",
)
@click.pass_obj
def serve(app: App, listen: str | None, until_idle: bool, process_executor: bool | None) -> None:
    """
    Run the engine as a service.

    It works on everything unfinished, and answers on a Unix socket beside the store and, with --listen, on a port.
    SIGTERM and Ctrl-C drain it: calls under way are answered, tasks go on by themselves and are found again.
    """
    import msgspec

    settings = app.settings(listen=listen, process_executor=process_executor)
    settings = msgspec.structs.replace(settings, process_executor=bool(settings.process_executor))
    run_async(lambda: _serve(app, settings, until_idle=until_idle))


async def _serve(app: App, settings: EngineSettings, *, until_idle: bool) -> None:
    import msgspec

    from airscrew.engine.api.address import parse_address, socket_beside
    from airscrew.engine.cli.exits import leaf
    from airscrew.engine.cli.follow import signals
    from airscrew.engine.cli.log import show_warnings
    from airscrew.engine.config import WorkScope

    show_warnings()
    port = parse_address(settings.listen) if settings.listen else None
    settings = msgspec.structs.replace(settings, listen="")
    async with AsyncExitStack() as stack:
        keyboard = await stack.enter_async_context(signals())
        api = await stack.enter_async_context(app.open_engine(settings, work=WorkScope.everything()))
        where = str(socket_beside(settings.store_file))
        if port is not None:
            from airscrew.engine.api.server import serving

            info = own_info(settings)
            bound = await stack.enter_async_context(serving(api, port, info, token_file=settings.token_path))
            where += f" and {bound} (token: {settings.token_path})"
        click.echo(f"airscrew: serving on {where}", err=True)
        try:
            await _until_told(api, keyboard, until_idle=until_idle)
        except BaseExceptionGroup as group:
            raise leaf(group) from None
        click.echo("airscrew: draining", err=True)


def own_info(settings: EngineSettings) -> ServerInfo:
    """Say which engine this process is."""
    from airscrew.engine.api.adapter import ServerInfo

    return ServerInfo(version=version("airscrew"), pid=os.getpid(), started_at=time.time(), home=settings.home)


async def _until_told(api: EngineApi, keyboard: asyncio.Queue[signal.Signals], *, until_idle: bool) -> None:
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(_told(keyboard))}
        if until_idle:
            waits.add(group.create_task(wait_until_idle(api)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()


async def _told(keyboard: asyncio.Queue[signal.Signals]) -> None:
    await keyboard.get()


async def wait_until_idle(api: EngineApi) -> None:
    """Wait until nothing has been active for a while; what is quarantined waits for people, not for us."""
    from airscrew.engine.api.model import ListRequest

    loop = asyncio.get_running_loop()
    busy_at = loop.time()
    while loop.time() - busy_at < IDLE_SECONDS:
        page = await api.list(ListRequest(active=True, limit=500))
        if page.next_page_token or any(not view.quarantined for view in page.executions):
            busy_at = loop.time()
        await asyncio.sleep(LOOK_SECONDS)
