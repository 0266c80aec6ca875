"""
Vitals and metrics over HTTP: ``/startupz``, ``/livez``, ``/readyz``, ``/metrics``. The one door of it to ``aiohttp``.

Guarantees: it answers from a thread of its own, so also while the engine's loop is held up; it tells nothing of an
execution, and takes nothing in. A probe's answer is one line of plain text with 200 or 503.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airscrew.engine.metrics import Recorder, Sample
from airscrew.engine.metrics.exposition import CONTENT_TYPE, check_installed, render
from airscrew.engine.vitals.state import Answer, Instruments
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web

LOOK_SECONDS = 5.0
"""How long the engine's loop may take to tell how its gauges stand."""

STOP_SECONDS = 2.0
NOT_IMPLEMENTED, UNAVAILABLE = 501, 503


@asynccontextmanager
async def serving_vitals(host: str, port: int, instruments: Instruments) -> AsyncIterator[int]:
    """
    Answer until the block ends.

    Args:
        host: Where to listen.
        port: Where to listen; 0 for any free one.
        instruments: What is told.

    Yields:
        The port.

    Raises:
        UsageError: ``aiohttp`` is missing, or the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    server = _Server(host, port, instruments, loop)
    thread = threading.Thread(target=server.run, name="vitals", daemon=True)
    thread.start()
    try:
        yield await asyncio.wrap_future(server.bound)
    finally:
        server.stop()
        await loop.run_in_executor(None, thread.join, STOP_SECONDS)


@dataclass(slots=True)
class _Server:
    """
    Answers on a loop of its own.

    Attributes:
        host: Where it listens.
        port: Where it listens.
        instruments: What it tells.
        home: The engine's loop.
        bound: The port that was taken.
    """

    host: str
    port: int
    instruments: Instruments
    home: asyncio.AbstractEventLoop
    bound: Future[int] = field(default_factory=Future[int])
    _over: threading.Event = field(default_factory=threading.Event)
    _end: Callable[[], object] = field(default=lambda: None)

    def run(self) -> None:
        """Serve until ``stop``; what goes wrong before it listens is in ``bound``."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - a thread's top: told to who started it
            if not self.bound.done():
                self.bound.set_exception(error)

    def stop(self) -> None:
        """Let it end; thread-safe."""
        self._over.set()
        with suppress(RuntimeError):  # its loop is closed: it has ended by itself
            self._end()

    async def _serve(self) -> None:
        try:
            from aiohttp import web
        except ImportError as error:
            raise UsageError("health.address needs aiohttp: pip install 'airscrew[metrics]'") from error
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=STOP_SECONDS / 2)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port)
            try:
                await site.start()
            except OSError as error:
                where = f"{self.host}:{self.port}"
                raise UsageError(f"health.address {where} cannot be listened on: {error.strerror}") from error
            self._end = partial(loop.call_soon_threadsafe, over.set)
            self.bound.set_result(int(runner.addresses[0][1]))
            if not self._over.is_set():
                await over.wait()
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        from aiohttp import web

        vitals = self.instruments.vitals
        app = web.Application()
        app.router.add_get("/startupz", _probe(vitals.startup))
        app.router.add_get("/livez", _probe(vitals.live))
        app.router.add_get("/readyz", _probe(vitals.ready))
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _metrics(self, _request: web.Request) -> web.Response:
        from aiohttp import web

        try:
            check_installed()
        except UsageError as error:
            return web.Response(status=NOT_IMPLEMENTED, text=f"{error}\n")
        future = asyncio.run_coroutine_threadsafe(_look(self.instruments), self.home)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                recorder, samples = await asyncio.wrap_future(future)
        except TimeoutError:
            return web.Response(status=UNAVAILABLE, text="the engine's loop does not answer\n")
        return web.Response(body=render(recorder, samples), headers={"Content-Type": CONTENT_TYPE})


async def _look(instruments: Instruments) -> tuple[Recorder, Sequence[Sample]]:
    """Copy all that there is to tell, on the engine's loop: the rest is done elsewhere."""
    meters = instruments.meters
    return meters.copy() if isinstance(meters, Recorder) else Recorder(), list(instruments.samples())


def _probe(ask: Callable[[], Answer]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.Response:
        from aiohttp import web

        told = ask()
        return web.Response(status=200 if told.is_yes else UNAVAILABLE, text=f"{told.reason}\n")

    return answer
