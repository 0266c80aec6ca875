"""
What the configuration of every executor of an Amazon service may say.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from airscrew.plugins.webapi import SecretRef

ACCESS_KEY = "access_key_id"
SECRET_KEY = "secret_access_key"  # noqa: S105 - what the secret is called, not what it is
SESSION_TOKEN = "session_token"  # noqa: S105 - the same


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Where a pair of keys lies as secrets.

    Attributes:
        access_key_id: The secret with the key's id.
        secret_access_key: The secret with the key.
        session_token: The secret with a session's token; empty without one.
        group: The group of all of them.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    group: str = ""


class AwsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What all have in common.

    Attributes:
        region: The region; by default where every Amazon client looks for it.
        endpoint: An address instead of the service's own.
        credentials: Secrets; by default what every Amazon client finds by itself.
        interval: How often each job is read, seconds.
        timeout: How long one request may take, seconds.
        reads_per_second: The most reads in the long run.
        writes_per_second: The most starts and stops in the long run.
        cache_size: How many jobs are kept in memory.
    """

    region: str = ""
    endpoint: str = ""
    credentials: Credentials | None = None
    interval: float = 10.0
    timeout: float = 20.0
    reads_per_second: float | None = 10.0
    writes_per_second: float | None = 10.0
    cache_size: int = 100_000


def aws_problems(config: AwsConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form, each beginning with the key."""
    for name in ("interval", "timeout", "reads_per_second", "writes_per_second"):
        value = getattr(config, name)
        if value is not None and value <= 0:
            yield f"{name} must be above 0"
    if config.endpoint and not config.endpoint.startswith(("http://", "https://")):
        yield f"endpoint must begin with http:// or https://: {config.endpoint!r}"


def secrets_of(credentials: Credentials | None) -> dict[str, SecretRef]:
    """Say which secrets a plugin needs for its credentials."""
    if credentials is None:
        return {}
    named = {
        ACCESS_KEY: credentials.access_key_id,
        SECRET_KEY: credentials.secret_access_key,
        SESSION_TOKEN: credentials.session_token,
    }
    return {name: SecretRef(key, credentials.group) for name, key in named.items() if key}
