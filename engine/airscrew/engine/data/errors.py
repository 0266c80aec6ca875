"""
What can go wrong with files at URIs; each class says what its catcher does next.

``StorageError(AirscrewError)``
  ``FileMissingError``        nothing lies there; also a ``FileNotFoundError``
  ``StorageUnavailableError`` no answer, or a failure that may pass: ask again later
``PermanentError`` (``engine.errors``)
  ``StorageDeniedError``      the engine may not read or write there
  ``LocationError``           the URI can never be read or written, as it is
  ``SizeExceededError``       larger than the limit (code ``OutputSizeExceeded``)

A URI in a message carries no query and no user: both may hold credentials.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import AirscrewError, ErrorKind

SHOWN_URI_LIMIT = 300


class StorageError(AirscrewError):
    """The root of what may be otherwise later."""


class FileMissingError(StorageError, FileNotFoundError):
    """Nothing lies there."""


class StorageUnavailableError(StorageError):
    """The storage did not answer in time, or failed in a way that may pass."""


class StorageDeniedError(PermanentError):
    """The engine's identity may not do that."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="StorageDenied", kind=ErrorKind.SYSTEM)


class LocationError(PermanentError):
    """The URI is none that can be read or written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="BadLocation", kind=ErrorKind.USER)


class SizeExceededError(PermanentError):
    """
    A file is larger than the limit.

    Attributes:
        size: Its size in bytes, or what was read of it before the limit was passed.
        limit: The limit in bytes.
    """

    def __init__(self, uri: str, size: int, limit: int) -> None:
        super().__init__(
            f"{shown(uri)} has {size:,} bytes and the limit is {limit:,}: pass large values as files",
            code="OutputSizeExceeded",
            kind=ErrorKind.USER,
        )
        self.size = size
        self.limit = limit


def shown(uri: str) -> str:
    """Write a URI for people: without what may be a credential, and not at length."""
    if uri[:5].lower() == "data:":
        return f"data: URI of {len(uri):,} characters"
    if "://" in uri:
        try:
            parts = urlsplit(uri)
        except ValueError:
            return "a URI that cannot be read"
        uri = urlunsplit((parts.scheme, _without_user(parts.scheme, parts.netloc), parts.path, "", ""))
    return uri if len(uri) <= SHOWN_URI_LIMIT else f"{uri[:SHOWN_URI_LIMIT]}..."


def _without_user(scheme: str, authority: str) -> str:
    user, _, host = authority.rpartition("@")
    is_container = scheme in {"abfs", "abfss"} and user and not set(user) & set(":@")
    return authority if is_container else host
