"""
Looking at an execution until it is over, from one engine to the next.

An engine that goes away is no end, and without one the store is looked into now and then and let go of in between: who
only looks MUST keep no engine from its work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from airscrew.engine.api.model import ApiError
from airscrew.engine.cli.session import Session, sight

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView
    from airscrew.engine.api.port import EngineApi
    from airscrew.engine.cli.app import App

LOOK_SECONDS = 0.3
"""The pause between two looks into a store that nobody works on."""

_IDLE = "no engine works on it: airscrew run --resume, or airscrew serve, goes on with it"


async def views(app: App, execution: str, note: Callable[[str], None]) -> AsyncGenerator[ExecutionView]:
    """
    Show an execution now and after each change, until it is over.

    Args:
        app: How to reach engines.
        execution: ``namespace/name``.
        note: Told once when nobody works on it.
    """
    last: ExecutionView | None = None
    note = _once(note)
    while True:
        async with _moving(app) as session:
            async for view in _look(session.api, execution) if session.is_idle else session.api.watch(execution):
                if view != last:
                    last = view
                    yield view
                if view.is_over:
                    return
            if session.is_idle:
                note(_IDLE)
        await asyncio.sleep(LOOK_SECONDS)


async def log(app: App, execution: str, attempt: int | None, note: Callable[[str], None]) -> AsyncGenerator[bytes]:
    """
    Read the log of an execution until it is over.

    Args:
        app: How to reach engines.
        execution: ``namespace/name``.
        attempt: Of this attempt, and until that is over; None for the present one and those that follow.
        note: Told once when nobody works on it.
    """
    number, sent = attempt, 0
    note = _once(note)
    while True:
        async with _moving(app) as session:
            view = await session.api.get(execution)
            number = view.attempt if number is None else number
            async for data in _rest(session, execution, number, sent):
                sent += len(data)
                yield data
            if view.is_over or (attempt is not None and view.attempt > attempt):
                return
            if view.attempt > number:
                number, sent = number + 1, 0
                continue
            if session.is_idle:
                note(_IDLE)
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _moving(app: App) -> AsyncGenerator[Session]:
    """Reach what there is; its going away in the middle is passed over, but for an engine that was named."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(sight(app))
        try:
            yield session
        except ApiError as error:
            if error.code != "unavailable" or app.server:
                raise


async def _look(api: EngineApi, execution: str) -> AsyncIterator[ExecutionView]:
    yield await api.get(execution)


async def _rest(session: Session, execution: str, attempt: int, sent: int) -> AsyncIterator[bytes]:
    """Read a log behind the bytes that were sent; nobody writes more while no engine works."""
    skip = sent
    async for chunk in session.api.logs(execution, attempt=attempt, follow=not session.is_idle):
        data = chunk.data[skip:]
        skip -= min(skip, len(chunk.data))
        if data:
            yield data


def _once(note: Callable[[str], None]) -> Callable[[str], None]:
    told = set[str]()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            note(text)

    return tell
