# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The package says little of its types; here alone it is touched.
"""
The ``kubernetes`` package: it finds the cluster, and vouches for us there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml

from airscrew.engine.errors import ExecutorError
from airscrew.idl.errors import UsageError

if TYPE_CHECKING:
    import aiohttp
    from kubernetes.aio.client import ApiClient, Configuration


KEEPALIVE_SECONDS = 75.0
"""So long an idle connection is kept: a new one takes both sides milliseconds. The API server keeps it for 90 s."""

_CLOSE_SECONDS = 0.1
"""How long TLS may take to say good-bye on connections whose request was cancelled: aiohttp waits for none of these."""


@dataclass(frozen=True, slots=True)
class Door:
    """
    A cluster, and how it is reached.

    Attributes:
        session: With its certificates.
        host: Its URL, without a slash at the end.
        proxy: On the way; None for none.
        server_name: What its certificate is for, when that is not its host.
    """

    session: aiohttp.ClientSession
    host: str
    proxy: str | None
    server_name: str | None
    _client: ApiClient

    async def authorize(self, headers: dict[str, str]) -> None:
        """Add the token, if there is one; one that runs out is renewed, by the user's exec plug-in too."""
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)


@asynccontextmanager
async def open_door(kubeconfig: str, context: str) -> AsyncIterator[Door]:
    """
    Find a cluster and open a session with it.

    Args:
        kubeconfig: A file; empty for the Pod's own account inside a cluster, else for what KUBECONFIG names.
        context: A context of it; empty for the current one.

    Raises:
        ExecutorError: The package is not installed; says how to install it.
        UsageError: The kubeconfig cannot be read, or there is none and we are in no cluster; one line.
    """
    try:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector
        from kubernetes.aio.client import ApiClient
    except ImportError as error:
        raise ExecutorError("tasks as Pods need the kubernetes package: pip install 'airscrew[kubernetes]'") from error
    configuration = await _configuration(kubeconfig, context)
    configuration.retries = None
    client = ApiClient(configuration)
    # Without a limit: each watch holds a connection.
    connector = TCPConnector(limit=0, ssl=client.rest_client.ssl_context, keepalive_timeout=KEEPALIVE_SECONDS)
    # Trust in the environment would have each request look into ~/.netrc, in a thread: it vouches for nobody here, and
    # an entry there would contradict our token. What is left of it is the proxy, which is found once.
    session = ClientSession(connector=connector, trust_env=False, cookie_jar=DummyCookieJar(), read_bufsize=1 << 21)
    try:
        host = configuration.host.rstrip("/")
        proxy = configuration.proxy or _proxy_of_environment(host)
        yield Door(session, host, proxy, configuration.tls_server_name or None, client)
    finally:
        await session.close()
        await client.close()  # type: ignore[no-untyped-call]
        await asyncio.sleep(_CLOSE_SECONDS)  # the loop may end right after, and closes nothing then


def _proxy_of_environment(host: str) -> str | None:
    """Return the proxy on the way to a URL that the environment names; None for none."""
    parts = urlsplit(host)
    if not parts.hostname or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


async def _configuration(kubeconfig: str, context: str) -> Configuration:
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

    configuration = Configuration()
    inside = not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if inside:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig or None,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, yaml.YAMLError) as error:
        where = "the account of this Pod" if inside else f"the kubeconfig {kubeconfig or 'of KUBECONFIG'}"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{where} cannot be used: {reason}: name another one in kubeconfig") from error
    return configuration
