"""
Files in object stores and elsewhere, through fsspec; every call blocks and belongs into a thread.

Guarantees:

1. No listing is remembered: what others wrote is seen.
2. Each error is one of ``data.errors``, whatever library it came from.

A write is as atomic as its store makes it; object stores show a whole object or none.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    MissingExtraError,
    SizeExceededError,
    StorageDeniedError,
    StorageUnavailableError,
    shown,
)
from airscrew.engine.data.local_files import Entry
from airscrew.engine.errors import PermanentError

Options = Mapping[str, Mapping[str, object]]
"""What fsspec is given for the file system of a scheme, by scheme."""

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "adl": "azure",
}
REASON_LIMIT = 300

_DENIED_CLASSES = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ClientAuthenticationError", "DefaultCredentialsError"}
)
_NEVER_CLASSES = frozenset({"ParamValidationError", "InvalidArnException"})


def check_scheme(scheme: str) -> None:
    """
    Check that the library for a scheme is installed, without a connection.

    Raises:
        MissingExtraError: It is not; says how to install it.
        LocationError: No library knows the scheme.
    """
    registry = import_module("fsspec.registry")
    if scheme in registry.registry:
        return
    if scheme not in registry.known_implementations:
        raise LocationError(f"no storage is known for {scheme}: locations")
    library = str(registry.known_implementations[scheme]["class"]).partition(".")[0]
    if find_spec(library) is None:
        raise missing_extra(scheme, f"pip install {library}")


def missing_extra(scheme: str, otherwise: str) -> MissingExtraError:
    """Say what to install for a scheme."""
    extra = _EXTRAS.get(scheme)
    how = f"pip install airscrew[{extra}]" if extra else otherwise
    return MissingExtraError(f"{scheme}: locations need another library: {how}")


def options_from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """
    Read the variables by which flytekit is told of an S3-compatible store, so that one setting serves both.

    Without them the libraries' own variables and files count.
    """
    named = {"key": "FLYTE_AWS_ACCESS_KEY_ID", "secret": "FLYTE_AWS_SECRET_ACCESS_KEY"}
    options: dict[str, object] = {field: environ[name] for field, name in named.items() if environ.get(name)}
    if environ.get("FLYTE_AWS_ENDPOINT"):
        options["client_kwargs"] = {"endpoint_url": environ["FLYTE_AWS_ENDPOINT"]}
    return {"s3": options, "s3a": options} if options else {}


def size_of(uri: str, options: Options) -> int:
    """
    Give a file's size.

    Raises:
        FileMissingError: There is no such file.
    """
    with _opened(uri, options) as (system, path):
        info = system.info(path)
        if info["type"] != "file":
            raise FileMissingError(f"{shown(uri)} is a folder")
        return int(info["size"])


def read(uri: str, limit: int, options: Options) -> bytes:
    """
    Read a whole file.

    Raises:
        FileMissingError: There is no such file.
        SizeExceededError: It is larger than the limit.
    """
    size = size_of(uri, options)
    if size > limit:
        raise SizeExceededError(uri, size, limit)
    with _opened(uri, options) as (system, path):
        return bytes(system.cat_file(path))


def write(uri: str, data: bytes, options: Options) -> None:
    """Write a whole file."""
    with _opened(uri, options) as (system, path):
        if "file" in _protocols(system) or "memory" in _protocols(system):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            system.pipe_file(path, data)
        except FileNotFoundError as error:  # object stores have no folders that could be missing
            raise LocationError(f"{shown(uri)}: there is no such bucket or container") from error


def exists(uri: str, options: Options) -> bool:
    """Tell whether there is such a file."""
    try:
        size_of(uri, options)
    except FileMissingError:
        return False
    return True


def entries(uri: str, options: Options) -> list[Entry]:
    """List the files right below a location by name; none when there is nothing."""
    base = uri.rstrip("/")
    with _opened(base, options) as (system, path):
        try:
            listing = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
        files = [one for one in listing if one["type"] == "file" and one["name"].rstrip("/") != path.rstrip("/")]
    named = [(str(one["name"]).rpartition("/")[2], int(one["size"] or 0)) for one in files]
    return [Entry(name, f"{base}/{name}", size) for name, size in sorted(named) if name]


def delete(uri: str, options: Options) -> None:
    """Delete a file; nothing happens when there is none."""
    with _opened(uri, options) as (system, path):
        try:
            system.rm_file(path)
        except FileNotFoundError:
            return


def _fsspec() -> Any:  # noqa: ANN401 - it has no types
    return import_module("fsspec")


def _protocols(system: Any) -> tuple[str, ...]:  # noqa: ANN401 - fsspec has no types
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


@contextmanager
def _opened(uri: str, options: Options) -> Generator[tuple[Any, str]]:
    """Give the file system and the path in it; errors that come out are classified."""
    scheme = uri.partition("://")[0].lower()
    if "::" in uri:
        raise LocationError(f"{shown(uri)} is a chain of URIs: give one")
    check_scheme(scheme)
    try:
        settings: dict[str, object] = {"use_listings_cache": False, **options.get(scheme, {})}
        system, path = _fsspec().core.url_to_fs(uri, **settings)
        yield system, path
    except Exception as error:
        raise classify(error, uri) from error


def classify(error: Exception, uri: str) -> Exception:
    """Turn an error of a storage library into one of ``data.errors``."""
    reason = f"{shown(uri)}: {type(error).__name__}: {' '.join(str(error).split())[:REASON_LIMIT]}"
    match error:
        case FileMissingError() | StorageUnavailableError() | PermanentError():
            return error
        case ImportError():
            return missing_extra(uri.partition("://")[0].lower(), str(error))
        case FileNotFoundError():
            return FileMissingError(f"there is no file {shown(uri)}")
        case PermissionError():
            return StorageDeniedError(reason)
        case IsADirectoryError() | NotADirectoryError() | NotImplementedError() | ValueError() | TypeError():
            return LocationError(reason)
        case _ if type(error).__name__ in _DENIED_CLASSES:
            return StorageDeniedError(reason)
        case _ if type(error).__name__ in _NEVER_CLASSES:
            return LocationError(reason)
        case _:
            return StorageUnavailableError(reason)
