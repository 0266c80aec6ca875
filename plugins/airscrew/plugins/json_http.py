"""
A provider that speaks JSON over HTTP: one request a call, and errors as the WebAPI framework tells them apart.

Guarantees: a request is sent once; what certainly did not arrive, what nobody knows of, and what was refused are three
classes of error (``webapi.errors`` and the built-in ones of connections); an answer that is no JSON object is none that
says what was done.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from airscrew.plugins.http_transport import AiohttpTransport, Reply, Transport, excerpt, patience_of
from airscrew.plugins.webapi import ProviderError, UnclearError, http_error

NOT_FOUND = 404
_SHOWN = 200

JsonObject = dict[str, Any]
"""What an answer holds: its members are for whoever knows the provider."""


@dataclass(slots=True, kw_only=True)
class JsonHttp:
    """
    Sends requests to one provider.

    Attributes:
        url: What the paths are appended to.
        transport: Sends them.
        headers: Gives the headers of each request, as ``Authorization``; called each time.
        key_header: Carries an attempt's key.
        timeout: How long a request may take, seconds.
    """

    url: str
    transport: Transport
    headers: Callable[[], Mapping[str, str]] = field(default=dict[str, str])
    key_header: str = "Idempotency-Key"
    timeout: float = 30.0

    async def ask(self, method: str, path: str, *, key: str = "", body: object = None) -> JsonObject:
        """
        Send a request, and return the object that answers it.

        Args:
            method: ``GET``, ``POST``…
            path: Below the URL.
            key: The attempt's, with what creates something.
            body: Plain JSON; None for none.

        Raises:
            ProviderError: It was refused, or nobody knows what became of it; see ``webapi.errors``.
            OSError: No connection, no answer in time, or a broken one; ``ConnectionRefusedError``: nothing was sent.
        """
        return self._read(await self._send(method, path, key, body), f"{method} {path}")

    async def look(self, method: str, path: str) -> JsonObject | None:
        """Do as ``ask`` does; None when the provider says that there is no such thing."""
        reply = await self._send(method, path, "", None)
        return None if reply.status == NOT_FOUND else self._read(reply, f"{method} {path}")

    async def _send(self, method: str, path: str, key: str, body: object) -> Reply:
        headers = {"Content-Type": "application/json", **self.headers(), **({self.key_header: key} if key else {})}
        data = None if body is None else json.dumps(body).encode()
        return await self.transport.request(
            method, self.url.rstrip("/") + path, headers=headers, body=data, timeout=self.timeout
        )

    def _read(self, reply: Reply, what: str) -> JsonObject:
        if reply.status // 100 != 2:  # noqa: PLR2004 - the class of HTTP's successes
            told = reply.body[:_SHOWN].decode(errors="replace")
            raise http_error(reply.status, f"{what} answered {reply.status}: {told}", patience_of(reply))
        try:
            found: object = json.loads(reply.body)
        except ValueError as error:
            raise UnclearError(f"{what} answered no JSON") from error
        if not isinstance(found, dict):
            raise UnclearError(f"{what} answered no JSON object")
        return cast("JsonObject", found)


@asynccontextmanager
async def open_json_http(
    url: str,
    *,
    headers: Callable[[], Mapping[str, str]] = dict[str, str],
    transport: Transport | None = None,
) -> AsyncIterator[JsonHttp]:
    """
    Open a client on the running loop until the block ends.

    Args:
        url: Where the provider is.
        headers: Gives the headers of each request.
        transport: Sends the requests, and is closed by whoever made it; None for the network.

    Raises:
        ExecutorError: aiohttp is not installed; says how to install it.
    """
    if transport is not None:
        yield JsonHttp(url=url, transport=transport, headers=headers)
        return
    opened = AiohttpTransport.open()
    try:
        yield JsonHttp(url=url, transport=opened, headers=headers)
    finally:
        await opened.close()


def read_object(
    request: str, reply: Reply, text: str, error: Callable[[str, Reply, Mapping[str, object], str], ProviderError]
) -> Mapping[str, object]:
    """
    Read an answer. Pure.

    Args:
        request: What was asked, for people.
        reply: The answer.
        text: Its body, without secrets.
        error: Makes an error of a request, its answer, the answer's members (none when it is no JSON object) and text.

    Raises:
        ProviderError: It is an error; the class tells whether nothing was done.
    """
    try:
        answer: object = json.loads(text)
    except ValueError:
        answer = None
    members: Mapping[str, object] = cast("JsonObject", answer) if isinstance(answer, dict) else {}
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        if not isinstance(answer, dict):
            raise UnclearError(f"{request} answered {reply.status} with no JSON object: {excerpt(text)}")
        return members
    raise error(request, reply, members, text)
