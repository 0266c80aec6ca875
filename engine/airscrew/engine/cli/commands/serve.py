"""
``airscrew serve``.

Probes are answered before the store is reached. A store that is away, or does not let us in, is said in one line and
asked again with longer and longer pauses; what no waiting can mend ends the command.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airscrew.engine.cli.command import Command
from airscrew.engine.cli.options import run_async

if TYPE_CHECKING:
    from airscrew.engine.api.adapter import ServerInfo
    from airscrew.engine.api.address import Address
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.api.server import Port
    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings
    from airscrew.engine.metrics import Sample
    from airscrew.engine.vitals import Instruments

IDLE_SECONDS = 10.0
"""How long nothing may be active before ``--until-idle`` ends."""

LOOK_SECONDS = 0.5

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


@click.command(cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Also listen on this port; clients show the token.")
@click.option("--health", metavar="HOST:PORT", help="Answer probes and tell metrics here, over plain HTTP.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How to write the log.")
@click.option("--until-idle", is_flag=True, help="End once nothing is active.")
@click.option(
    "--process/--no-process",
    "process_executor",
    default=None,
    help="Whether tasks may run as processes of this machine.",
)
@click.pass_obj
def serve(
    app: App,
    listen: str | None,
    health: str | None,
    log_format: str | None,
    until_idle: bool,
    process_executor: bool | None,
) -> None:
    """
    Run the engine as a service.

    It works on everything unfinished, and answers on a Unix socket beside the store and, with --listen, on a port.
    SIGTERM and Ctrl-C drain it: calls under way are answered, tasks go on by themselves and are found again.
    """
    import msgspec

    settings = app.settings(
        listen=listen,
        process_executor=process_executor,
        health=None if health is None else {"address": health},
        log=None if log_format is None else {"format": log_format},
    )
    settings = msgspec.structs.replace(settings, process_executor=bool(settings.process_executor))
    run_async(lambda: _serve(app, settings, until_idle=until_idle))


async def _serve(app: App, settings: EngineSettings, *, until_idle: bool) -> None:
    import msgspec

    from airscrew.engine.api.address import socket_beside
    from airscrew.engine.cli.exits import leaf
    from airscrew.engine.cli.follow import signals
    from airscrew.engine.cli.log import announce, show_log
    from airscrew.engine.collector import look_seldom
    from airscrew.state.beside import running_beside

    show_log(settings.log)
    port = _port(settings) if settings.listen else None
    where = {"socket": str(socket_beside(settings.store_file))}
    settings = msgspec.structs.replace(settings, listen="")
    stop = _Stop()
    async with AsyncExitStack() as stack:
        keyboard = await stack.enter_async_context(signals())
        await stack.enter_async_context(running_beside(signals=stop.listen(keyboard)))
        instruments = await stack.enter_async_context(_instruments(settings))
        api = await _opened(app, settings, stack, stop, instruments)
        if api is None:
            return
        if port is not None:
            instruments.looks.append(partial(_certificate, port[1]))
            where |= await _listen(api, *port, settings, stack)
        look_seldom()
        instruments.vitals.has_begun = True
        token = f" (token: {where['token_file']})" if "token_file" in where else ""
        text = " and ".join(where[place] for place in ("socket", "listen") if place in where)
        announce(f"serving on {text}{token}", "serving", where)
        try:
            await _until_told(api, stop, until_idle=until_idle)
        except BaseExceptionGroup as group:
            raise leaf(group) from None
        finally:
            instruments.vitals.is_draining = True
        announce("draining", "draining")


@dataclass(slots=True)
class _Stop:
    """
    Whether somebody told us to stop.

    Attributes:
        told: Set from then on.
        limit: What is ended at once by it; None for nothing.
    """

    told: asyncio.Event = field(default_factory=asyncio.Event)
    limit: asyncio.Timeout | None = None

    async def listen(self, keyboard: asyncio.Queue[signal.Signals]) -> None:
        """Wait for the first signal."""
        await keyboard.get()
        self.told.set()
        if self.limit is not None:
            self.limit.reschedule(0.0)

    async def wait(self, seconds: float) -> bool:
        """Wait until told to stop, for so long at most; tell whether that is so."""
        try:
            async with asyncio.timeout(seconds):
                await self.told.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def _instruments(settings: EngineSettings) -> AsyncIterator[Instruments]:
    """Answer probes until the block ends, where that is wanted."""
    from airscrew.engine.vitals import Instruments, Vitals

    vitals = Vitals(monotonic=time.monotonic)
    if not settings.health.address:
        yield Instruments(vitals=vitals)
        return
    from airscrew.engine.api.address import TcpAddress, split_port
    from airscrew.engine.cli.log import announce
    from airscrew.engine.metrics import Recorder
    from airscrew.engine.vitals.beats import beat
    from airscrew.engine.vitals.server import serving_vitals
    from airscrew.state.beside import running_beside

    host, port = split_port(settings.health.address)
    instruments = Instruments(vitals=vitals, meters=Recorder())
    async with serving_vitals(host, port, instruments) as bound, running_beside(beat=beat(instruments)):
        where = f"http://{TcpAddress(host, bound)}"
        announce(f"health on {where}", "health is told", {"address": where})
        yield instruments


async def _opened(
    app: App, settings: EngineSettings, stack: AsyncExitStack, stop: _Stop, instruments: Instruments
) -> EngineApi | None:
    """Open the engine, as often as it takes until its store lets us; None when told to stop first."""
    from airscrew.engine.cli.log import announce
    from airscrew.engine.config import WorkScope
    from airscrew.state.errors import StoreError

    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            async with asyncio.timeout(None) as stop.limit:
                watched = instruments if settings.health.address else None
                engine = app.open_engine(settings, work=WorkScope.everything(), instruments=watched)
                return await stack.enter_async_context(engine)
        except TimeoutError:
            if stop.told.is_set():
                return None
            raise
        except (StoreError, ExceptionGroup) as error:
            why = _why_waiting(error)
        finally:
            stop.limit = None
        if instruments.vitals.waits_for != why:
            instruments.vitals.waits_for = why
            announce(f"waiting: {why}", "waiting for the store", {"why": why}, level=logging.WARNING)
        if await stop.wait(pause):
            return None
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _why_waiting(error: Exception) -> str:
    """
    Say in one line what a store is waited for.

    Raises:
        Exception: No waiting can mend it.
    """
    from airscrew.engine.cli.exits import leaf, one_line
    from airscrew.state.errors import StoreUnavailableError

    cause = leaf(error)
    if not isinstance(cause, StoreUnavailableError):
        raise cause from None
    return one_line(cause)


def _port(settings: EngineSettings) -> tuple[Address, Port]:
    """
    Return the port to listen on, and how it is guarded, after a look at all of it.

    Raises:
        UsageError: It cannot be served so.
    """
    from airscrew.engine.api.address import parse_address
    from airscrew.engine.api.connector_face import Offer
    from airscrew.engine.api.server import Port, check_guarded
    from airscrew.engine.api.tls import ServerTls

    address, guard, tls = parse_address(settings.listen), settings.api, None
    if guard.certificate:
        authority = Path(guard.client_ca) if guard.client_ca else None
        tls = ServerTls(Path(guard.certificate), Path(guard.key), authority, time.time)
        tls.credentials()
    port = Port(
        tls=tls,
        allow_plaintext=guard.allow_plaintext,
        allow_anonymous=guard.allow_anonymous,
        offer=Offer(types=guard.connector_types, sync_types=guard.connector_sync_types),
    )
    check_guarded(address, port)
    return address, port


async def _listen(
    api: EngineApi, address: Address, port: Port, settings: EngineSettings, stack: AsyncExitStack
) -> dict[str, str]:
    """Serve a port too, and say where."""
    from airscrew.engine.api.server import serving

    if port.offer.is_any:
        from airscrew.engine.data.storage import Storage

        storage = await stack.enter_async_context(Storage())
        port = replace(port, offer=replace(port.offer, write=storage.write))
    server = serving(api, address, own_info(settings), token_file=settings.token_path, port=port)
    bound = await stack.enter_async_context(server)
    return {"listen": str(bound)} | ({} if port.allow_anonymous else {"token_file": str(settings.token_path)})


def _certificate(port: Port) -> list[Sample]:
    """Tell when the certificate ends that is served."""
    from airscrew.engine.metrics import Sample
    from airscrew.engine.metrics.names import CERTIFICATE_EXPIRY

    return [] if port.tls is None else [Sample(CERTIFICATE_EXPIRY, port.tls.ends, ("api",))]


def own_info(settings: EngineSettings) -> ServerInfo:
    """Say which engine this process is."""
    from airscrew.engine.api.adapter import ServerInfo

    return ServerInfo(version=version("airscrew"), pid=os.getpid(), started_at=time.time(), home=settings.home)


async def _until_told(api: EngineApi, stop: _Stop, *, until_idle: bool) -> None:
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(_told(stop))}
        if until_idle:
            waits.add(group.create_task(wait_until_idle(api)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()


async def _told(stop: _Stop) -> None:
    await stop.told.wait()


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
