"""
Requests: raw bytes for every call of the service, and of the connector services, over a socket to a real server.

A refusal has a status that fits and says in a line why; the engine behind goes on taking and running tasks.
"""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.admin import agent_pb2
from hypothesis import strategies as st
from tests.fuzz.engine import healthy_request, open_engine, settled
from tests.fuzz.mutations import spoilt_bytes, spoilt_messages, weighted
from tests.fuzz.target import Target, nothing_unforeseen
from tests.support.templates import echo_template

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import UnixAddress
from airscrew.engine.api.client import connect, target
from airscrew.engine.api.connector_face import Offer
from airscrew.engine.api.model import ListRequest, SubmitRequest
from airscrew.engine.api.server import SERVICE, Port, serving
from airscrew.engine.api.wire import encode
from airscrew.idl.proto.service.v1 import service_pb2 as pb
from airscrew.plugins.echo import EchoExecutor
from airscrew.plugins.noop import NoopExecutor
from airscrew.state.memory import MemoryStore

CALL_SECONDS = 20.0
STREAM_SECONDS = 0.2
GOOD = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
INFO = ServerInfo(version="1", pid=1, started_at=1.0)
THERE = "default/healthy-1"
"""An execution that is there, unless an example has pruned it."""

AGENT = "flyteidl.service.AsyncAgentService"


@dataclass(frozen=True)
class Call:
    """A call: its path, its request, and whether it has many answers."""

    path: str
    kind: type[Any]
    seeds: list[bytes]
    is_stream: bool = False


def calls() -> list[Call]:
    """Every call that the server takes."""
    own = pb.DESCRIPTOR.services_by_name["EngineService"]
    made = [
        Call(
            f"/{SERVICE}/{one.name}", getattr(pb, one.input_type.name), seeds(one.input_type.name), one.server_streaming
        )
        for one in own.methods
    ]
    create = agent_pb2.CreateTaskRequest(template=echo_template({"x": "int"}), output_prefix="s3://b/o")
    create.inputs.ParseFromString(healthy_request().inputs)
    create.task_execution_metadata.task_execution_id.retry_attempt = 1
    create.task_execution_metadata.namespace = "default"
    one = THERE.encode()
    return [
        *made,
        Call(f"/{AGENT}/CreateTask", agent_pb2.CreateTaskRequest, [create.SerializeToString()]),
        Call(f"/{AGENT}/GetTask", agent_pb2.GetTaskRequest, [_agent(agent_pb2.GetTaskRequest, one)]),
        Call(f"/{AGENT}/DeleteTask", agent_pb2.DeleteTaskRequest, [_agent(agent_pb2.DeleteTaskRequest, one)]),
    ]


def _agent(kind: Any, name: bytes) -> bytes:
    return bytes(kind(resource_meta=name).SerializeToString())


def seeds(name: str) -> list[bytes]:
    """Real requests of a kind."""
    submit = SubmitRequest(
        name="bad",
        template=echo_template({"x": "int"}).SerializeToString(),
        inputs=healthy_request().inputs,
        labels={"a": "b"},
        annotations={"c": "d"},
        environment={"E": "f"},
        overrides={"resources": {"requests": {"cpu": "1"}}, "container_image": "i"},
        timeouts={"total": 60.0},
        max_attempts=2,
        interruptible=True,
        output_prefix="file:///tmp/o",
        executor="echo",
        item=3,
        origin="default/origin",
    )
    plain = SubmitRequest(template=submit.template, inputs=submit.inputs)
    child = SubmitRequest(template=submit.template, inputs=submit.inputs, parent=THERE, item=0)
    known: dict[str, list[Any]] = {
        "SubmitRequest": [encode(submit, pb.SubmitRequest()), encode(plain, pb.SubmitRequest())]
        + [encode(child, pb.SubmitRequest())] * 2,
        "ListRequest": [encode(ListRequest(labels={"a": "b"}, limit=3), pb.ListRequest())],
        "KillRequest": [pb.KillRequest(execution=name, reason="r", force=True) for name in (THERE, "default/bad")],
        "PruneRequest": [pb.PruneRequest(older_than_seconds=5.0, keep=2, dry_run=True)],
    }
    kind = getattr(pb, name)
    fields = set(kind.DESCRIPTOR.fields_by_name)
    usual = [kind(execution=THERE), kind(execution="x/y")] if "execution" in fields else [kind()]
    return [one.SerializeToString() for one in known.get(name, usual)]


