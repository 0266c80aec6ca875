"""
A thread and a loop of its own for an executor that blocks.

What it does there delays only its own calls. Code that holds the interpreter's lock for long needs a process of its
own: that no thread can mend.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from airscrew.engine.executor import AnyContext, AnyCoroutine
from airscrew.engine.executor.context import DataAccess

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs a loop until it is closed."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: AnyCoroutine[T]) -> Future[T]:
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Ask the loop to end; code that blocks it is left behind with its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()


async def across(coroutine: AnyCoroutine[T], home: asyncio.AbstractEventLoop) -> T:
    """Run a coroutine on another loop and wait for it on this one."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, home))


class DataFromAfar(DataAccess):
    """The data plane of the engine's loop, as another loop reaches it."""

    def __init__(self, data: DataAccess, home: asyncio.AbstractEventLoop) -> None:
        self._data = data
        self._home = home

    @override
    async def read_inputs(self) -> LiteralMap:
        return await across(self._data.read_inputs(), self._home)

    @override
    async def place_inputs(self) -> None:
        await across(self._data.place_inputs(), self._home)

    @override
    async def render(self, texts: Sequence[str]) -> list[str]:
        return await across(self._data.render(texts), self._home)

    @override
    async def read_secret(self, group: str, key: str) -> str:
        return await across(self._data.read_secret(group, key), self._home)

    @override
    async def read_bytes(self, uri: str) -> bytes:
        return await across(self._data.read_bytes(uri), self._home)

    @override
    async def write_bytes(self, uri: str, data: bytes) -> None:
        await across(self._data.write_bytes(uri, data), self._home)


def from_afar(context: AnyContext, home: asyncio.AbstractEventLoop) -> AnyContext:
    """Make a context usable on another loop than the engine's."""
    return replace(context, data=DataFromAfar(context.data, home))
