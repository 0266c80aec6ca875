"""
What an object store's answer means to whoever asked. Pure.

=================================================  =========================================================
answer                                             error
=================================================  =========================================================
404 for a file                                     ``FileMissingError``
404 for a bucket, 400, a redirect, a bad key       ``LocationError``: never, as it is
401, 403, no credentials                           ``StorageDeniedError``: names the bucket and the way out
429, 5xx, a time-out, no connection, an expired    ``StorageUnavailableError``: ask again
token
=================================================  =========================================================

Guarantee: no message holds what the library or the server wrote at length. Their texts hold requests, and those hold
signatures; a status, the code that goes with it, and an address without its query are all that is taken.
"""

from __future__ import annotations

import re

from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    StorageDeniedError,
    StorageError,
    StorageUnavailableError,
    shown,
)
from airscrew.engine.data.remote_uri import Kind, Place
from airscrew.engine.errors import PermanentError

REASON_LIMIT = 300

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z]+)\s*</Code>")
_QUERY = re.compile(r"(https?://[^\s?]*)\?[^\s]*")
_USER = re.compile(r"//[^/@\s]*@")
_CREDENTIALS = re.compile(
    r"token request|oauth|computeMetadata|security-credentials|latest/api/token|AssumeRole|169\.254\.", re.IGNORECASE
)
_NO_CONTAINER = frozenset({"NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"})
_PASSING = frozenset(
    {"ExpiredToken", "RequestExpired", "RequestTimeTooSkewed", "RequestTimeout", "SlowDown", "TokenRefreshRequired"}
)
_WAY_OUT = {
    Kind.S3: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the workload, and what it may do there",
    Kind.GCS: "check GOOGLE_APPLICATION_CREDENTIALS, or the service account of the workload, and what it may do there",
    Kind.AZURE: "check AZURE_STORAGE_ACCOUNT_KEY, or the identity of the workload, and what it may do there",
    Kind.MEMORY: "",
}
_NEVER = frozenset({"InvalidPathError", "NotSupportedError", "UnknownConfigurationKeyError"})
_DENIED = frozenset({"PermissionDeniedError", "UnauthenticatedError"})


def classify(error: Exception, place: Place, *, lists: bool = False, writes: bool = False) -> Exception:
    """
    Turn an error of the storage library into one of ``data.errors``.

    Args:
        error: What it raised.
        place: What it was asked about.
        lists: Whether a listing was asked for: then what is missing can only be the bucket.
        writes: Whether a file was to be written: the same.
    """
    if isinstance(error, (StorageError, PermanentError)):
        return error
    text = str(error).partition("Debug source")[0]
    found, code = _STATUS.search(text), _CODE.search(text)
    status, word = int(found[1]) if found else 0, code[1] if code else ""
    said = " ".join(filter(None, (str(status or ""), word))) or _plain(error, text)
    if _CREDENTIALS.search(text) and not isinstance(error, FileNotFoundError):
        return _without_credentials(place, status, said)
    if word in _PASSING or status in {408, 425, 429} or status >= 500:  # noqa: PLR2004 - HTTP
        return StorageUnavailableError(f"{shown(place.uri)}: {said}")
    if isinstance(error, FileNotFoundError) or status == 404:  # noqa: PLR2004 - HTTP
        if lists or writes or word in _NO_CONTAINER:
            return LocationError(f"{shown(place.uri)}: {place.container} does not exist: create it, or name another")
        return FileMissingError(f"there is no file {shown(place.uri)}")
    if status in {401, 403} or type(error).__name__ in _DENIED:
        return StorageDeniedError(
            f"{shown(place.uri)}: {place.container} denied it ({said}): {_WAY_OUT[place.container.kind]}"
        )
    if 300 <= status < 500 or isinstance(error, ValueError) or type(error).__name__ in _NEVER:  # noqa: PLR2004 - HTTP
        return LocationError(f"{shown(place.uri)}: {said}")
    return StorageUnavailableError(f"{shown(place.uri)}: {said}")


def _without_credentials(place: Place, status: int, said: str) -> Exception:
    way_out = f"no credentials for {place.container}: {_WAY_OUT[place.container.kind]}"
    if 400 <= status < 500 and status not in {408, 429}:  # noqa: PLR2004 - HTTP
        return StorageDeniedError(f"{shown(place.uri)}: {way_out}")
    return StorageUnavailableError(f"{shown(place.uri)}: {way_out} ({said})")


def _plain(error: Exception, text: str) -> str:
    words = " ".join(_USER.sub("//", _QUERY.sub(r"\1", text)).split())
    return f"{type(error).__name__}: {words[:REASON_LIMIT]}".rstrip(": ")
