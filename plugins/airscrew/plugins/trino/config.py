"""
The configuration of ``trino``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


class Password(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which secret holds the user's password, or a JSON web token."""

    secret: str
    group: str = ""


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Where tables are made for the results of queries that say nothing of it: a catalog of Trino's Hive connector.

    Attributes:
        catalog: The catalog.
        schema: A schema there.
        format: Of the files.
    """

    catalog: str
    schema: str
    format: str = "PARQUET"


class TrinoConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What may be set under ``executors.trino``.

    Attributes:
        url: The coordinator, or a gateway.
        user: Whose queries they are.
        password: The user's; for an ``https`` address.
        jwt: A token instead.
        catalog: For tasks that name none.
        schema: For tasks that name none.
        source: What the queries are shown to come from.
        session: Session properties.
        results: Where the results of queries go whose tasks declare some, and that do not write them by themselves.
        interval: How often the next page of a query that only runs is fetched, seconds; Trino gives a query up of which
            nobody asks for ``query.client.timeout``, 5 minutes.
        timeout: How long one request may take, seconds.
        reads_per_second: The most reads in the long run; None for no limit.
        writes_per_second: The most starts and stops in the long run; None for no limit.
        cache_size: How many queries are kept in memory.
    """

    url: str
    user: str
    password: Password | None = None
    jwt: Password | None = None
    catalog: str = ""
    schema: str = ""
    source: str = "airscrew"
    session: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    results: Results | None = None
    interval: float = 5.0
    timeout: float = 20.0
    reads_per_second: float | None = 50.0
    writes_per_second: float | None = 10.0
    cache_size: int = 100_000


LONGEST_INTERVAL = 120.0
"""A query of which nothing is asked for longer may be given up by Trino before the next request gets there."""


def trino_problems(config: TrinoConfig) -> Iterator[str]:
    """Say what is wrong with a configuration beyond its form, each beginning with the key."""
    parts = urlsplit(config.url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.path.strip("/"):
        yield f"url: is {config.url!r}: use an address like https://trino.example.org"
    if config.password is not None and config.jwt is not None:
        yield "jwt: a password is configured as well; use one of them"
    has_credential = config.password is not None or config.jwt is not None
    if parts.scheme == "http" and has_credential and parts.hostname not in _LOOPBACK:
        yield f"url: is {config.url!r}: use https, for the credential goes with each request"
    for name in ("user", "source"):
        if not is_header(getattr(config, name)):
            yield f"{name}: is {getattr(config, name)!r}: use printable ASCII characters"
    if config.password is not None and ":" in config.user:
        yield f"user: is {config.user!r}: a user who has a password has no colon in the name"
    for name, text in config.session.items():
        if not is_header(name) or set("=,") & set(name) or not text:
            yield f"session: holds {name!r}: use names as SET SESSION has them, each with a value"
    for name in ("interval", "timeout", "reads_per_second", "writes_per_second"):
        value = getattr(config, name)
        if value is not None and value <= 0:
            yield f"{name}: is {value:g}: use more than 0"
    if config.interval > LONGEST_INTERVAL:
        yield f"interval: is {config.interval:g}: use {LONGEST_INTERVAL:g} at most, or Trino gives queries up"


def is_header(text: str) -> bool:
    """Tell whether a text can be the value of a header. Pure."""
    return _HEADER.fullmatch(text) is not None
