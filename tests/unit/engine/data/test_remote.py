"""What a URI names, and what an answer of a store means: without any store."""

from __future__ import annotations

import pytest

from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    StorageDeniedError,
    StorageUnavailableError,
)
from airscrew.engine.data.remote_errors import classify
from airscrew.engine.data.remote_stores import RemoteStores
from airscrew.engine.data.remote_uri import Container, Kind, parse_remote

SIGNED = "https://account.blob.core.windows.net/box/key?sv=2021&sig=c2VjcmV0%3D"
PLACE = parse_remote("s3://bucket/key")


class BaseError(Exception):
    """Stands for obstore's own root, whose children are told by name."""


class PermissionDeniedError(BaseError):
    pass


class InvalidPathError(BaseError):
    pass


def answered(status: int, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code><StringToSign>AWS4 secret</StringToSign></Error>" if code else ""
    return (
        f"Error performing GET {SIGNED} in 1ms - Server returned non-2xx status code: {status} X: {body}\n\n"
        f"Debug source:\nRetryError {{ uri: Some({SIGNED}) }}"
    )


@pytest.mark.parametrize(
    ("uri", "container", "key"),
    [
        ("s3://b/k", Container(Kind.S3, "b"), "k"),
        ("S3A://b/a%20b/c/", Container(Kind.S3, "b"), "a%20b/c"),
        ("gs://b", Container(Kind.GCS, "b"), ""),
        ("gcs://b//k", Container(Kind.GCS, "b"), "k"),
        ("abfs://c/k", Container(Kind.AZURE, "c"), "k"),
        ("abfss://c@acc.dfs.core.windows.net/d/k", Container(Kind.AZURE, "c", "acc"), "d/k"),
        ("az://c@acc/k", Container(Kind.AZURE, "c", "acc"), "k"),
    ],
)
def test_a_uri_names_a_bucket_and_a_key(uri: str, container: Container, key: str) -> None:
    place = parse_remote(uri)

    assert (place.container, place.key) == (container, key)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://key:hunter2@bucket/x",
        "s3://hunter2@bucket/x",
        "gs://hunter2@bucket/x",
        "abfs://box:hunter2@account/x",
        "abfs://hunter2@box@account/x",
    ],
)
def test_a_uri_with_credentials_is_refused_and_they_are_not_repeated(uri: str) -> None:
    with pytest.raises(LocationError, match="may not hold credentials") as caught:
        parse_remote(uri)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "InvalidBucketName", LocationError),
        (400, "ExpiredToken", StorageUnavailableError),
        (400, "RequestTimeout", StorageUnavailableError),
        (301, "PermanentRedirect", LocationError),
        (401, "", StorageDeniedError),
        (403, "AccessDenied", StorageDeniedError),
        (403, "RequestTimeTooSkewed", StorageUnavailableError),
        (404, "NoSuchBucket", LocationError),
        (404, "ContainerNotFound", LocationError),
        (404, "NoSuchKey", FileMissingError),
        (408, "", StorageUnavailableError),
        (429, "TooManyRequests", StorageUnavailableError),
        (500, "InternalError", StorageUnavailableError),
        (503, "SlowDown", StorageUnavailableError),
    ],
)
def test_each_answer_of_a_store_is_classified(status: int, code: str, expected: type[Exception]) -> None:
    error = classify(BaseError(answered(status, code)), PLACE)

    assert type(error) is expected
    assert "secret" not in str(error)
    assert "sig=" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(answered(404)), FileMissingError),
        (PermissionDeniedError(answered(403)), StorageDeniedError),
        (PermissionDeniedError("no"), StorageDeniedError),
        (InvalidPathError("Encountered empty path segment"), LocationError),
        (ValueError("bad"), LocationError),
        (BaseError(f"error sending request for url ({SIGNED})"), StorageUnavailableError),
        (ConnectionResetError("lost"), StorageUnavailableError),
        (BaseError("Error performing token request: operation timed out"), StorageUnavailableError),
        (BaseError(f"Error performing token request: {answered(404)}"), StorageDeniedError),
    ],
)
def test_each_error_of_the_library_is_classified(error: Exception, expected: type[Exception]) -> None:
    found = classify(error, PLACE)

    assert type(found) is expected
    assert "c2VjcmV0" not in str(found)


