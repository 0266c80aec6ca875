"""
Files that outlive the engine, on a storage that is slow and away now and then.
"""

from __future__ import annotations

from asyncio import sleep

from tests.simulation.world import World
from typing_extensions import override

from airscrew.engine.data.data_uri import is_data_uri
from airscrew.engine.data.errors import FileMissingError, StorageUnavailableError
from airscrew.engine.data.local_files import Entry
from airscrew.engine.data.storage import Storage


class SimulatedStorage(Storage):
    """Files in the world's memory."""

    def __init__(self, world: World) -> None:
        super().__init__(random=world.dice)
        self._world = world
        self._files = world.files

    @override
    async def read(self, uri: str, *, limit: int | None = None) -> bytes:
        if is_data_uri(uri):
            return await super().read(uri, limit=limit)
        await self._reach()
        if uri not in self._files:
            raise FileMissingError(uri)
        return self._files[uri]

    @override
    async def write(self, uri: str, data: bytes, *, durable: bool = True) -> None:
        await self._reach()
        self._files[uri] = data
        await sleep(0)

    @override
    async def exists(self, uri: str) -> bool:
        await self._reach()
        return is_data_uri(uri) or uri in self._files

    @override
    async def list(self, prefix: str) -> list[Entry]:
        await self._reach()
        begin = prefix.rstrip("/") + "/"
        found = sorted((uri, data) for uri, data in self._files.items() if uri.startswith(begin))
        return [Entry(uri.removeprefix(begin), uri, len(data)) for uri, data in found]

    @override
    async def delete(self, uri: str) -> None:
        await sleep(0)
        self._files.pop(uri, None)

    async def _reach(self) -> None:
        world = self._world
        await sleep(world.dice.random() ** 3 * 5.0 if world.chance(world.plan.rates.slow) else 0)
        if world.chance(world.plan.rates.read_failed):
            world.fault("storage away")
            raise StorageUnavailableError("the storage does not answer, on purpose")
