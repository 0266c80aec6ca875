"""
The configuration: ``executors.qubole``. Whatever is wrong with it is found when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from airscrew.plugins.settings import read_settings

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    All of it.

    Attributes:
        secret: The key of the secret that holds the API token; the value is never written here.
        group: The secret's group.
        url: The address of the API, with its version.
        cluster: The label of the cluster for tasks that name none; empty for Qubole's default.
        interval: Seconds between two reads of a command.
        timeout: Seconds for one request.
        settle: After so many seconds a command is listed for certain; until then a lost start is in doubt.
        reads_per_second: The most requests that read, in the long run.
        writes_per_second: The most requests that make or stop a command.
    """

    secret: str
    group: str = ""
    url: str = "https://api.qubole.com/api/v1.2"
    cluster: str = ""
    interval: float = 10.0
    timeout: float = 30.0
    settle: float = 60.0
    reads_per_second: float = 10.0
    writes_per_second: float = 5.0


def read_config(raw: Mapping[str, object]) -> Config:
    """
    Read and check the configuration.

    Raises:
        UsageError: One line that names what is wrong and where.
    """
    return read_settings("qubole", raw, Config, _problems)


def console_of(url: str, command: str) -> str:
    """Give the address at which a person sees a command. Pure."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/v2/analyze?command_id={command}"


def _problems(config: Config) -> Iterator[str]:
    parts = urlsplit(config.url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query:
        yield f"url: is {config.url!r}: use an address like https://api.qubole.com/api/v1.2"
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        yield f"url: is {config.url!r}: use https, for the token goes with each request"
    if not config.secret:
        yield "secret: is empty: name the secret that holds the API token"
    for name in ("interval", "timeout", "settle", "reads_per_second", "writes_per_second"):
        if getattr(config, name) <= 0:
            yield f"{name}: is {getattr(config, name):g}: use more than 0"
