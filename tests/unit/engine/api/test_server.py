"""The server beyond what an ``EngineApi`` is: who gets in, deadlines, health, and its end."""

from __future__ import annotations

import asyncio
import stat
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from tests.support.fake_engine import FakeEngineApi
from typing_extensions import override

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress, UnixAddress
from airscrew.engine.api.client import MAX_REQUEST_BYTES, connect, target
from airscrew.engine.api.codes import header_text
from airscrew.engine.api.model import ApiError, ExecutionView, SubmitRequest
from airscrew.engine.api.server import SERVICE, serving
from airscrew.idl.errors import UsageError
from airscrew.idl.proto.health.v1 import health_pb2
from airscrew.idl.proto.service.v1 import service_pb2 as pb

INFO = ServerInfo(version="1.2.3", pid=42, started_at=7.0, home="/home")
PORT = TcpAddress("127.0.0.1", 0)


def health_check(channel: grpc.aio.Channel, method: str = "Check") -> grpc.aio.UnaryUnaryMultiCallable:
    make = channel.unary_unary if method == "Check" else channel.unary_stream
    return make(
        f"/grpc.health.v1.Health/{method}",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )


async def test_a_server_tells_which_engine_it_is(fake: FakeEngineApi, tmp_path: Path) -> None:
    async with serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound, connect(bound) as client:
        assert await client.info() == INFO


async def test_a_socket_is_for_its_user_alone(fake: FakeEngineApi, tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"

    async with serving(fake, UnixAddress(path), INFO):
        modes = stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)

    assert modes == (0o600, 0o700)


async def test_a_socket_path_that_is_too_long_is_reached_by_a_short_one(fake: FakeEngineApi, tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / ("d" * 100) / "run" / "engine.sock")

    async with serving(fake, address, INFO) as bound, connect(bound) as client:
        answer = await client.info()
        real = address.path.readlink()

    assert answer == INFO
    assert stat.S_IMODE(real.parent.stat().st_mode) == 0o700


