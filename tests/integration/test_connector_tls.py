"""A connector service on another machine: TLS with a certificate that is checked, and a token with each call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin import agent_pb2
from tests.support.literal_maps import literals, plain
from tests.support.tls import Certificates, make_certificates

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import NotStarted
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.idl.phase import Phase
from airscrew.idl.template import make_template
from airscrew.plugins.connector import ConnectorExecutor

TOKEN = "let-me-in-4711"
TASK = make_template("far_job", outputs={"answer": str})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("other-pki"))


class Service:
    """Answers for jobs that have ended at once; counts what it made, and refuses who has no token."""

    def __init__(self) -> None:
        self.made = 0

    async def list_agents(self, _: bytes, context: Any) -> bytes:
        await self._check(context)
        agent = agent_pb2.Agent(name="far", supported_task_categories=[agent_pb2.TaskCategory(name="far_job")])
        return agent_pb2.ListAgentsResponse(agents=[agent]).SerializeToString()

    async def create(self, _: bytes, context: Any) -> bytes:
        await self._check(context)
        self.made += 1
        return agent_pb2.CreateTaskResponse(resource_meta=b"job-1").SerializeToString()

    async def get(self, _: bytes, context: Any) -> bytes:
        await self._check(context)
        outputs = literals(answer=("well", str))
        resource = agent_pb2.Resource(phase=3, outputs=outputs)
        return agent_pb2.GetTaskResponse(resource=resource).SerializeToString()

    async def _check(self, context: Any) -> None:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")


@asynccontextmanager
async def serving(certificates: Certificates, service: Service) -> AsyncIterator[int]:
    """Serve on loopback, over TLS."""
    server = grpc.aio.server()
    calls = {"CreateTask": service.create, "GetTask": service.get}
    asynchronous = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
    listing = {"ListAgents": grpc.unary_unary_rpc_method_handler(service.list_agents)}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("flyteidl.service.AsyncAgentService", asynchronous),
            grpc.method_handlers_generic_handler("flyteidl.service.AgentMetadataService", listing),
        )
    )
    pair = (certificates.server.key.read_bytes(), certificates.server.cert.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def executor_at(
    port: int, ca: Path | str, token_file: Path, folder: Path, *, server_name: str = ""
) -> ExecutorEnvironment[Any]:
    service = {
        "endpoint": f"127.0.0.1:{port}",
        "tls": {"ca": str(ca), "server_name": server_name},
        "token_file": str(token_file),
        "interval": 0.1,
        "timeout": 2.0,
        "create_timeout": 1.5,
        "task_types": ["far_job"],
    }
    return ExecutorEnvironment(
        ConnectorExecutor,
        config={"services": {"far": service}},
        state_directory=str(folder / "state"),
        root=(folder / "data").as_uri(),
    )


def token_in(folder: Path, token: str) -> Path:
    path = folder / "token"
    path.write_text(f"{token}\n")
    return path


async def test_a_service_with_a_certificate_of_the_authority_and_the_token_runs_a_task(
    certificates: Certificates, tmp_path: Path
) -> None:
    service = Service()
    async with (
        serving(certificates, service) as port,
        executor_at(port, certificates.ca, token_in(tmp_path, TOKEN), tmp_path) as environment,
    ):
        status = await environment.attempt(TASK).run(limit_seconds=20.0)

    assert status.phase is Phase.SUCCESS
    assert plain(status.outputs) == {"answer": "well"}
    assert service.made == 1


@pytest.mark.parametrize("trusted", ["another of the same name", "those of the system", "the right one"])
async def test_a_certificate_that_is_not_trusted_is_one_clear_line_and_nothing_is_sent(
    certificates: Certificates, strangers: Certificates, tmp_path: Path, trusted: str
) -> None:
    service = Service()
    name = "elsewhere.example" if trusted == "the right one" else ""
    ca = {"another of the same name": strangers.ca, "the right one": certificates.ca}.get(trusted, "")
    async with (
        serving(certificates, service) as port,
        executor_at(port, ca, token_in(tmp_path, TOKEN), tmp_path, server_name=name) as environment,
    ):
        told = await environment.attempt(TASK).start()

    assert isinstance(told, NotStarted)
    assert told.reason == (
        f"connector far cannot be reached at 127.0.0.1:{port}:"
        " its certificate is not of an authority in tls.ca, or not for this host name"
    )
    assert service.made == 0


async def test_a_wrong_token_is_one_clear_line_and_uses_up_no_attempt(
    certificates: Certificates, tmp_path: Path
) -> None:
    service = Service()
    async with serving(certificates, service) as port:
        token = token_in(tmp_path, "not-this-one")
        async with executor_at(port, certificates.ca, token, tmp_path) as environment:
            attempt = environment.attempt(TASK)
            told = await attempt.start()
            token.write_text(TOKEN)
            status = await attempt.run(limit_seconds=20.0)

    assert isinstance(told, NotStarted)
    assert told.reason == "connector far, CreateTask: UNAUTHENTICATED: no valid token"
    assert "not-this-one" not in told.reason
    assert status.phase is Phase.SUCCESS
    assert service.made == 1


async def test_a_task_that_nobody_is_known_to_serve_is_told_of_the_wrong_token(
    certificates: Certificates, tmp_path: Path
) -> None:
    async with (
        serving(certificates, Service()) as port,
        executor_at(port, certificates.ca, token_in(tmp_path, ""), tmp_path) as environment,
    ):
        with pytest.raises(PermanentError) as refusal:
            await environment.attempt(make_template("other_job")).start()

    assert str(refusal.value) == (
        "no connector serves other_job for tasks of flyte1; served are far_job (far);"
        " far: connector far, ListAgents: UNAUTHENTICATED: no valid token"
    )


async def test_a_port_where_nobody_listens_says_so(certificates: Certificates, tmp_path: Path) -> None:
    async with executor_at(1, certificates.ca, token_in(tmp_path, TOKEN), tmp_path) as environment:
        told = await environment.attempt(TASK).start()

    assert isinstance(told, NotStarted)
    assert told.reason.startswith("connector far cannot be reached at 127.0.0.1:1: ")
    assert "Connection refused" in told.reason
