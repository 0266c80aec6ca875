"""
What a URI of an object store names. Pure.

========================================================  ==============================================
``s3://bucket/key``, ``s3a://``                           S3 and whatever speaks like it
``gs://bucket/key``, ``gcs://``                           Google Cloud Storage
``abfs://container@account.dfs.core.windows.net/key``     Azure Blob Storage and Data Lake
``abfs://container/key``, ``abfss://``, ``az://``         the same; the account comes from the environment
``memory://name/key``                                     this process's memory, for tests
========================================================  ==============================================

A key stands as it is: nothing in it is percent-decoded, as the SDKs have it. Credentials in a URI are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from airscrew.engine.data.errors import LocationError, shown


class Kind(StrEnum):
    """Whose interface a store speaks."""

    S3 = "s3"
    GCS = "gs"
    AZURE = "abfs"
    MEMORY = "memory"


_KINDS = {
    "s3": Kind.S3,
    "s3a": Kind.S3,
    "gs": Kind.GCS,
    "gcs": Kind.GCS,
    "abfs": Kind.AZURE,
    "abfss": Kind.AZURE,
    "az": Kind.AZURE,
    "memory": Kind.MEMORY,
}


@dataclass(frozen=True, slots=True)
class Container:
    """
    A bucket, or a container of an Azure account.

    Attributes:
        kind: Whose interface it speaks.
        name: Its name.
        account: Its Azure account; empty for the environment's.
    """

    kind: Kind
    name: str
    account: str = ""

    @override
    def __str__(self) -> str:
        """Name it for people."""
        noun = "container" if self.kind is Kind.AZURE else "bucket"
        return f"the {noun} {self.name!r}"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a file is.

    Attributes:
        uri: What named it.
        container: The bucket.
        key: Its name in there, without a slash at either end.
    """

    uri: str
    container: Container
    key: str


def parse_remote(uri: str) -> Place:
    """
    Take a URI apart.

    Raises:
        LocationError: It is none of an object store, or holds credentials.
    """
    scheme, separator, rest = uri.partition("://")
    authority, _, key = rest.partition("/")
    if not separator or not authority or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        raise LocationError(f"{shown(uri)!r} is no location: give an absolute path or a URI as s3://bucket/path")
    kind = _KINDS.get(scheme.lower())
    if "::" in uri:
        raise LocationError(f"{shown(uri)} is a chain of URIs: give one")
    if kind is None:
        known = ", ".join(f"{one}:" for one in _KINDS if one != Kind.MEMORY)
        raise LocationError(f"no storage is known for {scheme}: locations, only for file:, {known}")
    return Place(uri=uri, container=_container(kind, authority, uri), key=key.strip("/"))


def _container(kind: Kind, authority: str, uri: str) -> Container:
    name, at, host = authority.partition("@")
    if at and (kind is not Kind.AZURE or ":" in name or "@" in host or not name):
        raise LocationError(f"{shown(uri)}: a URI may not hold credentials: put them into the environment")
    return Container(kind, name, host.partition(".")[0])
