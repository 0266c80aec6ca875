# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# The library says little of its types; in this package alone it is touched.
"""
Requests to one Amazon service.

Guarantees:

1. A call is one request, built, signed and read from Amazon's model; the library's own repetitions are off.
2. What it raises says whether nothing was done (``webapi.errors``), and holds neither the secret key nor the session's
   token: Amazon's answer to a wrong signature quotes what was signed.
3. Keys that were replaced are used at the next call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from airscrew.engine.errors import ExecutorError
from airscrew.idl.errors import UsageError
from airscrew.plugins.aws.config import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, AwsConfig
from airscrew.plugins.aws.errors import told
from airscrew.plugins.aws.session import session_class
from airscrew.plugins.http_transport import Transport
from airscrew.plugins.webapi import Vault

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

Answer = Mapping[str, object]


class _Client(Protocol):
    """What is used of a client of ``aiobotocore``, which has no types of its own."""

    _request_signer: Any

    async def __aenter__(self) -> _Client: ...

    async def __aexit__(self, *error: object) -> None: ...


@dataclass(slots=True, kw_only=True)
class AwsClient:
    """
    Talks to one service.

    Attributes:
        executor: Whose it is.
        service: Amazon's name of the service.
        config: Its configuration.
        vault: Holds the values of its secrets, once a call's context has given them.
        transport: What sends requests; closed by whoever opened it.
    """

    executor: str
    service: str
    config: AwsConfig
    vault: Vault
    transport: Transport
    _session: AioSession | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _client: _Client | None = None
    _keys: tuple[str, ...] = ()

    async def open(self, stack: AsyncExitStack) -> None:
        """
        Load the service's model; closed by the stack.

        Raises:
            ExecutorError: ``aiobotocore`` is not installed; says how to install it.
            UsageError: No region is known; names the key.
        """
        try:
            from aiobotocore.session import get_session
        except ImportError as error:
            raise ExecutorError(
                f"the executor {self.executor} needs aiobotocore: pip install 'airscrew[aws]'"
            ) from error
        self._session = get_session()
        stack.push_async_callback(self.close)
        if not self.region:
            raise UsageError(f"executors.{self.executor}.region: no region is set, and the environment names none")
        if self.config.credentials is None:
            await self._connected()

    @property
    def region(self) -> str:
        """The region, as configured or found in the environment."""
        assert self._session is not None
        found: object = self.config.region or self._session.get_config_variable("region")
        return found if isinstance(found, str) else ""

    async def close(self) -> None:
        """Close the client; the next call opens it again."""
        self._client, self._keys = None, ()
        await self._stack.aclose()

    async def call(self, operation: str, **parameters: object) -> Answer:
        """
        Make one request.

        Args:
            operation: As the library calls it, ``start_query_execution``.
            parameters: As Amazon's model has them.

        Raises:
            ProviderError: Its class tells whether nothing was done, or nobody knows.
            OSError: The same.
        """
        try:
            client = await self._connected()
            ask: Callable[..., Awaitable[Answer]] = getattr(client, operation)
            return await ask(**parameters)
        except Exception as error:
            plain = await self._plain(f"{self.executor}: {operation}", error)
            if plain is error:
                raise
            raise plain from None  # the original's text may hold what was signed

    async def _connected(self) -> _Client:
        keys = tuple(self.vault.get(name) for name in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN))
        if self._client is None or keys != self._keys:
            await self.close()
            self._client, self._keys = await self._stack.enter_async_context(self._make(keys)), keys
        return self._client

    def _make(self, keys: tuple[str, ...]) -> _Client:
        from aiobotocore.config import AioConfig

        assert self._session is not None
        access, secret, token = (value or None for value in keys)
        made = self._session.create_client(
            self.service,
            region_name=self.region,
            endpoint_url=self.config.endpoint or None,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=AioConfig(
                retries={"total_max_attempts": 1},
                http_session_cls=session_class(self.transport, self.config.timeout),
                user_agent_extra="airscrew",
            ),
        )
        return cast("_Client", made)

    async def _plain(self, request: str, error: Exception) -> Exception:
        plain = told(request, error)
        text = str(plain)
        for value in await self._signing_secrets():
            text = text.replace(value, "***")
        if text != str(plain):
            plain.args = (text,)
        return plain

    async def _signing_secrets(self) -> list[str]:
        """Return what signs requests, by whichever way it was found; empty when there is none."""
        credentials = getattr(getattr(self._client, "_request_signer", None), "_credentials", None)
        if credentials is None:
            return []
        try:
            frozen = await credentials.get_frozen_credentials()
        except Exception:  # noqa: BLE001 - it is the error that is being told already
            return []
        return [value for value in (frozen.secret_key, frozen.token) if value]
