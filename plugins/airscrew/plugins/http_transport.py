"""
How a request gets to an HTTP service, and the one implementation of it that uses the network.

What went wrong is told by the built-in error classes, for the difference decides whether a job may exist:
``ConnectionRefusedError`` when certainly nothing was sent, ``TimeoutError`` or another ``OSError`` when nobody knows.
A request is sent once: nothing here retries, and redirects are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from typing_extensions import override

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.http_calls import read_whole, told_plainly

if TYPE_CHECKING:
    import aiohttp

BODY_LIMIT = 8 * 1024 * 1024
"""An answer longer than this is an error: it is read into memory."""


class Reply(Protocol):
    """What a service answered."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""
        ...

    @property
    def body(self) -> bytes:
        """The body, whole."""
        ...


class Transport(Protocol):
    """Sends requests."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Reply:
        """
        Send a request once and read its answer.

        Raises:
            ConnectionRefusedError: No connection came about: certainly nothing was sent.
            TimeoutError: No answer in time: the request may have arrived.
            OSError: The connection broke: the request may have arrived.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer from the network."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AiohttpTransport(Transport):
    """Sends requests over one ``aiohttp.ClientSession``; to be opened on the loop that uses it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    def open(cls) -> Self:
        """
        Open a session on the running loop.

        Raises:
            ExecutorError: aiohttp is not installed; says how to install it.
        """
        try:
            import aiohttp
        except ImportError as error:
            raise ExecutorError("jobs of HTTP services need aiohttp: pip install 'airscrew[http]'") from error
        return cls(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True))

    @override
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Reply:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10))
        with told_plainly(_origin(url), timeout):
            async with self._session.request(
                method, url, headers=headers, data=body, timeout=limits, allow_redirects=False
            ) as response:
                return HttpReply(
                    response.status, _lower(response.headers), await read_whole(response.content, BODY_LIMIT)
                )

    @override
    async def close(self) -> None:
        await self._session.close()


def excerpt(body: bytes | str, limit: int = 300) -> str:
    """Put the beginning of an answer on one line, for messages."""
    begin = body[: limit * 2]
    text = begin if isinstance(begin, str) else begin.decode("utf-8", "replace")
    return " ".join(text.split())[:limit] or "(empty)"


def patience_of(reply: Reply) -> float | None:
    """Read for how many seconds the provider asks to be left alone; a date counts as not said."""
    told = reply.headers.get("retry-after", "").strip()
    return float(told) if told.isdecimal() else None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
