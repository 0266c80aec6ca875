"""
Commands over SSH, by ``asyncssh``: one connection a cluster, opened when it is needed and kept.

Guarantees: the host must be known by its key; the private key stays in memory; each word of a command is quoted.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airscrew.engine.errors import ExecutorError
from airscrew.plugins.slurm.config import Cluster
from airscrew.plugins.slurm.shell import GRACE_SECONDS, Finished, Shell
from airscrew.plugins.webapi import DeniedError, UnclearError, UnreachableError, Vault

if TYPE_CHECKING:
    import asyncssh

PRIVATE_KEY = "private_key"
"""What a cluster's one secret is called in the vault."""

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15.0


class SshShell(Shell):
    """
    Runs commands on a cluster's host.

    Args:
        cluster: How it is reached.
        vault: Holds the private key, once a call's context has given it.

    Raises:
        ExecutorError: asyncssh is not installed; says how to install it.
    """

    def __init__(self, cluster: Cluster, vault: Vault) -> None:
        try:
            import_module("asyncssh")
        except ImportError as error:
            raise ExecutorError("slurm over SSH needs asyncssh: pip install 'airscrew[slurm]'") from error
        self._cluster = cluster
        self._vault = vault
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None

    @override
    async def run(self, words: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        import asyncssh

        connection = await self._connected()
        try:
            async with asyncio.timeout(timeout + GRACE_SECONDS):
                done = await connection.run(shlex.join(words), input=stdin, encoding=None, check=False)
        except TimeoutError as error:
            raise UnclearError(f"no answer from {self._cluster.host} within {timeout:g} s") from error
        except (asyncssh.Error, OSError) as error:
            await self._drop(connection)
            raise UnclearError(f"the connection to {self._cluster.host} broke: {error}") from error
        if done.returncode is None:
            await self._drop(connection)
            raise UnclearError(f"the connection to {self._cluster.host} broke before the answer")
        return Finished(done.returncode, _text(done.stdout), _text(done.stderr))

    @override
    async def close(self) -> None:
        if self._connection is not None:
            await self._drop(self._connection)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._lock:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        import asyncssh

        where = f"{self._cluster.host}:{self._cluster.port}"
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncssh.connect(self._cluster.host, self._cluster.port, **self._options())
        except asyncssh.PermissionDenied as error:
            raise DeniedError(f"{where} does not let us in: {error}") from error
        except asyncssh.KeyImportError as error:
            raise DeniedError(f"the private key for {where} cannot be read: {error}") from error
        except TimeoutError as error:
            raise UnreachableError(f"no connection to {where} within {_CONNECT_SECONDS:g} s") from error
        except (asyncssh.Error, OSError) as error:
            raise UnreachableError(f"no connection to {where}: {error}") from error

    def _options(self) -> dict[str, Any]:  # Any: these are the library's keywords
        import asyncssh

        options: dict[str, Any] = {"keepalive_interval": _KEEPALIVE_SECONDS, "config": None}
        if self._cluster.user:
            options["username"] = self._cluster.user
        if self._cluster.known_hosts:
            options["known_hosts"] = self._cluster.known_hosts
        if self._cluster.private_key is not None:
            options["client_keys"] = [asyncssh.import_private_key(self._vault.get(PRIVATE_KEY))]
            options["agent_path"] = None
        return options

    async def _drop(self, connection: asyncssh.SSHClientConnection) -> None:
        connection.abort()
        if self._connection is connection:
            self._connection = None
        await connection.wait_closed()


def _text(raw: object) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw or "")
