"""
Requests of Trino's statement protocol, each made once.

Guarantees:

1. A request goes to the configured address alone. An answer's next address may name another host, a proxy's or the
   coordinator's own; its path is used, if it is one of a statement, and nothing else of it.
2. Nothing that is raised or returned holds what was sent as the credential, in no form.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from airscrew.plugins.http_transport import HttpReply, Reply, Transport, excerpt, patience_of
from airscrew.plugins.trino.config import TrinoConfig
from airscrew.plugins.trino.state import QueryView, Stage
from airscrew.plugins.trino.statement import Query
from airscrew.plugins.webapi import UnclearError, Vault, http_error

CREDENTIAL = "credential"
_PATH = re.compile(r"/v1/statement/(queued|executing)/[\w.~/-]+")
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_DONE_WELL = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED})
_ENDED = frozenset({"FINISHED", "FAILED"})
_MESSAGE_LIMIT = 4000

T = TypeVar("T")


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong with a query."""

    message: str = ""
    error_name: str = ""
    error_type: str = ""


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """How a query stands, for people."""

    state: str = ""
    progress_percentage: float | None = None


class Results(msgspec.Struct, frozen=True, rename="camel"):
    """A page of a query's results, as Trino sends it; what is not needed is left out."""

    id: str
    info_uri: str = ""
    next_uri: str = ""
    data: list[msgspec.Raw] | None = None
    stats: Stats = Stats()
    error: Failure | None = None


class Code(msgspec.Struct, frozen=True):
    """What went wrong with a query that was looked up."""

    name: str = ""
    type: str = ""


class Info(msgspec.Struct, frozen=True, rename="camel"):
    """What Trino says of a query that is looked up by its id; what is not needed is left out."""

    state: str
    error_code: Code | None = None
    failure_info: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrinoClient:
    """
    Talks to Trino.

    Attributes:
        config: Where, who, and how long a request may take.
        transport: What sends requests.
        vault: Holds the credential, once a call's context has given it.
    """

    config: TrinoConfig
    transport: Transport
    vault: Vault

    async def register(self, statement: str, query: Query, key: str) -> Results:
        """
        Register a statement: nothing runs before its next address is fetched.

        Raises:
            ProviderError: It was not registered, or nobody knows.
            OSError: The same.
        """
        headers = {"Content-Type": "text/plain; charset=utf-8", **self._session_of(query, key)}
        reply = await self._send("POST", "/v1/statement", headers, statement.encode())
        return _read("POST /v1/statement", reply, Results)

    async def fetch(self, path: str, query_id: str) -> Results | None:
        """
        Fetch a page of results, again if need be; None when Trino knows nothing of the query (any more).

        When a later page was fetched, Trino does not give this one any more; how the query stands is then looked up.
        """
        reply = await self._send("GET", path, {}, None)
        if reply.status == HTTPStatus.GONE:
            return await self._looked_up(path, query_id)
        return None if reply.status == HTTPStatus.NOT_FOUND else _read("GET of a query's next page", reply, Results)

    async def _looked_up(self, path: str, query_id: str) -> Results | None:
        reply = await self._send("GET", f"/v1/query/{quote(query_id, safe='')}?pruned=true", {}, None)
        if reply.status in _GONE:
            return None
        info = _read("GET /v1/query", reply, Info)
        if info.state not in _ENDED:
            return Results(id=query_id, next_uri=path, stats=Stats(state=info.state))
        code = info.error_code
        failure = info.failure_info or Failure()
        error = Failure(message=failure.message, error_name=code.name, error_type=code.type) if code else None
        return Results(id=query_id, stats=Stats(state=info.state), error=error)

    async def cancel(self, path: str) -> bool:
        """Ask for a query's end; False when Trino knows nothing of it (any more)."""
        reply = await self._send("DELETE", path, {}, None)
        if reply.status == HTTPStatus.NOT_FOUND:
            return False
        if reply.status not in _DONE_WELL:
            raise http_error(reply.status, f"trino: DELETE of a query answered {reply.status}: {excerpt(reply.body)}")
        return True

    def _session_of(self, query: Query, key: str) -> dict[str, str]:
        config = self.config
        found = {
            "X-Trino-Source": config.source,
            "X-Trino-Trace-Token": key,
            "X-Trino-Client-Tags": ",".join(dict.fromkeys(["airscrew", key, *query.tags])),
            "X-Trino-Catalog": query.catalog or config.catalog,
            "X-Trino-Schema": query.schema or config.schema,
            "X-Trino-Routing-Group": query.routing_group,
            "X-Trino-Session": ",".join(f"{name}={quote(value, safe='')}" for name, value in config.session.items()),
        }
        return {name: value for name, value in found.items() if value}

    async def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        config = self.config
        told = {"Accept": "application/json", "X-Trino-User": config.user, **headers}
        carried = credential = self.vault.get(CREDENTIAL)
        if config.jwt is not None:
            told["Authorization"] = f"Bearer {credential}"
        elif config.password is not None:
            carried = base64.b64encode(f"{config.user}:{credential}".encode()).decode()
            told["Authorization"] = f"Basic {carried}"
        url = config.url.rstrip("/") + path
        reply = await self.transport.request(method, url, headers=told, body=body, timeout=config.timeout)
        if not carried:
            return reply
        return HttpReply(reply.status, reply.headers, reply.body.replace(carried.encode(), b"***"))


def view_of(results: Results, stage: Stage, *, is_written: bool) -> QueryView:
    """
    Read a page of results. Pure.

    Args:
        results: The page.
        stage: How far the attempt was when it was asked for.
        is_written: Whether the query writes a table whose name has to be dropped.

    Raises:
        UnclearError: Its next address is none of a statement.
    """
    path = path_of(results.next_uri)
    if not path:
        is_next = stage is not Stage.DROP and is_written and results.error is None
        stage = Stage.WRITTEN if is_next else Stage.DONE
    error = results.error or Failure()
    percent = results.stats.progress_percentage
    return QueryView(
        stage=stage,
        next=path,
        status=results.stats.state,
        progress=None if percent is None else min(max(percent / 100, 0.0), 1.0),
        page=results.info_uri if results.info_uri.startswith(("http://", "https://")) else "",
        error=error.error_name or ("UNKNOWN" if results.error is not None else ""),
        error_type=error.error_type,
        message=error.message[:_MESSAGE_LIMIT],
        rows=len(results.data or ()),
    )


def path_of(address: str) -> str:
    """
    Return the path of a query's next address; empty for none. Pure.

    Raises:
        UnclearError: It is none of a statement.
    """
    path = urlsplit(address).path
    if address and (not _PATH.fullmatch(path) or ".." in path):
        raise UnclearError("trino: an answer's next address is none of a statement")
    return path


def _read(request: str, reply: Reply, kind: type[T]) -> T:
    if reply.status != HTTPStatus.OK:
        told = f"trino: {request} answered {reply.status}: {excerpt(reply.body)}"
        raise http_error(reply.status, told, patience_of(reply))
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnclearError(f"trino: {request} answered with no {kind.__name__}: {excerpt(reply.body)}") from error
