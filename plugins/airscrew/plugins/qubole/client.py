"""
Requests to Qubole's API, each made once, and what its answers say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from airscrew.plugins.http_transport import Reply, Transport, excerpt, patience_of
from airscrew.plugins.qubole.config import Config
from airscrew.plugins.webapi import DeniedError, UnclearError, Vault, http_error

TOKEN = "token"  # noqa: S105 - what the vault calls it
_SHOWN = 200
_AGAIN = 449
"""Qubole's own status: ask again."""

T = TypeVar("T")


class Command(msgspec.Struct, frozen=True):
    """
    A command, as Qubole tells of it; what is not needed is left out.

    Attributes:
        id: Its number.
        status: ``waiting``, ``running``, ``cancelling``, ``cancelled``, ``error`` or ``done``.
        progress: In per cent.
        created_at: When it was made, as ``2019-09-17 23:37:14 UTC`` or ``2019-09-17T23:37:14Z``.
        name: The attempt's key.
    """

    id: int
    status: str
    progress: float | None = None
    created_at: str | None = None
    name: str | None = None


class Page(msgspec.Struct, frozen=True):
    """A page of the history of commands."""

    commands: list[Command]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuboleClient:
    """
    Talks to Qubole.

    Attributes:
        config: Where, and how long a request may take.
        transport: What sends requests.
        vault: Holds the token, once a call's context has given it.
    """

    config: Config
    transport: Transport
    vault: Vault

    async def create(self, body: Mapping[str, object]) -> Command:
        """
        Make a command.

        Raises:
            ProviderError: Its class tells whether nothing was made, or nobody knows.
            OSError: The same.
        """
        return self._read(await self._send("POST", "/commands", body), Command)

    async def get(self, command: str) -> Command | None:
        """Read a command; None when Qubole says that there is none."""
        reply = await self._send("GET", f"/commands/{command}", absent=True)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        found = self._read(reply, Command)
        if str(found.id) != command:
            raise UnclearError(f"qubole: asked for command {command}, it answered with {found.id}")
        return found

    async def kill(self, command: str) -> bool:
        """Ask that a command ends; False when Qubole says that there is none."""
        reply = await self._send("PUT", f"/commands/{command}", {"status": "kill"}, absent=True)
        return reply.status != HTTPStatus.NOT_FOUND

    async def find(self, name: str) -> Sequence[Command]:
        """List the commands of a name, of all users: whose token made it does not matter."""
        query = urlencode({"name": name, "all_users": 1, "per_page": 100})
        listed = self._read(await self._send("GET", f"/commands?{query}"), Page)
        return [one for one in listed.commands if one.name == name]

    async def _send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, absent: bool = False
    ) -> Reply:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers["X-AUTH-TOKEN"] = self.vault.get(TOKEN)
        raw = None if body is None else json.dumps(body).encode()
        reply = await self.transport.request(
            method, self.config.url.rstrip("/") + path, headers=headers, body=raw, timeout=self.config.timeout
        )
        is_absent = absent and reply.status == HTTPStatus.NOT_FOUND
        if is_absent or HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return reply
        told = f"qubole: {method} {path.partition('?')[0]} answered {reply.status}: {excerpt(reply.body, _SHOWN)}"
        if reply.status == _AGAIN:
            raise UnclearError(told)
        error = http_error(reply.status, told, patience_of(reply))
        raise DeniedError(f"{told} (secret {self.config.secret!r})") if isinstance(error, DeniedError) else error

    def _read(self, reply: Reply, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnclearError(
                f"qubole answered {reply.status} with no {kind.__name__}: {excerpt(reply.body, _SHOWN)}"
            ) from error


def made_at(command: Command) -> float:
    """Say when a command was made, Unix seconds; 0 when it does not say. Pure."""
    text = (command.created_at or "").replace(" UTC", "Z").replace(" ", "T")
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError:
        return 0.0
