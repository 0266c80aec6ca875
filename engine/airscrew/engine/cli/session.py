"""
How a command reaches an engine: one named by ``--server``, the one that holds the store, or one of its own.

Guarantees: at most one engine works on a store, whoever comes first; a command that only looks opens no engine; an
engine that just starts or just stops is waited for. Without an engine, the store is held while it is looked into: who
looks for long MUST let go of it between two looks, so that an engine can begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airscrew.engine.api.address import Address, UnixAddress, is_answering, parse_address, socket_beside
from airscrew.engine.api.model import ApiError
from airscrew.engine.api.port import EngineApi
from airscrew.engine.cli.log import show_warnings
from airscrew.state.errors import StoreBusyError

if TYPE_CHECKING:
    from airscrew.engine.api.adapter import ServerInfo
    from airscrew.engine.cli.app import App
    from airscrew.engine.config import EngineSettings, WorkScope

BUSY_SECONDS = 15.0
"""How long an engine that holds the store and does not answer yet, or no longer, is waited for."""

ANSWER_SECONDS = 10.0
"""How long an engine may take to say which one it is."""

_STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """
    An engine that is reached.

    Attributes:
        api: The engine.
        is_own: Whether it runs in this process.
        is_idle: Whether nobody works behind it: it shows what is stored.
        where: Its address, for people; empty for our own.
    """

    api: EngineApi
    is_own: bool = False
    is_idle: bool = False
    where: str = ""


@asynccontextmanager
async def looking(app: App) -> AsyncGenerator[EngineApi]:
    """Reach an engine to look at what there is; without one, look into the store."""
    async with sight(app) as session:
        yield session.api


@asynccontextmanager
async def sight(app: App) -> AsyncGenerator[Session]:
    """
    Do as ``looking`` does, and tell whether an engine works.

    Raises:
        StoreBusyError: A process holds the store and does not answer.
    """
    settings = app.settings()
    async with AsyncExitStack() as stack:
        remote = await _remote(app, settings, stack)
        if remote is None:
            found = await _own_or_remote(app, settings, stack, lambda: app.open_viewer(settings))
            remote = replace(found, is_own=False, is_idle=True) if found.is_own else found
        yield remote


@asynccontextmanager
async def working(app: App, settings: EngineSettings, work: WorkScope) -> AsyncGenerator[Session]:
    """
    Reach an engine that does what it is asked; without one, be it.

    Args:
        app: How to.
        settings: For an engine of our own.
        work: What an engine of our own works on.

    Raises:
        StoreBusyError: A process holds the store and does not answer.
    """
    async with AsyncExitStack() as stack:
        remote = await _remote(app, settings, stack)
        yield remote or await _own_or_remote(app, settings, stack, lambda: app.open_engine(settings, work=work))


async def _own_or_remote(
    app: App,
    settings: EngineSettings,
    stack: AsyncExitStack,
    open_own: Callable[[], AbstractAsyncContextManager[EngineApi]],
) -> Session:
    show_warnings()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUSY_SECONDS
    while True:
        try:
            api = await stack.enter_async_context(open_own())
        except StoreBusyError:
            if loop.time() > deadline:
                raise
        else:
            return Session(api=api, is_own=True)
        await asyncio.sleep(_STEP_SECONDS)
        remote = await _remote(app, settings, stack)
        if remote is not None:
            return remote


async def _remote(app: App, settings: EngineSettings, stack: AsyncExitStack) -> Session | None:
    """Reach an engine that runs already; None when none does."""
    address: Address = parse_address(app.server) if app.server else socket_beside(settings.store_file)
    if isinstance(address, UnixAddress) and not app.server and not is_answering(address):
        return None
    from airscrew.engine.api.client import connect

    token, tls = (app.token_file(settings), app.tls()) if app.server else (None, None)
    try:
        client = await stack.enter_async_context(connect(address, token, tls=tls, plaintext=app.is_plaintext))
        await client.info(timeout_seconds=ANSWER_SECONDS)
    except ApiError as error:
        if error.code == "unavailable" and not app.server:
            return None
        raise
    return Session(api=client, where=str(address))


async def served_by(settings: EngineSettings) -> ServerInfo | None:
    """Ask the store's engine on its socket which one it is; None when none answers."""
    address = socket_beside(settings.store_file)
    if not is_answering(address):
        return None
    from airscrew.engine.api.client import connect

    try:
        async with connect(address) as client:
            return await client.info(timeout_seconds=ANSWER_SECONDS)
    except ApiError:
        return None
