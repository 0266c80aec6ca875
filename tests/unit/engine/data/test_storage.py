from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest

from airscrew.engine.data import local_files, remote_files
from airscrew.engine.data.data_uri import encode_data_uri
from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    MissingExtraError,
    SizeExceededError,
    StorageDeniedError,
    StorageUnavailableError,
    shown,
)
from airscrew.engine.data.storage import Storage, check_location
from airscrew.engine.errors import PermanentError
from airscrew.engine.retries import RetryPolicy
from airscrew.idl.errors import UsageError


@pytest.fixture(params=["path", "file", "memory", "no inline"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "path" | "no inline":
            return str(tmp_path)
        case "file":
            return tmp_path.as_uri()
        case _:
            return f"memory://{uuid4().hex}/deep"


@pytest.fixture
def any_storage(request: pytest.FixtureRequest) -> Storage:
    inline = 0 if "no inline" in request.node.name else 64 * 1024
    return Storage(threads=2, inline_bytes=inline)


async def test_what_was_written_is_read_listed_and_deleted(any_storage: Storage, base: str) -> None:
    async with any_storage as storage:
        await storage.write(f"{base}/d/a.pb", b"one")
        await storage.write(f"{base}/d/a.pb", b"again", durable=False)
        await storage.write(f"{base}/d/deep/b.pb", b"two")

        assert await storage.read(f"{base}/d/a.pb") == b"again"
        assert await storage.exists(f"{base}/d/a.pb")
        assert not await storage.exists(f"{base}/d")
        assert [(entry.name, entry.uri, entry.size) for entry in await storage.list(f"{base}/d")] == [
            ("a.pb", f"{base}/d/a.pb", 5)
        ]

        await storage.delete(f"{base}/d/a.pb")
        await storage.delete(f"{base}/d/a.pb")

        assert not await storage.exists(f"{base}/d/a.pb")
        assert await storage.list(f"{base}/none") == []


async def test_what_is_not_there_is_missing(any_storage: Storage, base: str) -> None:
    async with any_storage as storage:
        with pytest.raises(FileMissingError, match=r"there is no file .*none"):
            await storage.read(f"{base}/none")


async def test_what_is_too_large_is_not_read(any_storage: Storage, base: str) -> None:
    async with any_storage as storage:
        await storage.write(f"{base}/f", b"12345")

        with pytest.raises(SizeExceededError):
            await storage.read(f"{base}/f", limit=4)


async def test_an_empty_file_is_a_file(any_storage: Storage, base: str) -> None:
    async with any_storage as storage:
        await storage.write(f"{base}/empty", b"")

        assert await storage.read(f"{base}/empty") == b""


async def test_a_data_uri_carries_its_own_bytes(storage: Storage) -> None:
    uri = encode_data_uri(b"small")

    assert await storage.read(uri) == b"small"
    assert await storage.exists(uri)
    with pytest.raises(SizeExceededError):
        await storage.read(uri, limit=4)
    with pytest.raises(LocationError):
        await storage.write(uri, b"")


async def test_a_storage_that_does_not_answer_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*arguments: object) -> bytes:
        release.wait(10)
        return b""

    monkeypatch.setattr(remote_files, "read", hang)
    async with Storage(threads=1, timeout=0.01, policy=RetryPolicy(tries=1)) as storage:
        with pytest.raises(StorageUnavailableError, match=r"s3://bucket/key: no answer within 0.01 s"):
            await storage.read("s3://bucket/key")
        release.set()


async def test_a_read_is_tried_again_when_the_storage_did_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | bytes] = [StorageUnavailableError("503"), StorageUnavailableError("503"), b"there"]

    def answer(*arguments: object) -> bytes:
        match answers.pop(0):
            case bytes() as data:
                return data
            case error:
                raise error

    monkeypatch.setattr(remote_files, "read", answer)
    async with Storage(threads=1, policy=RetryPolicy(first_pause=0.0)) as storage:
        data = await storage.read("s3://bucket/key")

    assert data == b"there"