CALLS = calls()


@dataclass
class Served:
    """A server with an engine behind it, for all examples of a process: one for each would take most of the time."""

    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    number: int = 0
    life: asyncio.Task[None] | None = None

    def open(self) -> None:
        ready = asyncio.Event()
        loop = self.runner.get_loop()
        self.life = loop.create_task(self._live(ready))
        self.runner.run(self._until(ready))

    def close(self) -> None:
        if self.life is not None:
            self.stop.set()
            life, self.life = self.life, None
            self.runner.run(self._over(life))
            self.runner.close()

    async def _until(self, ready: asyncio.Event) -> None:
        assert self.life is not None
        self.life.add_done_callback(lambda _: ready.set())
        await ready.wait()
        if self.life.done():
            self.life.result()

    async def _over(self, life: asyncio.Task[None]) -> None:
        await life

    async def _live(self, ready: asyncio.Event) -> None:
        with tempfile.TemporaryDirectory(prefix="airscrew-fuzz-") as folder:
            port = Port(offer=Offer(types=("echo", "noop")))
            address = UnixAddress(Path(folder) / "s")
            async with (
                open_engine(folder, MemoryStore(), [EchoExecutor(), NoopExecutor()]) as core,
                serving(core.api, address, INFO, port=port, grace_seconds=0.1) as bound,
                connect(bound) as self.client,
                grpc.aio.insecure_channel(target(bound)) as self.channel,
            ):
                self.core = core
                ready.set()
                await self.stop.wait()

    async def feed(self, call: Call, data: bytes) -> None:
        """Send raw bytes; see that the answer is one of those that may be, and that the engine works."""
        code, details = await (self._stream(call, data) if call.is_stream else self._unary(call, data))
        assert code in GOOD, f"{call.path}: {code} {details}"
        assert "\n" not in details, details
        self.number += 1
        name = f"healthy-{self.number}"
        await self.client.submit(_named(name))
        view = await settled(self.core, f"default/{name}")
        assert view.phase.name == "SUCCESS", view

    async def _unary(self, call: Call, data: bytes) -> tuple[grpc.StatusCode, str]:
        try:
            await self.channel.unary_unary(call.path)(data, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""

    async def _stream(self, call: Call, data: bytes) -> tuple[grpc.StatusCode, str]:
        try:
            async for _ in self.channel.unary_stream(call.path)(data, timeout=STREAM_SECONDS):
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""


def _named(name: str) -> SubmitRequest:
    import msgspec

    return msgspec.structs.replace(healthy_request(), name=name)


@cache
def served() -> Served:
    made = Served()
    made.open()
    atexit.register(made.close)
    return made


@pytest.fixture(scope="module", autouse=True)
def _end() -> Iterator[None]:
    yield
    served().close()
    served.cache_clear()


def check(data: bytes) -> None:
    call = CALLS[(data[0] if data else 0) % len(CALLS)]
    with nothing_unforeseen():
        one = served()
        one.runner.run(one.feed(call, data[1:]))


def of(place: int, call: Call) -> st.SearchStrategy[bytes]:
    messages = spoilt_messages(call.kind, call.seeds)
    return weighted((4, messages), (1, spoilt_bytes(call.seeds))).map(lambda data: bytes([place]) + data)


EACH = [of(place, call) for place, call in enumerate(CALLS)]
INPUTS = weighted(
    *((6 if "Create" in one.path or "Submit" in one.path else 1, each) for one, each in zip(CALLS, EACH, strict=True))
)
TARGET = Target(name="requests", inputs=INPUTS, check=check, examples=200)


@TARGET.fuzzed
def test_any_request_is_answered_and_the_engine_goes_on(data: bytes) -> None:
    check(data)
