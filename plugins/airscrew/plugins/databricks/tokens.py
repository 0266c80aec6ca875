"""
What requests to Databricks carry: a personal access token, or one that a service principal gets for its secret.

Guarantees:

1. One renewal at a time; a token is renewed before it ends, and after Databricks has refused it.
2. A renewal that fails says that nothing was sent: the request that needs the token has not been made.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from airscrew.engine.clock import Clock
from airscrew.plugins.databricks.config import DatabricksConfig
from airscrew.plugins.http_transport import Transport
from airscrew.plugins.webapi import DeniedError, UnreachableError, Vault

SECRET = "secret"  # noqa: S105 - what the vault calls it
_OK = 200
_REFUSALS = frozenset({400, 401, 403})
_EARLY_SECONDS = 120.0
_MOST_SECONDS = 3600.0


class Grant(msgspec.Struct, frozen=True):
    """What the workspace answers to a service principal."""

    access_token: str
    expires_in: float = _MOST_SECONDS


@dataclass(slots=True, kw_only=True)
class Tokens:
    """
    Gives tokens; see the module's guarantees.

    Attributes:
        config: Says which credential.
        transport: What sends requests.
        vault: Holds the secret, once a call's context has given it.
        clock: The time.
    """

    config: DatabricksConfig
    transport: Transport
    vault: Vault
    clock: Clock
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _token: str = field(default="", repr=False)
    _made_of: str = field(default="", repr=False)
    _good_until: float = 0.0

    async def token(self) -> str:
        """
        Return a token that is good now.

        Raises:
            DeniedError: The workspace gives none for the secret.
            UnreachableError: None can be had now.
        """
        secret = self.vault.get(SECRET)
        if self.config.oauth is None:
            return secret
        async with self._lock:
            if self._made_of != secret or self.clock.monotonic() >= self._good_until:
                grant = await self._granted(self.config.oauth.client_id, secret)
                self._token, self._made_of = grant.access_token, secret
                self._good_until = self.clock.monotonic() + min(grant.expires_in, _MOST_SECONDS) - _EARLY_SECONDS
            return self._token

    def forget(self) -> None:
        """Ask for another token at the next call: this one was not taken."""
        self._made_of = ""

    async def _granted(self, client_id: str, secret: str) -> Grant:
        pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"grant_type": "client_credentials", "scope": "all-apis"}).encode()
        url = f"{self.config.url.rstrip('/')}/oidc/v1/token"
        try:
            reply = await self.transport.request("POST", url, headers=headers, body=body, timeout=self.config.timeout)
        except OSError as error:
            raise UnreachableError(f"databricks: no token can be had: {error}") from error
        if reply.status in _REFUSALS:
            raise DeniedError(f"databricks: service principal {client_id} gets no token: status {reply.status}")
        if reply.status != _OK:
            raise UnreachableError(f"databricks: no token can be had: status {reply.status}")
        try:
            return msgspec.json.decode(reply.body, type=Grant)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UnreachableError("databricks: no token can be had: the answer holds none") from None
