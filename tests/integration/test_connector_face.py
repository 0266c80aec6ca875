"""
The engine as a connector service: asked by flyteidl's own client, by Flyte 2's, and by another airscrew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from flyteidl.admin import agent_pb2
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.service.agent_pb2_grpc import AgentMetadataServiceStub, AsyncAgentServiceStub, SyncAgentServiceStub
from tests.support.literal_maps import literals, plain

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress
from airscrew.engine.api.connector_face import INLINE_BYTES, Offer
from airscrew.engine.api.model import ListRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.api.server import Port, serving
from airscrew.engine.config import EngineSettings, WorkKind, WorkScope
from airscrew.engine.data.storage import Storage
from airscrew.engine.manager import open_engine
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.connector import ConnectorExecutor

LIMIT = 20.0
SLEEP = make_template("core-sleep", inputs={"duration": timedelta})


@dataclass(frozen=True, slots=True)
class Offering:
    api: EngineApi
    endpoint: str
    token_file: Path

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token_file.read_text().strip()}"),)


@asynccontextmanager
async def offering(home: Path, types: tuple[str, ...] = ("echo", "core-sleep")) -> AsyncIterator[Offering]:
    info = ServerInfo(version="1", pid=1, started_at=0.0)
    token_file = home / "token"
    async with (
        Storage() as storage,
        open_engine(EngineSettings(home=str(home)), work=WorkScope(kind=WorkKind.ALL), serve_socket=False) as api,
        serving(
            api,
            TcpAddress("127.0.0.1", 0),
            info,
            token_file=token_file,
            port=Port(offer=Offer(types=types, sync_types=("echo", "core-sleep"), write=storage.write)),
        ) as bound,
    ):
        yield Offering(api, str(bound).rpartition("//")[2], token_file)


def echo_request(name: str = "ex") -> Any:
    template = make_template("echo", inputs={"x": int}, outputs={"o0": int})
    request = agent_pb2.CreateTaskRequest(template=template.message, inputs=literals(x=(7, int)))
    told = request.task_execution_metadata.task_execution_id
    told.node_execution_id.execution_id.name = name
    told.node_execution_id.node_id = "n0"
    return request


async def until_over(client: Any, meta: bytes, metadata: Any, prefix: str = "") -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            asked = agent_pb2.GetTaskRequest(resource_meta=meta, output_prefix=prefix)
            resource = (await client.GetTask(asked, metadata=metadata)).resource
            if resource.phase in {TaskExecution.SUCCEEDED, TaskExecution.FAILED, TaskExecution.ABORTED}:
                return resource
            await asyncio.sleep(0.02)


async def test_flytes_own_client_has_a_task_run(tmp_path: Path) -> None:
    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncAgentServiceStub(channel)
        agents = await AgentMetadataServiceStub(channel).ListAgents(
            agent_pb2.ListAgentsRequest(), metadata=one.metadata
        )
        made = await client.CreateTask(echo_request(), metadata=one.metadata)

        resource = await until_over(client, made.resource_meta, one.metadata)
        asked = agent_pb2.GetTaskMetricsRequest(resource_meta=made.resource_meta)
        measured = await client.GetTaskMetrics(asked, metadata=one.metadata)

    assert [each.name for each in agents.agents[0].supported_task_categories] == ["echo", "core-sleep"]
    assert not measured.results
    assert resource.phase == TaskExecution.SUCCEEDED
    assert plain(resource.outputs) == {"o0": 7}


async def test_outputs_lie_at_the_prefix_that_the_caller_gave(tmp_path: Path) -> None:
    prefix = (tmp_path / "callers" / "n0" / "data" / "0").as_uri()
    async with offering(tmp_path / "home") as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncAgentServiceStub(channel)
        made = await client.CreateTask(echo_request(), metadata=one.metadata)
        await until_over(client, made.resource_meta, one.metadata, prefix)

    written = (tmp_path / "callers" / "n0" / "data" / "0" / "outputs.pb").read_bytes()
    assert plain(LiteralMap.FromString(written)) == {"o0": 7}


async def test_large_outputs_are_at_the_prefix_alone_and_in_the_answer_where_there_is_none(tmp_path: Path) -> None:
    text = "x" * (INLINE_BYTES + 1)
    request = echo_request()
    request.template.CopyFrom(make_template("echo", inputs={"x": str}, outputs={"o0": str}).message)
    request.inputs.CopyFrom(literals(x=(text, str)))
    prefix = (tmp_path / "callers").as_uri()
    async with offering(tmp_path / "home") as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncAgentServiceStub(channel)
        meta = (await client.CreateTask(request, metadata=one.metadata)).resource_meta
        placed = await until_over(client, meta, one.metadata, prefix)
        told = await until_over(client, meta, one.metadata)

    written = (tmp_path / "callers" / "outputs.pb").read_bytes()
    assert not placed.HasField("outputs")
    assert plain(LiteralMap.FromString(written)) == plain(told.outputs) == {"o0": text}


def sync_requests(name: str, template: Any, prefix: str = "", **inputs: tuple[object, type]) -> list[Any]:
    header = agent_pb2.CreateRequestHeader(template=template.message, output_prefix=prefix)
    told = header.task_execution_metadata.task_execution_id
    told.node_execution_id.execution_id.name = name
    parts = [literals(**{key: value}) for key, value in inputs.items()]
    return [
        agent_pb2.ExecuteTaskSyncRequest(header=header),
        *(agent_pb2.ExecuteTaskSyncRequest(inputs=part) for part in parts),
    ]


async def test_flytes_own_client_has_a_sync_task_done_in_one_call(tmp_path: Path) -> None:
    template = make_template("echo", inputs={"x": int, "y": str}, outputs={"o0": int})
    prefix = (tmp_path / "callers").as_uri()
    async with offering(tmp_path / "home") as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = SyncAgentServiceStub(channel)
        agents = await AgentMetadataServiceStub(channel).ListAgents(
            agent_pb2.ListAgentsRequest(), metadata=one.metadata
        )
        answers = []
        for _ in range(2):
            requests = sync_requests("ex", template, prefix, x=(7, int), y=("beside", str))
            call = client.ExecuteTaskSync(iter(requests), metadata=one.metadata, timeout=LIMIT)
            answers += [answer async for answer in call]
        executions = (await one.api.list(ListRequest())).executions

    assert [each.is_sync for each in agents.agents] == [False, True]
    assert [answer.header.resource.phase for answer in answers] == [TaskExecution.SUCCEEDED] * 2
    assert plain(answers[0].header.resource.outputs)["o0"] == 7
    assert plain(LiteralMap.FromString((tmp_path / "callers" / "outputs.pb").read_bytes()))["o0"] == 7
    assert len(executions) == 1, "the same task execution is one execution"


async def test_a_sync_call_whose_caller_goes_away_leaves_what_can_be_found_again(tmp_path: Path) -> None:
    requests = sync_requests("ex", SLEEP, duration=(timedelta(hours=1), timedelta))
    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = SyncAgentServiceStub(channel)
        call = client.ExecuteTaskSync(iter(requests), metadata=one.metadata)
        await until_here(one, Phase.RUNNING)
        call.cancel()
        again = client.ExecuteTaskSync(iter(requests), metadata=one.metadata, timeout=LIMIT)
        (execution,) = (await one.api.list(ListRequest())).executions
        await one.api.kill(execution.execution, "enough")
        answers = [answer async for answer in again]

    assert [answer.header.resource.phase for answer in answers] == [TaskExecution.ABORTED]
    assert "enough" in answers[0].header.resource.message


async def test_a_sync_call_that_nobody_can_make_again_is_killed_when_its_caller_goes_away(tmp_path: Path) -> None:
    requests = sync_requests("", SLEEP, duration=(timedelta(hours=1), timedelta))
    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        call = SyncAgentServiceStub(channel).ExecuteTaskSync(iter(requests), metadata=one.metadata)
        await until_here(one, Phase.RUNNING)

        call.cancel()
        await until_here(one, Phase.ABORTED)


async def until_here(one: Offering, phase: Phase) -> None:
    """Wait until the one execution is in a phase."""

    async def is_so() -> bool:
        return [view.phase for view in (await one.api.list(ListRequest())).executions] == [phase]

    async with asyncio.timeout(LIMIT):
        while not await is_so():  # noqa: ASYNC110 - what is waited for is on the other side of a connection
            await asyncio.sleep(0.02)


async def test_another_airscrew_has_a_sync_task_done_here(tmp_path: Path) -> None:
    async with offering(tmp_path / "far", types=()) as one:
        service = {"endpoint": one.endpoint, "insecure": True, "token_file": str(one.token_file)}
        environment: ExecutorEnvironment[Any] = ExecutorEnvironment(
            ConnectorExecutor, config={"services": {"far": service}}
        )
        async with environment:
            echo = environment.attempt(
                make_template("echo", inputs={"x": int}, outputs={"o0": int}), literals(x=(7, int)), name="echo"
            )
            status = await echo.run(limit_seconds=LIMIT)

    assert plain(status.outputs) == {"o0": 7}


async def test_a_create_that_is_sent_twice_is_one_execution(tmp_path: Path) -> None:
    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncAgentServiceStub(channel)
        first, again, other = [
            (await client.CreateTask(echo_request(name), metadata=one.metadata)).resource_meta
            for name in ("ex", "ex", "another")
        ]
        listed = (await one.api.list(ListRequest())).executions

    assert first == again != other
    assert len(listed) == 2


async def test_nobody_is_served_without_the_token_nor_beyond_what_is_offered(tmp_path: Path) -> None:
    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncAgentServiceStub(channel)
        codes = []
        noop = agent_pb2.CreateTaskRequest(template=make_template("noop").message)
        for request, metadata in ((echo_request(), ()), (noop, one.metadata)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.CreateTask(request, metadata=metadata)
            codes.append(caught.value.code())

    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND]


async def test_flyte_2s_own_client_has_a_task_run(tmp_path: Path) -> None:
    from flyteidl2.connector import connector_pb2
    from flyteidl2.connector.service_pb2_grpc import AsyncConnectorServiceStub

    first = echo_request()
    request = connector_pb2.CreateTaskRequest()
    request.template.MergeFromString(first.template.SerializeToString())
    literal = first.inputs.literals["x"].SerializeToString()
    request.inputs.literals.add(name="x").value.MergeFromString(literal)

    async with offering(tmp_path) as one, grpc.aio.insecure_channel(one.endpoint) as channel:
        client = AsyncConnectorServiceStub(channel)
        meta = (await client.CreateTask(request, metadata=one.metadata)).resource_meta
        async with asyncio.timeout(LIMIT):
            while True:
                asked = connector_pb2.GetTaskRequest(resource_meta=meta)
                resource = (await client.GetTask(asked, metadata=one.metadata)).resource
                if resource.phase == TaskExecution.SUCCEEDED:
                    break
                await asyncio.sleep(0.02)

    assert [(each.name, each.value.scalar.primitive.integer) for each in resource.outputs.literals] == [("o0", 7)]


async def test_another_airscrew_starts_and_kills_tasks_here(tmp_path: Path) -> None:
    async with offering(tmp_path / "far") as one:
        service = {"endpoint": one.endpoint, "insecure": True, "token_file": str(one.token_file), "interval": 0.1}
        config = {"services": {"far": service}}
        environment: ExecutorEnvironment[Any] = ExecutorEnvironment(ConnectorExecutor, config=config)
        async with environment:
            echo = environment.attempt(
                make_template("echo", inputs={"x": int}, outputs={"o0": int}), literals(x=(7, int)), name="echo"
            )
            status = await echo.run(limit_seconds=LIMIT)
            sleep = environment.attempt(
                make_template("core-sleep", inputs={"duration": timedelta}),
                literals(duration=(timedelta(hours=1), timedelta)),
                name="sleep",
            )
            await sleep.run(until=Phase.RUNNING, limit_seconds=LIMIT)
            await sleep.kill_until_gone(limit_seconds=LIMIT)
        phases = {view.task_type: view.phase for view in (await one.api.list(ListRequest())).executions}

    assert plain(status.outputs) == {"o0": 7}
    assert phases == {"echo": Phase.SUCCESS, "core-sleep": Phase.ABORTED}
