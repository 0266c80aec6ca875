from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from airscrew.engine.data import local_files
from airscrew.engine.data.data_uri import encode_data_uri
from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    SizeExceededError,
    StorageUnavailableError,
    shown,
)
from airscrew.engine.data.remote_files import RemoteFiles
from airscrew.engine.data.storage import Storage, check_location
from airscrew.engine.retries import RetryPolicy


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


async def test_what_lies_below_a_location_is_deleted_and_nothing_beside(any_storage: Storage, base: str) -> None:
    async with any_storage as storage:
        for name in ("d/a", "d/deep/b", "da"):
            await storage.write(f"{base}/{name}", b"x")

        await storage.delete_below(f"{base}/d")
        await storage.delete_below(f"{base}/d/")

        assert not await storage.exists(f"{base}/d/deep/b")
        assert [entry.name for entry in await storage.list(base)] == ["da"]


@pytest.mark.parametrize("uri", ["/", "file:///", "s3://bucket", "s3://bucket/", "memory://name"])
async def test_nobody_deletes_a_whole_machine_or_bucket(storage: Storage, uri: str) -> None:
    with pytest.raises(LocationError):
        await storage.delete_below(uri)


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


async def test_a_storage_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*arguments: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(RemoteFiles, "read", hang)
    async with Storage(timeout=0.01, policy=RetryPolicy(tries=1)) as storage:
        with pytest.raises(StorageUnavailableError, match=r"s3://bucket/key: no answer within 0.01 s"):
            await storage.read("s3://bucket/key")


async def test_a_file_system_that_hangs_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*arguments: object) -> bytes:
        release.wait(10)
        return b""

    monkeypatch.setattr(local_files, "read", hang)
    async with Storage(threads=1, timeout=0.01, policy=RetryPolicy(tries=1), inline_bytes=0) as storage:
        with pytest.raises(StorageUnavailableError, match=r"no answer within 0.01 s"):
            await storage.read(str(tmp_path / "f"))
        release.set()


async def test_a_local_write_is_not_tried_again_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def lost(uri: str, *arguments: object, durable: bool) -> None:
        calls.append(uri)
        raise StorageUnavailableError("stale file handle")

    monkeypatch.setattr(local_files, "write", lost)
    async with Storage(threads=1) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.write(str(tmp_path / "f"), b"")

    assert len(calls) == 1


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
    "uri",
    [
        "nosuch://x/y",
        "relative/path",
        "s3:",
        "zip://a::s3://b/c",
        ":///",
        "s3://b//a//c",
        "s3://b/a/../c",
        "s3://b/./c",
        "gs://b",
        "file://other/x",
    ],
)
async def test_what_is_no_location_is_permanent(storage: Storage, uri: str) -> None:
    with pytest.raises(LocationError):
        await storage.read(uri)


@pytest.mark.parametrize(
    "uri", ["memory://x/y", "s3://b/k", "gs://b/k", "abfs://c@a.dfs.core.windows.net/k", "/a", "file:///a", "data:,x"]
)
def test_a_location_is_checked_without_a_connection(uri: str) -> None:
    check_location(uri)


def test_a_uri_is_shown_without_what_may_be_a_credential() -> None:
    assert shown("s3://user:password@host/key?X-Amz-Signature=abc#f") == "s3://host/key"
    assert shown("abfs://box@account.dfs.core.windows.net/key?sig=abc") == "abfs://box@account.dfs.core.windows.net/key"
    assert shown("abfs://box:secret@account/key") == "abfs://account/key"
    assert shown("data:;base64,AAAA") == "data: URI of 17 characters"
    assert len(shown("/" + "x" * 5000)) < 400
