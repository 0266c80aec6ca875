"""
A proxy that leads one domain to a service on loopback: for clients whose address cannot be told to them.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

LONGEST_HEAD = 65536


class ConnectProxy:
    """
    Takes ``CONNECT host:443`` for hosts of one domain, and refuses every other.

    Args:
        domain: Whose hosts.
        port: Where they are led to.
    """

    def __init__(self, domain: str, port: int) -> None:
        self._domain, self._target = domain, port
        self._loop = asyncio.new_event_loop()
        begun = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(begun,))
        self._thread.start()
        begun.wait()

    def close(self) -> None:
        """End it, and what it leads."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self, begun: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(begun))

    async def _serve(self, begun: threading.Event) -> None:
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0, limit=LONGEST_HEAD)
        self.port: int = server.sockets[0].getsockname()[1]
        begun.set()
        await self._ended.wait()
        server.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                method, host, _ = head.split(b" ", 2)
                name = host.decode().partition(":")[0]
                if method != b"CONNECT" or not name.endswith(f".{self._domain}"):
                    writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                    return
                there, beyond = await asyncio.open_connection("127.0.0.1", self._target)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pour(reader, beyond))
                    group.create_task(_pour(there, writer))
            finally:
                writer.close()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()
