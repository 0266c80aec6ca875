"""
Where an engine listens and is found: a Unix socket beside its store, or a port with a token.

Guarantees: a socket lies in a folder of mode 0700 that is ours; a path that is too long for a socket leads, by a
symbolic link, to a short one in a private folder; a token file is nobody else's to read.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from airscrew.idl.errors import UsageError

SOCKET_PATH_LIMIT = 107
"""Bytes that a Unix socket's address holds on Linux."""

_PRIVATE = 0o700
_OPEN_TO_OTHERS = 0o037
"""What a token file may not allow: a group may read it, as that of a mounted secret does."""

_TLS = "tls://"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket; the path may be longer than a socket's address can be."""

    path: Path

    @override
    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """
    A port; 0 for any free one.

    Attributes:
        host: A name or an address.
        port: Its number.
        tls: Whether it was named as one that speaks TLS.
    """

    host: str
    port: int
    tls: bool = False

    @property
    def endpoint(self) -> str:
        """``HOST:PORT``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beyond this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @override
    def __str__(self) -> str:
        return f"{_TLS}{self.endpoint}" if self.tls else self.endpoint


Address = UnixAddress | TcpAddress


def parse_address(text: str) -> Address:
    """
    Read ``unix:PATH``, ``HOST:PORT`` or ``tls://HOST:PORT``.

    Raises:
        UsageError: It is neither.
    """
    if text.startswith("unix:"):
        return UnixAddress(Path(text.removeprefix("unix:").removeprefix("//")).absolute())
    try:
        host, port = split_port(text.removeprefix(_TLS))
    except UsageError as error:
        raise UsageError(f"{error}, or unix:PATH") from None
    return TcpAddress("127.0.0.1" if host == "localhost" else host, port, tls=text.startswith(_TLS))


def split_port(text: str) -> tuple[str, int]:
    """
    Read ``HOST:PORT``.

    Raises:
        UsageError: It is not.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or "/" in host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise UsageError(f"address {text!r} is not valid: use HOST:PORT, as 127.0.0.1:8787")
    return host, int(port)


def socket_beside(store: Path) -> UnixAddress:
    """Return where the engine of a store file listens."""
    return UnixAddress(store.absolute().parent / "run" / f"{store.stem}.sock")


def prepare_socket(address: UnixAddress) -> Path:
    """
    Make ready the folder of a socket and return the path to bind, which is short enough.

    Raises:
        UsageError: The folder belongs to somebody else or is open to others.
    """
    private_folder(address.path.parent)
    if len(os.fsencode(address.path)) <= SOCKET_PATH_LIMIT:
        if address.path.is_symlink():
            address.path.unlink()
        return address.path
    short = private_folder(_runtime_folder()) / f"{_digest(address.path)}.sock"
    link = address.path.with_name(f"{address.path.name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(short)
    link.replace(address.path)
    return short


def find_socket(address: UnixAddress) -> Path | None:
    """
    Return the path to connect to, or None when there is no socket.

    Raises:
        UsageError: The folder that the socket lies in belongs to somebody else or is open to others.
    """
    path = address.path.readlink() if address.path.is_symlink() else address.path
    if not path.exists():
        return None
    _check_private(path.parent)
    return path


def is_answering(address: UnixAddress) -> bool:
    """Tell whether a process listens on the socket: one connection on this machine, which does not wait."""
    path = find_socket(address)
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fsencode(path))
        except OSError:
            return False
    return True


def private_folder(folder: Path) -> Path:
    """
    Make a folder of mode 0700, or check that an existing one is ours alone.

    Raises:
        UsageError: It is not.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=_PRIVATE)
    except FileExistsError:
        _check_private(folder)
    return folder


def _check_private(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise UsageError(f"{folder} is not a folder of this user: remove it, or set AIRSCREW_HOME to another place")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UsageError(f"{folder} is open to other users: chmod 700 {folder}")


def _runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and Path(base).is_dir() and len(os.fsencode(base)) <= SOCKET_PATH_LIMIT - 50:
        return Path(base) / "airscrew"
    return Path(f"/tmp/airscrew-{os.geteuid()}")  # noqa: S108 - its owner and mode are checked


def _digest(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=10).hexdigest()


def make_token(file: Path) -> str:
    """
    Read the token that clients must show, after making the file, mode 0600, if it is not there.

    Raises:
        UsageError: The file is open to others, empty, or cannot be read or made.
    """
    if not file.exists():
        try:
            _write_token(file)
        except OSError as error:
            raise UsageError(f"token file {file} cannot be made: {error.strerror}") from error
    return read_own_token(file)


def read_own_token(file: Path) -> str:
    """
    Read the token that clients must show.

    Raises:
        UsageError: The file is open to others, empty or cannot be read.
    """
    token = read_token(file)
    if stat.S_IMODE(file.stat().st_mode) & _OPEN_TO_OTHERS:
        raise UsageError(f"token file {file} is open to other users: chmod 600 {file}")
    return token


def _write_token(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def read_token(file: Path) -> str:
    """
    Read a token.

    Raises:
        UsageError: There is none.
    """
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"token file {file} cannot be read: {error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(f"token file {file} holds no token")
    return token