async def test_a_port_refuses_a_call_without_the_token(fake: FakeEngineApi, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")

    async with serving(fake, PORT, INFO, token_file=tmp_path / "token") as bound:
        for token_file in (None, wrong):
            async with connect(bound, token_file) as client:
                with pytest.raises(ApiError, match="--token-file") as caught:
                    await client.submit(SubmitRequest(template=b"t"))
                assert caught.value.code == "denied"

    assert fake.calls == []


async def test_a_token_file_is_made_for_its_user_alone_and_kept(fake: FakeEngineApi, tmp_path: Path) -> None:
    file = tmp_path / "token"

    async with serving(fake, PORT, INFO, token_file=file):
        first = file.read_text()
    async with serving(fake, PORT, INFO, token_file=file):
        again = file.read_text()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(first) > 40
    assert first == again


async def test_a_token_file_that_others_can_read_is_refused(fake: FakeEngineApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o644)

    with pytest.raises(UsageError, match="chmod 600"):
        async with serving(fake, PORT, INFO, token_file=file):
            pass


async def test_a_host_beyond_this_machine_is_refused(fake: FakeEngineApi, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0:0.*not on this machine"):
        async with serving(fake, TcpAddress("0.0.0.0", 0), INFO, token_file=tmp_path / "token"):
            pass


async def test_a_port_that_is_taken_is_a_usage_error(fake: FakeEngineApi, tmp_path: Path) -> None:
    token = tmp_path / "token"

    async with serving(fake, PORT, INFO, token_file=token) as bound:
        with pytest.raises(UsageError, match="in use"):
            async with serving(fake, bound, INFO, token_file=token):
                pass


async def test_a_call_ends_with_its_deadline(tmp_path: Path) -> None:
    class Slow(FakeEngineApi):
        @override
        async def get(self, execution: str) -> ExecutionView:
            await asyncio.Event().wait()
            raise AssertionError

    address = UnixAddress(tmp_path / "run" / "s")
    async with (
        serving(Slow(), address, INFO, grace_seconds=0.1) as bound,
        grpc.aio.insecure_channel(target(bound)) as channel,
    ):
        call = channel.unary_unary(f"/{SERVICE}/Get", request_serializer=pb.GetRequest.SerializeToString)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(pb.GetRequest(execution="x"), timeout=0.05)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_unexpected_error_is_internal_and_never_unknown(fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.refuse["get"] = RuntimeError("a defect")

    async with (
        serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound,
        grpc.aio.insecure_channel(target(bound)) as channel,
    ):
        call = channel.unary_unary(f"/{SERVICE}/Get", request_serializer=pb.GetRequest.SerializeToString)
        with pytest.raises(grpc.aio.AioRpcError, match="RuntimeError: a defect") as caught:
            await call(pb.GetRequest(execution="x"))

    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_bytes_that_are_no_message_are_refused_and_the_server_lives(fake: FakeEngineApi, tmp_path: Path) -> None:
    async with serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound, connect(bound) as client:
        async with grpc.aio.insecure_channel(target(bound)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/{SERVICE}/Submit")(b"\xff\xff\xff")
        answer = await client.info()

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer == INFO


async def test_a_request_over_the_limit_is_refused_before_it_is_sent(fake: FakeEngineApi, tmp_path: Path) -> None:
    async with serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound, connect(bound) as client:
        with pytest.raises(ApiError, match="put the inputs into a file") as caught:
            await client.submit(SubmitRequest(template=b"t", inputs=bytes(MAX_REQUEST_BYTES)))

    assert caught.value.code == "invalid"
    assert fake.calls == []


async def test_answers_over_the_default_limit_of_grpc_arrive(fake: FakeEngineApi, tmp_path: Path) -> None:
    data = bytes(6 * 1024 * 1024)
    async with serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound, connect(bound) as client:
        await client.submit(SubmitRequest(name="a", template=b"t", inputs=data))
        fake.log["default/a"] = bytearray(data)

        chunks = [chunk.data async for chunk in client.logs("default/a")]

    assert b"".join(chunks) == data


@pytest.mark.parametrize("letter", ["a", "ä", "\U0001f600", "%", "\n"])
def test_a_message_always_fits_into_a_header(letter: str) -> None:
    text = header_text(letter * 20_000)

    sent_as_it_is = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
    assert len(urllib.parse.quote(text, safe=sent_as_it_is)) < 8192 - 1000
    assert len(text) > 300


async def test_a_message_longer_than_a_header_is_cut(fake: FakeEngineApi, tmp_path: Path) -> None:
    fake.refuse["get"] = ApiError("failed", "ä" * 20_000)

    async with serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound, connect(bound) as client:
        with pytest.raises(ApiError, match="characters left out") as caught:
            await client.get("x")

    assert caught.value.code == "failed"


async def code_of(views: AsyncIterator[ExecutionView], seen: asyncio.Event) -> str:
    try:
        async for _ in views:
            seen.set()
    except ApiError as error:
        return error.code
    return "ended"


async def test_when_the_server_stops_streams_end_as_unavailable(fake: FakeEngineApi, tmp_path: Path) -> None:
    address, seen = UnixAddress(tmp_path / "run" / "s"), asyncio.Event()

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group, serving(fake, address, INFO) as bound:
        client = await stack.enter_async_context(connect(bound))
        await client.submit(SubmitRequest(name="a", template=b"t"))
        watcher = group.create_task(code_of(client.watch("default/a"), seen))
        await seen.wait()

    assert watcher.result() == "unavailable"
    assert not address.path.exists()


async def test_when_the_client_is_closed_its_streams_end_as_unavailable(fake: FakeEngineApi, tmp_path: Path) -> None:
    seen = asyncio.Event()

    async with (
        asyncio.TaskGroup() as group,
        serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound,
        connect(bound) as client,
    ):
        await client.submit(SubmitRequest(name="a", template=b"t"))
        watcher = group.create_task(code_of(client.watch("default/a"), seen))
        await seen.wait()

    assert watcher.result() == "unavailable"


async def test_without_a_server_a_client_says_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="no engine answers") as no_socket:
        connect(UnixAddress(tmp_path / "s"))
    async with connect("127.0.0.1:1") as client:
        with pytest.raises(ApiError, match=r"no engine answers at 127\.0\.0\.1:1") as no_port:
            await client.get("a")

    assert (no_socket.value.code, no_port.value.code) == ("unavailable", "unavailable")


async def test_health_is_told_without_a_token(fake: FakeEngineApi, tmp_path: Path) -> None:
    async with (
        serving(fake, PORT, INFO, token_file=tmp_path / "token") as bound,
        grpc.aio.insecure_channel(str(bound)) as channel,
    ):
        whole = await health_check(channel)(health_pb2.HealthCheckRequest())
        service = await health_check(channel)(health_pb2.HealthCheckRequest(service=SERVICE))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_check(channel)(health_pb2.HealthCheckRequest(service="other"))

    assert (whole.status, service.status) == (1, 1)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_is_told_once_more_when_the_server_stops(fake: FakeEngineApi, tmp_path: Path) -> None:
    statuses: list[int] = []
    first = asyncio.Event()

    async def watch(channel: grpc.aio.Channel) -> None:
        async for answer in health_check(channel, "Watch")(health_pb2.HealthCheckRequest()):
            statuses.append(answer.status)
            first.set()

    async with asyncio.TaskGroup() as group, serving(fake, UnixAddress(tmp_path / "run" / "s"), INFO) as bound:
        channel = grpc.aio.insecure_channel(target(bound))
        group.create_task(watch(channel))
        await first.wait()
    await channel.close()

    assert statuses == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
