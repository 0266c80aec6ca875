"""One suite for all that keeps files: this machine, this process's memory, and real servers of each cloud's kind."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from tests.support.object_stores import BUCKET, STORES, ObjectStore, running_store

from airscrew.engine.data.errors import (
    FileMissingError,
    LocationError,
    SizeExceededError,
    StorageDeniedError,
    StorageUnavailableError,
)
from airscrew.engine.data.storage import Storage
from airscrew.engine.retries import RetryPolicy, retries_off

AT_ONCE = RetryPolicy(first_pause=0.0)
_numbers = count(1)


@pytest.fixture(params=["path", "file", "memory", *STORES])
def base(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    object_stores: Callable[[str], ObjectStore],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A location that nobody has written to, in an environment that lets one in."""
    match request.param:
        case "path":
            return str(tmp_path)
        case "file":
            return tmp_path.as_uri()
        case "memory":
            return f"memory://test/{next(_numbers)}"
        case name:
            store = object_stores(name)
            be(store.environ, monkeypatch)
            return f"{store.base}/{next(_numbers)}"


@pytest.fixture(params=STORES)
def server(request: pytest.FixtureRequest, object_stores: Callable[[str], ObjectStore]) -> ObjectStore:
    """Each object store in turn."""
    return object_stores(request.param)


