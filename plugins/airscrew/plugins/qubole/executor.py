"""
Hive commands of Qubole as jobs of the WebAPI framework, and the executor over it.

Qubole knows no idempotency keys; a command's name is the attempt's key, by which the history of commands finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec
from typing_extensions import override

from airscrew.engine.executor import Findable, TaskContext, TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import LogLink, TaskInfo
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_provider import HttpExecutor, HttpPlugin, OpenTransport, limits_of
from airscrew.plugins.qubole.client import TOKEN, Command, QuboleClient, made_at
from airscrew.plugins.qubole.config import Config, console_of, read_config
from airscrew.plugins.qubole.job import body_of, make_state, results_at
from airscrew.plugins.qubole.state import HiveState
from airscrew.plugins.webapi import (
    Created,
    Listed,
    Opening,
    Prepared,
    SecretRef,
)

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.plugins.qubole_pb2 import QuboleHiveJob

Context = TaskContext[HiveState]
_OVER = frozenset({"done", "error", "cancelled"})


class QubolePlugin(HttpPlugin[HiveState, Command]):
    """
    Commands of one Qubole account.

    Args:
        open_transport: Opens what sends requests.
    """

    id = "qubole"
    task_types = ("hive",)
    state_type = HiveState
    start_declaration = Findable()

    def __init__(self, open_transport: OpenTransport) -> None:
        super().__init__(open_transport)
        self.config: Config
        self.client: QuboleClient

    @override
    def configure(self, config: Mapping[str, object]) -> None:
        self.config = read = read_config(config)
        self.secrets = {TOKEN: SecretRef(read.secret, read.group)}
        self.start_declaration = Findable(settle=read.settle)
        self.limits = replace(limits_of(read), settle_seconds=read.settle)

    @override
    async def open(self, opening: Opening[Command]) -> None:
        transport = self.opened_transport(opening)
        self.client = QuboleClient(config=self.config, transport=transport, vault=opening.vault)

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[HiveState]:
        job = cast("QuboleHiveJob", context.message)
        state = await make_state(context, template, job, self.config.cluster)
        return Prepared(state, body_of(context.key, state))

    @override
    async def create(self, context: Context, prepared: Prepared[HiveState]) -> Created[Command]:
        command = await self.client.create(cast("Mapping[str, object]", prepared.body))
        return Created(str(command.id), command)

    @override
    async def get(self, state: HiveState) -> Command | None:
        return await self.client.get(state.id)

    @override
    async def delete(self, state: HiveState) -> Command | None:
        if not await self.client.kill(state.id):
            return None
        return Command(id=int(state.id), status="cancelling")  # the next read tells whether it is

    @override
    async def find(self, context: Context) -> Sequence[Listed]:
        return [Listed(str(one.id), made_at(one)) for one in await self.client.find(context.key)]

    @override
    def is_over(self, view: Command) -> bool:
        return view.status in _OVER

    @override
    def status(self, state: HiveState, view: Command | None) -> TaskStatus[HiveState]:
        if view is not None:
            state = msgspec.structs.replace(state, status=view.status, progress=_share(view))
        told = f"command {state.id} of Qubole is {state.status or 'made'}"
        return _status(state, told).with_info(TaskInfo(progress=state.progress))

    @override
    def links(self, state: HiveState, view: Command | None) -> Sequence[LogLink]:
        return [LogLink(name="Qubole", uri=console_of(self.config.url, state.id))]

    @override
    async def outputs(self, context: Context, state: HiveState, view: Command | None) -> LiteralMap | None:
        return results_at(state, context.locations.raw_output_prefix)


class QuboleExecutor(HttpExecutor[HiveState, Command]):
    """Runs Hive tasks at Qubole."""

    plugin_type = QubolePlugin

    @override
    def make_plugin(self) -> HttpPlugin[HiveState, Command]:
        """Make the plugin with what sends its requests; from now on its tasks are read as their message says."""
        from flyteidl.plugins.qubole_pb2 import QuboleHiveJob

        vars(self)["custom_message"] = QuboleHiveJob  # not on the class: a command that lists executors loads no IDL
        return super().make_plugin()


def _share(command: Command) -> float | None:
    return None if command.progress is None else min(max(command.progress / 100, 0.0), 1.0)


def _status(state: HiveState, told: str) -> TaskStatus[HiveState]:
    match state.status:
        case "" | "waiting":
            return TaskStatus.queued(state, told)
        case "running" | "cancelling":
            return TaskStatus.running(state, told)
        case "done":
            return TaskStatus.success(state)
        case "error":
            message = f"command {state.id} failed at Qubole: its log says why"
            return TaskStatus.retryable_failure(state, message, code="HiveQueryFailed")
        case "cancelled":
            message = f"command {state.id} was cancelled at Qubole, not by us"
            return TaskStatus.retryable_failure(state, message, code="JobCancelled", kind=ErrorKind.SYSTEM)
        case strange:
            raise ValueError(f"Qubole says {strange!r} of command {state.id}, which its API does not know")