@pytest.mark.parametrize("asked", [{"lists": True}, {"writes": True}])
def test_what_is_missing_for_a_listing_or_a_write_is_the_bucket(asked: dict[str, bool]) -> None:
    found = classify(FileNotFoundError(answered(404)), PLACE, **asked)

    assert str(found) == "s3://bucket/key: the bucket 'bucket' does not exist: create it, or name another"


def test_a_denial_names_the_bucket_and_the_way_out() -> None:
    found = classify(BaseError(answered(403, "AccessDenied")), PLACE)

    assert str(found).startswith("s3://bucket/key: the bucket 'bucket' denied it (403 AccessDenied): check AWS_")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of any store."""
    import os

    for name in os.environ:
        if name.startswith(("AWS_", "FLYTE_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("name", ["FLYTE_AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_each_name_of_an_s3_endpoint_counts(bare: pytest.MonkeyPatch, name: str) -> None:
    bare.setenv(name, "http://127.0.0.1:9/")

    store = RemoteStores(timeout=1).store(Container(Kind.S3, "b"))

    assert store.config["endpoint"] == "http://127.0.0.1:9"  # type: ignore[union-attr, index]
    assert store.client_options["allow_http"] == "true"  # type: ignore[union-attr, index]


def test_what_flytekit_is_told_goes_before_what_the_cloud_is(bare: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "https://elsewhere",
        "FLYTE_AWS_ENDPOINT": "https://here",
        "FLYTE_AWS_ACCESS_KEY_ID": "a",
        "FLYTE_AWS_SECRET_ACCESS_KEY": "b",
        "FLYTE_AWS_S3_ADDRESSING_STYLE": "virtual",
    }.items():
        bare.setenv(name, value)

    store = RemoteStores(timeout=1).store(Container(Kind.S3, "bucket"))

    assert store.config["endpoint"] == "https://bucket.here"  # type: ignore[union-attr, index]
    assert store.config["access_key_id"] == "a"  # type: ignore[union-attr, index]
    assert store.client_options["allow_http"] == "false"  # type: ignore[union-attr, index]


def test_half_a_key_is_a_mistake(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("FLYTE_AWS_ACCESS_KEY_ID", "a")

    with pytest.raises(LocationError, match="give both"):
        RemoteStores(timeout=1).store(Container(Kind.S3, "b"))


def test_a_container_without_an_account_says_how_to_name_one(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(LocationError, match=r"write abfs://box@ACCOUNT\.dfs.* or set AZURE_STORAGE_ACCOUNT_NAME"):
        RemoteStores(timeout=1).store(Container(Kind.AZURE, "box"))


def test_what_flytekit_is_told_of_an_azure_account_counts(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("FLYTE_AZURE_STORAGE_ACCOUNT_NAME", "acc")
    bare.setenv("FLYTE_AZURE_STORAGE_ACCOUNT_KEY", "a2V5")

    store = RemoteStores(timeout=1).store(Container(Kind.AZURE, "box"))

    assert store.config["account_name"] == "acc"  # type: ignore[union-attr, index]
    assert store.config["account_key"] == "a2V5"  # type: ignore[union-attr, index]


def test_a_bucket_is_opened_once(bare: pytest.MonkeyPatch) -> None:
    stores = RemoteStores(timeout=1)

    assert stores.store(Container(Kind.MEMORY, "x")) is stores.store(Container(Kind.MEMORY, "x"))
    assert stores.store(Container(Kind.MEMORY, "y")) is not stores.store(Container(Kind.MEMORY, "x"))


def test_nothing_that_can_be_printed_holds_a_secret(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("FLYTE_AWS_ACCESS_KEY_ID", "a")
    bare.setenv("FLYTE_AWS_SECRET_ACCESS_KEY", "hunter2")
    stores = RemoteStores(timeout=1)

    assert "hunter2" not in f"{stores!r} {stores.store(Container(Kind.S3, 'b'))!r}"
