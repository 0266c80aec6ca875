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
from flyteidl.service.agent_pb2_grpc import AgentMetadataServiceStub, AsyncAgentServiceStub
from tests.support.literal_maps import literals, plain

from airscrew.engine.api.adapter import ServerInfo
from airscrew.engine.api.address import TcpAddress
from airscrew.engine.api.model import EngineApi, ListRequest
from airscrew.engine.api.server import Port, serving
from airscrew.engine.config import EngineSettings, WorkKind, WorkScope
from airscrew.engine.manager import open_engine
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.connector import ConnectorExecutor

LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Offering:
    api: EngineApi
    endpoint: str
    token_file: Path

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token_file.read_text().strip()}"),)


@asynccontextmanager
async def offering(home: Path) -> AsyncIterator[Offering]:
    info = ServerInfo(version="1", pid=1, started_at=0.0)
    port = Port(connector_types=("echo", "core-sleep"))
    token_file = home / "token"
    async with (
        open_engine(EngineSettings(home=str(home)), work=WorkScope(kind=WorkKind.ALL), serve_socket=False) as api,
        serving(api, TcpAddress("127.0.0.1", 0), info, token_file=token_file, port=port) as bound,
    ):
        yield Offering(api, str(bound).rpartition("//")[2], token_file)


def echo_request(name: str = "ex") -> Any:
    template = make_template("echo", inputs={"x": int}, outputs={"o0": int})
    request = agent_pb2.CreateTaskRequest(template=template.message, inputs=literals(x=(7, int)))
    told = request.task_execution_metadata.task_execution_id
    told.node_execution_id.execution_id.name = name
    told.node_execution_id.node_id = "n0"
    return request


async def until_over(client: Any, meta: bytes, metadata: Any) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            asked = agent_pb2.GetTaskRequest(resource_meta=meta)
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

    assert [each.name for each in agents.agents[0].supported_task_categories] == ["echo", "core-sleep"]
    assert resource.phase == TaskExecution.SUCCEEDED
    assert plain(resource.outputs) == {"o0": 7}


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
