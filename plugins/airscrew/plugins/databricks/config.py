"""
The configuration of ``databricks``.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

LIST_SIZE = 24
"""So many runs one request lists: Databricks wants less than 25."""

TOKEN_SECONDS = 50 * 86400.0
"""A token is known as long as its run, and runs are removed after 60 days."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which secret holds a personal access token."""

    secret: str
    group: str = ""


class Principal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service principal, and which secret holds its OAuth secret."""

    client_id: str
    secret: str
    group: str = ""


class Entrypoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What runs a Python task that brings nothing of its own; by default the same as with flytekit's connector.

    Attributes:
        git_url, git_provider, git_commit: Where it is.
        python_file: The file, for clusters.
        serverless_python_file: The file, for serverless compute.
    """

    git_url: str = "https://github.com/flyteorg/flytetools"
    git_provider: str = "gitHub"
    git_commit: str = "572298df1f971fb58c258398bd70a6372f811c96"
    python_file: str = "flytekitplugins/databricks/entrypoint.py"
    serverless_python_file: str = "flytekitplugins/databricks/entrypoint_serverless.py"


class DatabricksConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What may be set under ``executors.databricks``.

    Attributes:
        url: The workspace, ``https://….cloud.databricks.com``; the only one that gets the credential.
        token: A personal access token.
        oauth: A service principal instead.
        entrypoint: What runs Python tasks.
        credential_provider: The service credential that serverless Python tasks reach storage with.
        batch: How many runs one request reads; 1 to read each by itself.
        interval: How often each run is read, seconds.
        timeout: How long one request may take, seconds.
        reads_per_second: The most reads in the long run.
        writes_per_second: The most starts and stops in the long run.
        cache_size: How many runs are kept in memory.
    """

    url: str
    token: Token | None = None
    oauth: Principal | None = None
    entrypoint: Entrypoint = Entrypoint()
    credential_provider: str = ""
    batch: int = LIST_SIZE
    interval: float = 10.0
    timeout: float = 20.0
    reads_per_second: float | None = 10.0
    writes_per_second: float | None = 10.0
    cache_size: int = 100_000


def databricks_problems(config: DatabricksConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form, each beginning with the key."""
    parts = urlsplit(config.url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.path.strip("/"):
        yield f"url: is {config.url!r}: use an address like https://acme.cloud.databricks.com"
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        yield f"url: is {config.url!r}: use https, for the token goes with each request"
    if (config.token is None) == (config.oauth is None):
        yield "token: name the secret of a token here, or of a service principal by oauth; one of them"
    for name in ("interval", "timeout", "reads_per_second", "writes_per_second"):
        value = getattr(config, name)
        if value is not None and value <= 0:
            yield f"{name}: is {value:g}: use more than 0"
    if not 1 <= config.batch <= LIST_SIZE:
        yield f"batch: is {config.batch}: use 1 to {LIST_SIZE}"


def host_of(url: str) -> str:
    """Return what a task calls a workspace, its host and port in lower case. Pure."""
    return urlsplit(url if "://" in url else f"https://{url}").netloc.lower()
