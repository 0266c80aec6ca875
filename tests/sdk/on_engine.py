"""The real engine, opened in a folder of its own, and one execution on it seen from its submission to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView
    from airscrew.engine.api.port import EngineApi

LIMIT_SECONDS = 120.0
HERE = {"PYTHONPATH": str(harness.ROOT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """
    An execution that is over.

    Attributes:
        views: It, after each change.
        outputs: In the wire form of its template; empty without success.
    """

    views: list[ExecutionView]
    outputs: bytes

    @property
    def view(self) -> ExecutionView:
        return self.views[-1]

    @property
    def phase(self) -> str:
        return self.view.phase.title

    @property
    def why(self) -> str:
        return f"{self.phase}: {self.view.reason}: {self.view.error}"

    @property
    def deck(self) -> str:
        return Path(self.view.deck_uri.removeprefix("file://")).read_text()


@asynccontextmanager
async def engine_in(home: Path, executors: Mapping[str, Any] | None = None) -> AsyncIterator[EngineApi]:
    """Be the engine of a home folder, with processes switched on, and what executors are told."""
    from airscrew.engine.config import EngineSettings, WorkKind, WorkScope
    from airscrew.engine.manager import open_engine

    settings = EngineSettings(home=str(home), process_executor=True, executors=dict(executors or {}))
    async with open_engine(settings, work=WorkScope(kind=WorkKind.ALL), serve_socket=False) as api:
        yield api


async def run(
    api: EngineApi,
    template: bytes,
    inputs: bytes = b"",
    *,
    wire: str = "flyte1",
    environment: Mapping[str, str] = HERE,
    **options: Any,
) -> Ran:
    """Submit what an SDK has serialized, a template or a specification with one inside, and wait for its end."""
    from airscrew.engine.api.model import SubmitRequest
    from airscrew.idl.template import load_one

    core = load_one(template)
    assert core.wire == wire
    request = SubmitRequest(template=core.raw, inputs=inputs, wire=wire, environment=dict(environment), **options)
    reply = await api.submit(request)
    async with asyncio.timeout(LIMIT_SECONDS):
        views = [view async for view in api.watch(reply.execution)]
    succeeded = views[-1].phase.title == "Success"
    return Ran(views=views, outputs=(await api.outputs(reply.execution)).outputs if succeeded else b"")


async def run_task(api: EngineApi, entity: Any, *, options: Mapping[str, Any] | None = None, **values: Any) -> Ran:
    """Serialize a flytekit task and its inputs, and run it."""
    inputs = harness.to_literals(entity, values).SerializeToString()
    return await run(api, harness.serialize(entity), inputs, **(options or {}))


async def run_task2(api: EngineApi, task: Any, **values: Any) -> Ran:
    """Serialize a Flyte 2 task and its inputs, and run it."""
    inputs = harness.to_inputs2(task, values).SerializeToString()
    return await run(api, harness.serialize2(task), inputs, wire="flyte2")


def literals(ran: Ran) -> Any:
    """Give the outputs as a ``core.LiteralMap``."""
    from flyteidl.core import literals_pb2

    assert ran.phase == "Success", ran.why
    return literals_pb2.LiteralMap.FromString(ran.outputs)


def values(entity: Any, ran: Ran) -> dict[str, Any]:
    """Give the outputs as Python values."""
    return harness.from_literals(entity, literals(ran))
