"""
The address of an etcd, as one line without a secret in it: pure.

``etcd://HOST:PORT[,HOST:PORT]/PREFIX`` without TLS and ``etcds://...`` with it. All keys lie below the prefix
(``/airscrew`` when none is named), so that several installations may share an etcd. What else there is to say
follows as a query::

    ca=FILE              the certificates that the servers' are checked against; else the system's
    cert=FILE, key=FILE  what the client shows; always both
    server-name=NAME     what the servers' certificates are made out to, when it is not the host
    user=NAME            who logs in; its password is never part of the address:
    password-file=FILE   where it is read from, again at each login
    password-env=NAME    or which variable holds it; else ``AIRSCREW_ETCD_PASSWORD``
    quota=BYTES          etcd's quota, for an etcd before 3.6, which does not tell it; else 2 GiB
    compact=off          let somebody else compact etcd's history
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from typing_extensions import override

from airscrew.idl.errors import UsageError

DEFAULT_PORT = 2379
DEFAULT_PREFIX = "/airscrew"
DEFAULT_QUOTA_BYTES = 2 * 1024**3
PASSWORD_VARIABLE = "AIRSCREW_ETCD_PASSWORD"  # noqa: S105  # its name, not its value

_TLS_WORDS = frozenset({"ca", "cert", "key", "server-name"})
_WORDS = _TLS_WORDS | {"user", "password-file", "password-env", "quota", "compact"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdAddress:
    """
    Where an etcd is and how to be let in.

    Attributes:
        endpoints: ``host:port`` of its members; any of them will do.
        prefix: What all keys begin with; ends in a slash.
        tls: Whether connections are encrypted.
        ca: The file of certificates to trust; empty for the system's.
        cert: The file of the client's certificate; empty for none.
        key: The file of its key.
        server_name: What the servers' certificates are made out to; empty for the host.
        user: Who logs in; empty for nobody.
        password_file: The file of the password; empty for the variable.
        password_env: The variable of the password.
        quota_bytes: The quota of an etcd that does not tell its own.
        compacts: Whether the store compacts etcd's history.
    """

    endpoints: tuple[str, ...]
    prefix: str = DEFAULT_PREFIX + "/"
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    user: str = ""
    password_file: str = ""
    password_env: str = PASSWORD_VARIABLE
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    compacts: bool = True

    @classmethod
    def parse(cls, url: str) -> Self:
        """
        Read an address.

        Raises:
            UsageError: It is none, or holds a password.
        """
        parts = _split(url)
        tls = parts.scheme == "etcds"
        words = _query(parts.query)
        if not tls and (idle := sorted(_TLS_WORDS & words.keys())):
            raise UsageError(f"{idle[0]}= has no use in an address without TLS: write etcds://, or leave it out")
        if ("cert" in words) != ("key" in words):
            raise UsageError("a client's certificate takes both, cert=FILE and key=FILE")
        if "password-file" in words and "password-env" in words:
            raise UsageError("name one of password-file= and password-env=, not both")
        prefix = "/" + parts.path.strip("/")
        return cls(
            endpoints=tuple(_endpoint(host) for host in parts.netloc.split(",")),
            prefix=(DEFAULT_PREFIX if prefix == "/" else prefix) + "/",
            tls=tls,
            ca=words.get("ca", ""),
            cert=words.get("cert", ""),
            key=words.get("key", ""),
            server_name=words.get("server-name", ""),
            user=words.get("user", ""),
            password_file=words.get("password-file", ""),
            password_env=words.get("password-env", PASSWORD_VARIABLE),
            quota_bytes=_bytes(words.get("quota")),
            compacts=_switch(words.get("compact")),
        )

    @override
    def __str__(self) -> str:
        return f"etcd{'s' * self.tls}://{','.join(self.endpoints)}{self.prefix.rstrip('/')}"

    def password(self, environment: Mapping[str, str]) -> str:
        """
        Fetch the password.

        Raises:
            UsageError: It is not where it should be.
        """
        if self.password_file:
            try:
                return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the password file {self.password_file} cannot be read: {_why(error)}") from error
        found = environment.get(self.password_env)
        if not found:
            raise UsageError(
                f"no password for the etcd user {self.user!r}: set {self.password_env}, or name password-file=FILE"
            )
        return found


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError("no etcd address: write etcd://HOST:PORT/PREFIX") from error
    if parts.scheme not in {"etcd", "etcds"} or not parts.netloc or parts.fragment:
        raise UsageError("no etcd address: write etcd://HOST:PORT[,HOST:PORT]/PREFIX, or etcds:// for TLS")
    if "@" in parts.netloc:
        raise UsageError(
            f"an etcd address holds no user and password before {parts.netloc.rpartition('@')[2]}: write ?user=NAME, "
            f"and leave the password in {PASSWORD_VARIABLE} or in password-file=FILE"
        )
    return parts


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise UsageError("the query of the etcd address is not NAME=VALUE&NAME=VALUE") from error
    words = dict(pairs)
    for word, value in pairs:
        if word not in _WORDS:
            hint = "; a password is named by password-file= or password-env=" if "pass" in word else ""
            raise UsageError(f"an etcd address knows no {word}=, only {', '.join(sorted(_WORDS))}{hint}")
        if not value:
            raise UsageError(f"{word}= is empty in the etcd address")
    if len(words) < len(pairs):
        raise UsageError("the query of the etcd address names something twice")
    return words


def _endpoint(text: str) -> str:
    """Check one ``host:port`` and return it with its port."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise UsageError(f"{text!r} is no HOST:PORT of an etcd")
    return f"[{host}]:{port or DEFAULT_PORT}" if ":" in host else f"{host}:{port or DEFAULT_PORT}"


def _bytes(text: str | None) -> int:
    if text is None:
        return DEFAULT_QUOTA_BYTES
    if not text.isdecimal() or not int(text):
        raise UsageError(f"quota= is a number of bytes, not {text!r}")
    return int(text)


def _switch(text: str | None) -> bool:
    if text not in {None, "on", "off"}:
        raise UsageError(f"compact= is on or off, not {text!r}")
    return text != "off"


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
