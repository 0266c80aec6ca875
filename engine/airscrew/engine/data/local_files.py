"""
Files of this machine, without any library between.

Guarantees:

1. A write is whole or not there: the bytes go to a file beside, which is then renamed.
2. A durable write survives a crash of the machine once the call has returned; any other one survives a crash of the
   process.
3. Folders on the way are made by a write, and by nothing else.

A ``file:`` URI is percent-encoded, as RFC 8089 has it; a plain absolute path stands for itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from urllib.parse import quote, unquote
from uuid import uuid4

from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    SizeExceededError,
    StorageDeniedError,
    StorageUnavailableError,
    shown,
)

_UNFINISHED = ".part"
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NEVER = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EEXIST})


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A file in a listing.

    Attributes:
        name: Its name below the location that was listed.
        uri: Its own location.
        size: Its size in bytes.
    """

    name: str
    uri: str
    size: int


def is_local(uri: str) -> bool:
    """Tell whether the URI names a file of this machine."""
    return uri.startswith("/") or uri[:5].lower() == "file:"


def local_path(uri: str) -> Path:
    """
    Give the path that a ``file:`` URI or an absolute path names.

    Raises:
        LocationError: It names another machine, or no absolute path.
    """
    text = uri
    if uri[:5].lower() == "file:":
        text = unquote(uri[5:])
        if text.startswith("//"):
            host, slash, rest = text[2:].partition("/")
            if host not in {"", "localhost"}:
                raise LocationError(f"{shown(uri)} names the machine {host!r}: write file:///path")
            text = slash + rest
    if not text.startswith("/") or "\0" in text:
        raise LocationError(f"{shown(uri)} is no absolute path")
    return Path(text)


def size_of(uri: str) -> int:
    """
    Give a file's size.

    Raises:
        FileMissingError: There is no such file.
    """
    with _classified(uri):
        return local_path(uri).stat().st_size


def read(uri: str, limit: int) -> bytes:
    """
    Read a whole file.

    Raises:
        FileMissingError: There is no such file.
        SizeExceededError: It is larger than the limit.
    """
    with _classified(uri), local_path(uri).open("rb") as file:
        data = file.read(limit + 1)
        if len(data) > limit:
            raise SizeExceededError(uri, max(os.fstat(file.fileno()).st_size, len(data)), limit)
        return data


def write(uri: str, data: bytes, *, durable: bool) -> None:
    """Write a whole file and the folders on the way."""
    path = local_path(uri)
    with _classified(uri):
        try:
            _replace(path, data, durable=durable)
        except FileNotFoundError:
            _make_folders(path.parent, durable=durable)
            _replace(path, data, durable=durable)


def exists(uri: str) -> bool:
    """Tell whether there is such a file."""
    with _classified(uri):
        return local_path(uri).is_file()


def entries(uri: str) -> list[Entry]:
    """List the files right below a folder by name; none when there is no such folder."""
    base = uri.rstrip("/")
    with _classified(uri):
        try:
            with os.scandir(local_path(uri)) as listing:
                found = [_entry(base, item) for item in listing if not item.name.endswith(_UNFINISHED)]
        except FileNotFoundError:
            return []
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.name)


def entries_below(uri: str) -> list[Entry]:
    """List the files below a folder by their paths from there, links to folders apart; none when there is none."""
    base, root = uri.rstrip("/"), local_path(uri)
    found: list[Entry] = []
    with _classified(uri):
        for folder, _, names in os.walk(root, onerror=_raise_unless_gone):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # it went away since
                    if path.is_file() and not name.endswith(_UNFINISHED):
                        below = path.relative_to(root).as_posix()
                        found.append(Entry(below, _below(base, below), path.stat().st_size))
    return sorted(found, key=lambda entry: entry.name)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def delete(uri: str) -> None:
    """Delete a file; nothing happens when there is none."""
    with _classified(uri):
        local_path(uri).unlink(missing_ok=True)


def delete_below(uri: str) -> None:
    """
    Delete a folder and all that is in it; nothing happens when there is none.

    Raises:
        LocationError: It is the root of the file system.
    """
    path = local_path(uri)
    if path == Path(path.anchor):
        raise LocationError(f"{shown(uri)} is the whole machine: name a folder")
    with _classified(uri), suppress(FileNotFoundError):
        rmtree(path)


def _entry(base: str, item: os.DirEntry[str]) -> Entry | None:
    try:
        return Entry(item.name, _below(base, item.name), item.stat().st_size) if item.is_file() else None
    except FileNotFoundError:  # it went away since
        return None


def _below(base: str, name: str) -> str:
    if base[:5].lower() != "file:":
        return f"{base}/{name}"
    return f"{base}/{quote(name)}"


def _replace(path: Path, data: bytes, *, durable: bool) -> None:
    unfinished = path.with_name(f".{uuid4().hex}{_UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _make_folders(folder: Path, *, durable: bool) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing if durable else ():
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _classified(uri: str) -> Generator[None]:
    try:
        yield
    except (FileNotFoundError, FileMissingError):
        raise FileMissingError(f"there is no file {shown(uri)}") from None
    except OSError as error:
        reason = f"{shown(uri)}: {error.strerror or error}"
        if error.errno in _DENIED:
            raise StorageDeniedError(reason) from error
        if error.errno in _NEVER:
            raise LocationError(reason) from error
        raise StorageUnavailableError(reason) from error