async def test_a_write_is_not_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def lost(uri: str, *arguments: object) -> None:
        calls.append(uri)
        raise StorageUnavailableError("503")

    monkeypatch.setattr(remote_files, "write", lost)
    async with Storage(threads=1) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.write("s3://bucket/key", b"")

    assert calls == ["s3://bucket/key"]


async def test_small_local_files_take_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    read = local_files.read

    def told(uri: str, limit: int) -> bytes:
        threads.append(threading.current_thread().name)
        return read(uri, limit)

    monkeypatch.setattr(local_files, "read", told)
    async with Storage(threads=1, inline_bytes=10) as storage:
        await storage.write(str(tmp_path / "small"), b"x" * 10)
        await storage.write(str(tmp_path / "large"), b"x" * 11)
        await storage.read(str(tmp_path / "small"))
        await storage.read(str(tmp_path / "large"))

    assert threads[0] == threading.main_thread().name
    assert threads[1].startswith("airscrew-data")


@pytest.mark.parametrize(
    ("scheme", "library", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")]
)
async def test_a_missing_library_is_named_with_the_way_to_get_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, scheme: str, library: str, extra: str
) -> None:
    monkeypatch.setattr(import_module("fsspec.registry"), "registry", {})
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(MissingExtraError, match=rf"pip install airscrew\[{extra}\]$") as caught:
        await storage.read(f"{scheme}://bucket/key")

    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, PermanentError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["nosuch://x/y", "relative/path", "s3:", "zip://a::s3://b/c", ":///", "file://other/x"])
async def test_what_is_no_location_is_permanent(storage: Storage, uri: str) -> None:
    with pytest.raises(LocationError):
        await storage.read(uri)


@pytest.mark.parametrize("uri", ["memory://x/y", "/a", "file:///a", "data:,x"])
def test_a_location_is_checked_without_a_connection(uri: str) -> None:
    check_location(uri)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("x"), FileMissingError),
        (PermissionError("Access Denied"), StorageDeniedError),
        (type("NoCredentialsError", (Exception,), {})("none"), StorageDeniedError),
        (type("ParamValidationError", (Exception,), {})("bad bucket"), LocationError),
        (ValueError("bad"), LocationError),
        (ImportError("No module named 'aiobotocore'"), MissingExtraError),
        (IsADirectoryError("x"), LocationError),
        (OSError("[Errno 5] SlowDown"), StorageUnavailableError),
        (TimeoutError(), StorageUnavailableError),
        (ConnectionResetError("lost"), StorageUnavailableError),
    ],
)
def test_each_error_of_a_library_is_classified(error: Exception, expected: type[Exception]) -> None:
    assert type(remote_files.classify(error, "s3://bucket/key")) is expected


def test_a_reason_is_one_line() -> None:
    error = remote_files.classify(OSError("first\n  second"), "s3://bucket/key")

    assert str(error) == "s3://bucket/key: OSError: first second"


async def test_a_write_into_a_bucket_that_is_not_there_says_so(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoBucket:
        protocol = "s3"

        def pipe_file(self, path: str, data: bytes) -> None:
            raise FileNotFoundError("The specified bucket does not exist")

    fsspec = import_module("fsspec")
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda uri, **options: (NoBucket(), uri))

    with pytest.raises(LocationError, match="memory://nosuch/x: there is no such bucket"):
        await storage.write("memory://nosuch/x", b"")


def test_a_uri_is_shown_without_what_may_be_a_credential() -> None:
    assert shown("s3://user:password@host/key?X-Amz-Signature=abc#f") == "s3://host/key"
    assert shown("data:;base64,AAAA") == "data: URI of 17 characters"
    assert len(shown("/" + "x" * 5000)) < 400


def test_one_setting_of_an_s3_endpoint_serves_flytekit_and_the_engine() -> None:
    environ = {
        "FLYTE_AWS_ENDPOINT": "http://127.0.0.1:9",
        "FLYTE_AWS_ACCESS_KEY_ID": "a",
        "FLYTE_AWS_SECRET_ACCESS_KEY": "b",
    }

    options = remote_files.options_from_environment(environ)

    assert options["s3"] == {"key": "a", "secret": "b", "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}}
    assert remote_files.options_from_environment({}) == {}