def be(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with Storage(threads=2, timeout=20) as opened:
        yield opened


NAMES = ["outputs.pb", "a b", "50%", "%20", "ä", "a+b", "a&b=c", "error-1~2.pb", "(x),;@:$'!*"]


async def test_what_was_written_is_read_listed_and_deleted(storage: Storage, base: str) -> None:
    await storage.write(f"{base}/d/a.pb", b"one")
    await storage.write(f"{base}/d/a.pb", b"again", durable=False)
    await storage.write(f"{base}/d/deep/b.pb", b"two")
    await storage.write(f"{base}/d/empty", b"")

    assert await storage.read(f"{base}/d/a.pb") == b"again"
    assert await storage.read(f"{base}/d/empty") == b""
    assert await storage.exists(f"{base}/d/a.pb")
    assert not await storage.exists(f"{base}/d")
    assert not await storage.exists(f"{base}/d/a.p")
    assert [(entry.name, entry.uri, entry.size) for entry in await storage.list(f"{base}/d")] == [
        ("a.pb", f"{base}/d/a.pb", 5),
        ("empty", f"{base}/d/empty", 0),
    ]

    await storage.delete(f"{base}/d/a.pb")
    await storage.delete(f"{base}/d/a.pb")

    assert not await storage.exists(f"{base}/d/a.pb")
    assert await storage.list(f"{base}/none") == []


async def test_what_is_listed_can_be_read_whatever_its_name(storage: Storage, base: str) -> None:
    named = NAMES if not base.startswith("file:") else [name for name in NAMES if "%" not in name]
    for name in named:
        await storage.write(f"{base}/{name}", name.encode())

    found = await storage.list(base)

    assert sorted(entry.name for entry in found) == sorted(named)
    assert [await storage.read(entry.uri) for entry in found] == [entry.name.encode() for entry in found]


async def test_what_is_not_there_is_missing(storage: Storage, base: str) -> None:
    with pytest.raises(FileMissingError, match=r"there is no file .*none"):
        await storage.read(f"{base}/none")


async def test_what_is_too_large_is_not_read(storage: Storage, base: str) -> None:
    await storage.write(f"{base}/f", b"12345")

    with pytest.raises(SizeExceededError):
        await storage.read(f"{base}/f", limit=4)

    assert await storage.read(f"{base}/f", limit=5) == b"12345"


async def test_a_large_file_comes_back_as_it_was(storage: Storage, base: str) -> None:
    data = bytes(range(256)) * 36_000  # beyond what is sent in one piece

    await storage.write(f"{base}/large", data)

    assert await storage.read(f"{base}/large") == data


async def test_many_are_listed_and_deleted_below_a_location_and_nothing_beside(storage: Storage, base: str) -> None:
    limit = asyncio.Semaphore(32)

    async def put(name: str) -> None:
        async with limit:
            await storage.write(f"{base}/{name}", b"x", durable=False)

    async with asyncio.TaskGroup() as group:
        for number in range(1100):  # more than a page of any store
            group.create_task(put(f"d/{number:04}"))
    await put("d/deep/er")
    await put("da")

    assert len(await storage.list(f"{base}/d")) == 1100

    below = await storage.list_below(f"{base}/d")
    assert [entry.name for entry in below] == [*(f"{number:04}" for number in range(1100)), "deep/er"]
    assert (below[-1].uri, below[-1].size) == (f"{base}/d/deep/er", 1)

    await storage.delete_below(f"{base}/d")
    await storage.delete_below(f"{base}/d/")

    assert await storage.list_below(f"{base}/d") == []
    assert await storage.list(f"{base}/d") == []
    assert not await storage.exists(f"{base}/d/deep/er")
    assert await storage.exists(f"{base}/da")


async def test_a_reader_sees_one_write_or_another_and_never_a_part(storage: Storage, base: str) -> None:
    versions = [bytes([letter]) * 300_000 for letter in b"abcd"]
    await storage.write(f"{base}/f", versions[0])
    seen: list[bytes] = []

    async def write() -> None:
        for version in versions * 3:
            await storage.write(f"{base}/f", version, durable=False)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        while not writing.done():
            seen.append(await storage.read(f"{base}/f"))
            await asyncio.sleep(0)

    assert set(seen) <= set(versions)


async def test_other_credentials_are_denied_in_one_line_that_names_the_bucket(
    server: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    be(server.wrong, monkeypatch)
    caplog.set_level(logging.DEBUG)
    uri = f"{server.base}/denied"
    async with Storage(timeout=20) as storage:
        for call in (
            storage.read(uri),
            storage.write(uri, b""),
            storage.exists(uri),
            storage.list(uri),
            storage.delete(uri),
            storage.delete_below(uri),
        ):
            with pytest.raises(StorageDeniedError, match=rf"'{BUCKET}' denied it \(40[13].*\): check ") as caught:
                await call
            told = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
            assert "\n" not in str(caught.value)
            assert not any(secret in told for secret in server.secrets)

    assert not any(secret in caplog.text for secret in server.secrets)


async def test_a_bucket_that_is_not_there_is_named(
    server: ObjectStore, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(server.environ, monkeypatch)
    uri = server.base.replace(f"//{BUCKET}", "//nosuch") + "/f"
    for call in (storage.read(uri), storage.write(uri, b""), storage.list(uri), storage.delete_below(uri)):
        with pytest.raises(LocationError, match="'nosuch' does not exist: create it, or name another"):
            await call


async def test_a_store_that_is_away_is_unavailable_and_back_when_it_is(
    server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_store(server.name, tmp_path / server.name) as own:
        be(own.environ, monkeypatch)
        async with Storage(timeout=20, policy=AT_ONCE) as storage:
            uri = f"{own.base}/f"
            await storage.write(uri, b"kept")
            own.stop()

            for call in (storage.read(uri), storage.write(uri, b""), storage.list(uri), storage.exists(uri)):
                with retries_off(), pytest.raises(StorageUnavailableError) as caught:
                    await call
                assert not any(secret in str(caught.value) for secret in own.secrets)

            own.start()
            assert await storage.read(uri) == b"kept"


@asynccontextmanager
async def scripted(answers: Sequence[tuple[int, bytes]]) -> AsyncIterator[tuple[str, list[str]]]:
    """Be an S3 endpoint that gives these answers in turn and keeps what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
        await reader.readexactly(length)
        status, body = answers[min(len(asked), len(answers)) - 1]
        extra = 'ETag: "x"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nConnection: close\r\n'
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", asked


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    be({"FLYTE_AWS_ACCESS_KEY_ID": "a", "FLYTE_AWS_SECRET_ACCESS_KEY": "b"}, monkeypatch)
    return monkeypatch


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_a_store_puts_off_is_asked_again_by_the_one_policy(keys: pytest.MonkeyPatch, status: int) -> None:
    async with scripted([(status, SLOW_DOWN), (status, SLOW_DOWN), (200, b"there")]) as (endpoint, asked):
        keys.setenv("FLYTE_AWS_ENDPOINT", endpoint)
        async with Storage(policy=AT_ONCE, timeout=20) as storage:
            assert await storage.read("s3://bucket/key") == b"there"

    assert [one.split(" HTTP")[0] for one in asked] == ["GET /bucket/key"] * 3


async def test_a_write_that_is_put_off_is_written_again(keys: pytest.MonkeyPatch) -> None:
    async with scripted([(503, SLOW_DOWN), (200, b"")]) as (endpoint, asked):
        keys.setenv("FLYTE_AWS_ENDPOINT", endpoint)
        async with Storage(policy=AT_ONCE, timeout=20) as storage:
            await storage.write("s3://bucket/key", b"data")

    assert [one.split(" HTTP")[0] for one in asked] == ["PUT /bucket/key"] * 2


async def test_no_more_tries_are_made_than_the_policy_says(keys: pytest.MonkeyPatch) -> None:
    async with scripted([(503, SLOW_DOWN)]) as (endpoint, asked):
        keys.setenv("FLYTE_AWS_ENDPOINT", endpoint)
        async with Storage(policy=AT_ONCE, timeout=20) as storage:
            with pytest.raises(StorageUnavailableError, match=r"s3://bucket/key: 503 SlowDown$"):
                await storage.read("s3://bucket/key")

    assert len(asked) == AT_ONCE.tries


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_what_is_refused_for_good_is_asked_once(keys: pytest.MonkeyPatch, status: int) -> None:
    async with scripted([(status, b"")]) as (endpoint, asked):
        keys.setenv("FLYTE_AWS_ENDPOINT", endpoint)
        async with Storage(policy=AT_ONCE, timeout=20) as storage:
            with pytest.raises((FileMissingError, StorageDeniedError, LocationError)):
                await storage.read("s3://bucket/key")

    assert len(asked) == 1


async def test_the_loop_goes_on_while_a_store_is_slow(keys: pytest.MonkeyPatch) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never a word
        keys.setenv("FLYTE_AWS_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with asyncio.TaskGroup() as group:
            turning = group.create_task(turn())
            async with Storage(timeout=0.5, policy=RetryPolicy(tries=1)) as storage:
                with pytest.raises(StorageUnavailableError):
                    await storage.read("s3://bucket/key")
            turning.cancel()

    assert turns > 20


OF_A_POD = b"""{"AccessKeyId": "ASIAOFTHEROLE", "SecretAccessKey": "secret-of-the-role", "Token": "token-of-the-role",
"Expiration": "2099-01-01T00:00:00Z"}"""
BEARER = b'{"access_token": "token-of-the-role", "token_type": "Bearer", "expires_in": 3600}'

IDENTITIES = {
    "s3": ("s3://bucket/key", OF_A_POD, "authorization: projected-token", "Credential=ASIAOFTHEROLE/"),
    "gs": ("gs://bucket/key", BEARER, "/instance/service-accounts/default/token", "Bearer token-of-the-role"),
    "abfs": ("abfs://box@account/key", BEARER, "POST /tenant/oauth2/v2.0/token", "Bearer token-of-the-role"),
}


def workload(endpoint: str, token: Path) -> dict[str, str]:
    """Say what a Pod with an identity is told, with all services at one endpoint."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "GOOGLE_BASE_URL": endpoint,
        "GCE_METADATA_HOST": endpoint.removeprefix("http://"),
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_AUTHORITY_HOST": endpoint,
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
    }


@pytest.mark.parametrize("name", IDENTITIES)
async def test_the_identity_of_a_workload_is_enough(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uri, credentials, asks, signs = IDENTITIES[name]
    for variable in os.environ:
        if variable.startswith(("AWS_", "FLYTE_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(variable)
    token = tmp_path / "token"
    token.write_text("projected-token")
    async with scripted([(200, credentials), (200, b"there")]) as (endpoint, asked):
        be(workload(endpoint, token), monkeypatch)
        async with Storage(policy=AT_ONCE, timeout=20) as storage, asyncio.timeout(20):
            assert await storage.read(uri) == b"there"

    assert asks in asked[0]
    assert signs in asked[1]
