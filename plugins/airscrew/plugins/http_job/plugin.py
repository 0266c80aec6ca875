"""
One configured service as a plugin of the WebAPI framework: single requests, and what its answers mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from airscrew.engine.executor import StartDeclaration, TaskContext, TaskStatus
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_job.client import AUTH, ServiceClient
from airscrew.plugins.http_job.config import DEFAULT_TYPE, Service
from airscrew.plugins.http_job.decide import Rules, decide
from airscrew.plugins.http_job.outputs import output_types
from airscrew.plugins.http_job.replies import JobView
from airscrew.plugins.http_job.request import build_body
from airscrew.plugins.http_job.state import HttpJobState
from airscrew.plugins.http_transport import Transport
from airscrew.plugins.webapi import Created, Limits, Listed, Opening, Prepared, SecretRef, WebApiPlugin

Context = TaskContext[HttpJobState]


class HttpJobPlugin(WebApiPlugin[HttpJobState, JobView]):
    """
    One service.

    Args:
        name: What the configuration calls it.
        service: Its configuration.
        start: How unknown starts are resolved.
        transport: What sends requests.
        size: How many jobs are kept in memory.
    """

    id = DEFAULT_TYPE
    task_types = (DEFAULT_TYPE,)
    state_type = HttpJobState

    def __init__(self, name: str, service: Service, start: StartDeclaration, transport: Transport, size: int) -> None:
        self.rules = Rules.of(name, service)
        self.start_declaration = start
        self.secrets = {AUTH: SecretRef(service.auth.secret, service.auth.group)} if service.auth else {}
        self.can_stop = service.delete is not None
        self.reads_single_jobs = service.get is not None
        self.limits = limits_of(service, size)
        self._transport = transport
        self.client: ServiceClient

    @override
    async def open(self, opening: Opening[JobView]) -> None:
        rules, clock = self.rules, opening.setup.clock
        self.client = ServiceClient(
            name=rules.name, service=rules.service, transport=self._transport, clock=clock, vault=opening.vault
        )

    @override
    async def prepare(self, context: Context, template: TaskTemplate) -> Prepared[HttpJobState]:
        types = output_types(self.rules.name, self.rules.service, template)
        state = HttpJobState(service=self.rules.name, id="", created_at=context.clock.now(), outputs=types)
        return Prepared(state, await build_body(self.rules, context, template))

    @override
    async def create(self, context: Context, prepared: Prepared[HttpJobState]) -> Created[JobView]:
        made = await self.client.create(context.key, prepared.body)
        return Created(made.id, made.view)

    @override
    async def get(self, state: HttpJobState) -> JobView | None:
        return await self.client.read(state.id)

    @override
    async def get_many(self, states: Sequence[HttpJobState]) -> Mapping[str, JobView]:
        return await self.client.read_many([state.id for state in states])

    @override
    async def delete(self, state: HttpJobState) -> JobView | None:
        return await self.client.stop(state.id)

    @override
    async def find(self, context: Context) -> Sequence[Listed]:
        found = await self.client.find(context.key)
        return [Listed(job_id, created_at) for job_id, _, created_at in found]

    @override
    def is_over(self, view: JobView) -> bool:
        return self.rules.is_terminal(view)

    @override
    def status(self, state: HttpJobState, view: JobView | None) -> TaskStatus[HttpJobState]:
        return decide(self.rules, state, view or JobView())

    @override
    def draft(self) -> HttpJobState:
        return HttpJobState(service=self.rules.name, id="", created_at=0.0)


def limits_of(service: Service, size: int) -> Limits:
    """Say what may be asked of a service, by its configuration. Pure."""
    return Limits(
        period_seconds=service.interval,
        batch_size=service.get_many.batch if service.get_many else 1,
        reads_per_second=service.reads_per_second,
        writes_per_second=service.writes_per_second,
        timeout_seconds=service.timeout * 2,  # the transport has the limit; this one only catches what ignores it
        settle_seconds=service.settle,
        size=size,
    )
