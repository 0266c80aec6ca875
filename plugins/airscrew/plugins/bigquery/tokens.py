# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# The library says little of its types; here alone it is touched.
"""
Access tokens by ``google-auth``: from a service account's key, or from where every Google client looks.

Guarantees:

1. The library waits for networks and files in a thread of its own, never on the loop; one renewal at a time.
2. A renewal that fails says that nothing was sent: the request that needs the token has not been made.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.bigquery.config import BigQueryConfig
from airscrew.plugins.webapi import DeniedError, UnreachableError, Vault
from airscrew.plugins.webapi.threads import DaemonThreads

KEY = "key"
"""What the key is called in the vault."""


class Tokens:
    """
    Gives tokens; see the module's guarantees.

    Args:
        config: Says which credentials.
        vault: Holds the key, once a call's context has given it.
    """

    def __init__(self, config: BigQueryConfig, vault: Vault) -> None:
        self._config = config
        self._vault = vault
        self._threads = DaemonThreads("bigquery tokens")
        self._lock = asyncio.Lock()
        self._credentials: Any = None
        self._made_of = ""

    async def token(self) -> str:
        """
        Return a token that is good now; empty for an anonymous client.

        Raises:
            ExecutorError: ``google-auth`` is not installed; says how to install it.
            DeniedError: There are no credentials, or Google does not take them.
            UnreachableError: They cannot be had now.
        """
        if self._config.anonymous:
            return ""
        async with self._lock:
            key = self._vault.get(KEY)
            if self._credentials is None or key != self._made_of or not self._credentials.valid:
                loop = asyncio.get_running_loop()
                self._credentials = await loop.run_in_executor(self._threads, self._renewed, key)
                self._made_of = key
            return str(self._credentials.token)

    def forget(self) -> None:
        """Ask for another token at the next call: this one was not taken."""
        self._credentials = None

    def _renewed(self, key: str) -> Any:  # noqa: ANN401 - of a library without types
        try:
            from google.auth import exceptions
            from google.auth.transport.requests import Request
        except ImportError as error:
            raise ExecutorError("the executor bigquery needs google-auth: pip install 'airscrew[google]'") from error
        try:
            credentials = self._credentials
            if credentials is None or key != self._made_of:
                credentials = self._made(key)
            credentials.refresh(Request())
        except exceptions.TransportError as error:
            raise UnreachableError(f"bigquery: no token can be had: {error}") from error
        except (exceptions.GoogleAuthError, ValueError) as error:
            raise DeniedError(f"bigquery: no token can be had: {type(error).__name__}: {error}") from None
        return credentials

    def _made(self, key: str) -> Any:  # noqa: ANN401 - of a library without types
        import google.auth
        from google.oauth2 import service_account

        scopes = list(self._config.scopes)
        if self._config.key is None:
            return google.auth.default(scopes=scopes)[0]
        kind: Any = service_account.Credentials
        return kind.from_service_account_info(json.loads(key), scopes=scopes)
