"""
Opens object stores by what the environment says of them, and keeps them: one for each bucket.

Guarantees:

1. Credentials come from the environment, from files that it names, or from the workload's identity, and are kept by
   the library alone; nothing here can be printed that holds one.
2. A store tries nothing again by itself: ``engine.retries`` does.

Beside each cloud's own variables those count by which flytekit and Flyte 2 are told of an S3-compatible store
(``FLYTE_AWS_ENDPOINT``, ``FLYTE_AWS_ACCESS_KEY_ID``, ``FLYTE_AWS_SECRET_ACCESS_KEY``,
``FLYTE_AWS_S3_ADDRESSING_STYLE``) and of an Azure account (``FLYTE_AZURE_*``), so that one setting serves the engine
and its tasks. Plain HTTP is used only where an endpoint's variable says ``http://``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from airscrew.engine.data.errors import LocationError
from airscrew.engine.data.remote_uri import Container, Kind

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, RetryConfig, S3Config

_AzureField = Literal["account_key", "tenant_id", "client_id", "client_secret"]

_S3_ENDPOINTS = ("FLYTE_AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_GCS_ENDPOINTS = ("STORAGE_EMULATOR_HOST", "GOOGLE_BASE_URL")
_AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
_AZURE_ACCOUNTS = ("FLYTE_AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_NAME")
_AZURE_FIELDS: Mapping[_AzureField, str] = {
    "account_key": "STORAGE_ACCOUNT_KEY",
    "tenant_id": "TENANT_ID",
    "client_id": "CLIENT_ID",
    "client_secret": "CLIENT_SECRET",
}
"""What flytekit is told of an Azure account, by what the library calls it."""

_ANONYMOUS = "anonymous"
"""What is sent to an emulator instead of a token: without one the library would look for the machine's identity."""

CONNECT_SECONDS = 5.0
ONCE: RetryConfig = {"max_retries": 0}


class RemoteStores:
    """
    The stores that were opened.

    Args:
        timeout: Seconds that a request may take.
    """

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._opened: dict[Container, ObjectStore] = {}

    def store(self, container: Container) -> ObjectStore:
        """
        Return the store for a bucket, opened when it is the first time.

        Raises:
            LocationError: A variable is missing or not valid.
            Exception: What the library has against the environment.
        """
        known = self._opened.get(container)
        if known is None:
            known = self._opened[container] = self._open(container)
        return known

    def close(self) -> None:
        """Let go of all stores, and so of their connections."""
        self._opened.clear()

    def _open(self, container: Container) -> ObjectStore:
        match container.kind:
            case Kind.S3:
                return self._open_s3(container)
            case Kind.GCS:
                return self._open_gcs(container)
            case Kind.AZURE:
                return self._open_azure(container)
            case Kind.MEMORY:
                from obstore.store import MemoryStore

                return MemoryStore()

    def _open_s3(self, container: Container) -> ObjectStore:
        from obstore.store import S3Store

        config: S3Config = {}
        endpoint = self._first(_S3_ENDPOINTS)
        virtual = os.environ.get("FLYTE_AWS_S3_ADDRESSING_STYLE") == "virtual"
        if virtual:
            config["virtual_hosted_style_request"] = True
        if endpoint:
            config["endpoint"] = _with_bucket(endpoint, container.name) if virtual else endpoint
        key, secret = (os.environ.get(f"FLYTE_AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        if key and secret:
            config["access_key_id"], config["secret_access_key"] = key, secret
        elif key or secret:
            raise LocationError("give both FLYTE_AWS_ACCESS_KEY_ID and FLYTE_AWS_SECRET_ACCESS_KEY, or neither")
        return S3Store(container.name, config=config, client_options=self._client(endpoint), retry_config=ONCE)

    def _open_gcs(self, container: Container) -> ObjectStore:
        from obstore.store import GCSStore

        config: GCSConfig = {}
        endpoint = self._first(_GCS_ENDPOINTS)
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        if endpoint:
            config["base_url"] = endpoint
        if os.environ.get("STORAGE_EMULATOR_HOST") and not os.environ.get("GOOGLE_BEARER_TOKEN"):
            config["bearer_token"] = _ANONYMOUS
        return GCSStore(container.name, config=config, client_options=self._client(endpoint), retry_config=ONCE)

    def _open_azure(self, container: Container) -> ObjectStore:
        from obstore.store import AzureStore

        account = container.account or self._first(_AZURE_ACCOUNTS)
        if not account:
            raise LocationError(
                f"{container} has no account: write abfs://{container.name}@ACCOUNT.dfs.core.windows.net/..., "
                "or set AZURE_STORAGE_ACCOUNT_NAME"
            )
        config: AzureConfig = {"account_name": account}
        for name, variable in _AZURE_FIELDS.items():
            value = os.environ.get(f"FLYTE_AZURE_{variable}")
            if value:
                config[name] = value
        endpoint = self._first(_AZURE_ENDPOINTS)
        if endpoint:
            config["endpoint"] = endpoint
        return AzureStore(container.name, config=config, client_options=self._client(endpoint), retry_config=ONCE)

    def _first(self, names: tuple[str, ...]) -> str:
        return next((os.environ[name] for name in names if os.environ.get(name)), "").rstrip("/")

    def _client(self, endpoint: str) -> ClientConfig:
        return {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": f"{min(self._timeout, CONNECT_SECONDS):g}s",
            "timeout": f"{self._timeout:g}s",
        }


def _with_bucket(endpoint: str, bucket: str) -> str:
    scheme, _, host = endpoint.rpartition("://")
    return f"{scheme}://{bucket}.{host}"
