"""
The way to the API server: found, vouched for and encrypted by the ``kubernetes`` package.

What went wrong on the way is told by the built-in error classes, for the difference decides whether an object may
exist: ``ConnectionRefusedError`` when certainly nothing was sent, another ``OSError`` or ``TimeoutError`` when nobody
knows. A request is sent once: nothing here retries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec
from typing_extensions import override

from airscrew.plugins.http_calls import read_whole, told_plainly
from airscrew.plugins.kubernetes.api.door import Door, open_door

if TYPE_CHECKING:
    import aiohttp

BODY_LIMIT = 64 * 1024 * 1024
"""An answer longer than this is an error: it is read into memory. A page of objects is far below it."""


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Which cluster, and how it is reached.

    Attributes:
        kubeconfig: A file; empty for the Pod's own account inside a cluster, else for what KUBECONFIG names.
        context: A context of it; empty for the current one.
    """

    kubeconfig: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What the API server answered.

    Attributes:
        status: The status of HTTP.
        body: Whole.
        retry_after: Seconds, when it asks for patience.
    """

    status: int
    body: bytes = b""
    retry_after: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether it did what was asked."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of HTTP's successes


class Connection(Protocol):
    """
    Sends requests to one API server.

    Attributes:
        counts: How many it has sent, by method; ``WATCH`` for streams.
    """

    counts: dict[str, int]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout: float = 30.0,
    ) -> Reply:
        """
        Send a request once and read its answer, whatever its status is.

        Raises:
            ConnectionRefusedError: No connection came about: certainly nothing was sent.
            TimeoutError: No answer in time: the request may have arrived.
            OSError: The connection broke: the request may have arrived.
        """
        ...

    def stream(self, path: str, *, query: Mapping[str, str], idle: float) -> AsyncIterator[bytes]:
        """
        Read an answer that goes on, line by line; ends when the server ends it.

        Args:
            path: Where.
            query: What.
            idle: Seconds without a byte after which the connection is taken for dead.

        Raises:
            StreamRefusedError: It was answered with an error instead.
            ConnectionRefusedError: The connection did not come about.
            OSError: It broke.
        """
        ...


class StreamRefusedError(Exception):
    """
    A stream was answered with an error.

    Attributes:
        reply: The answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


@dataclass(slots=True)
class KubernetesConnection(Connection):
    """A connection by the ``kubernetes`` package; made by ``open_connection``."""

    door: Door
    counts: dict[str, int] = field(default_factory=dict[str, int])

    @override
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout: float = 30.0,
    ) -> Reply:
        import aiohttp

        headers = await self._headers()
        if body is not None:
            headers["Content-Type"] = kind
        self.counts[method] = self.counts.get(method, 0) + 1
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10.0))
        with told_plainly("the API server", timeout):
            async with self.door.session.request(
                method,
                self._url(path),
                params=query,
                data=body,
                headers=headers,
                timeout=limits,
                proxy=self.door.proxy,
                server_hostname=self.door.server_name,
            ) as response:
                return await _reply(response)

    @override
    async def stream(self, path: str, *, query: Mapping[str, str], idle: float) -> AsyncIterator[bytes]:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=idle)
        self.counts["WATCH"] = self.counts.get("WATCH", 0) + 1
        try:
            async with self.door.session.get(
                self._url(path),
                params=query,
                headers=await self._headers(),
                timeout=limits,
                proxy=self.door.proxy,
                server_hostname=self.door.server_name,
            ) as response:
                if response.status >= 300:  # noqa: PLR2004 - the statuses of HTTP
                    raise StreamRefusedError(await _reply(response))
                transport = response.connection.transport if response.connection is not None else None
                try:
                    async for line in _lines(response.content):
                        yield line
                finally:
                    if transport is not None:
                        transport.abort()  # a polite end waits for the server's word, which goes on streaming
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ConnectionRefusedError(f"no connection to the API server: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionResetError(f"the stream from the API server broke: {error!r}") from error

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "airscrew"}
        await self.door.authorize(headers)
        return headers

    def _url(self, path: str) -> str:
        return f"{self.door.host}{path}"


@asynccontextmanager
async def open_connection(config: ClusterConfig) -> AsyncIterator[KubernetesConnection]:
    """
    Find the cluster and open a session with it.

    Raises:
        ExecutorError: The ``kubernetes`` package is not installed; says how to install it.
        UsageError: The kubeconfig cannot be read, or there is none and we are in no cluster; one line.
    """
    async with open_door(config.kubeconfig, config.context) as door:
        yield KubernetesConnection(door)


async def _reply(response: aiohttp.ClientResponse) -> Reply:
    body = await read_whole(response.content, BODY_LIMIT)
    patience = response.headers.get("Retry-After", "")
    return Reply(response.status, body, float(patience) if patience.isdigit() else None)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > BODY_LIMIT:
            raise ConnectionResetError(f"a line of the stream is over {BODY_LIMIT} bytes")
        for line in lines:
            if line:
                yield line
