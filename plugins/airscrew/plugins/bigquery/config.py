"""
The configuration of ``bigquery``.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which secret holds the JSON of a service account's key."""

    secret: str
    group: str = ""


class BigQueryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What may be set under ``executors.bigquery``.

    Attributes:
        project: For tasks that name none.
        location: For tasks that name none.
        endpoint: An address instead of Google's.
        key: A service account's key; by default what every Google client finds by itself.
        anonymous: No credentials at all, for an emulator.
        scopes: What the credentials are asked for.
        batch: How many jobs one request reads; 1 to read each by itself.
        interval: How often each job is read, seconds.
        timeout: How long one request may take, seconds.
        reads_per_second: The most reads in the long run.
        writes_per_second: The most starts and stops in the long run.
        cache_size: How many jobs are kept in memory.
    """

    project: str = ""
    location: str = ""
    endpoint: str = "https://bigquery.googleapis.com"
    key: Key | None = None
    anonymous: bool = False
    scopes: tuple[str, ...] = ("https://www.googleapis.com/auth/bigquery",)
    batch: int = 100
    interval: float = 10.0
    timeout: float = 20.0
    reads_per_second: float | None = 10.0
    writes_per_second: float | None = 10.0
    cache_size: int = 100_000


def bigquery_problems(config: BigQueryConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form, each beginning with the key."""
    for name in ("interval", "timeout", "reads_per_second", "writes_per_second"):
        value = getattr(config, name)
        if value is not None and value <= 0:
            yield f"{name} must be above 0"
    if not 1 <= config.batch <= LIST_SIZE:
        yield f"batch must be from 1 to {LIST_SIZE}"
    if not config.endpoint.startswith(("http://", "https://")):
        yield f"endpoint must begin with http:// or https://: {config.endpoint!r}"
    if config.anonymous and config.key is not None:
        yield "anonymous: a key is configured as well"


LIST_SIZE = 1000
"""So many jobs of a project one request lists at most."""
