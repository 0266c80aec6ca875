"""
The executor of ``http_job``: a thin order of calls over ``jobs``, ``client`` and ``decide``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import msgspec
from typing_extensions import override

from airscrew.engine.cache import Measured
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import (
    Executor,
    Findable,
    Found,
    Gone,
    NotStarted,
    Setup,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.http_job.client import ServiceClient
from airscrew.plugins.http_job.config import DEFAULT_TYPE, Config, read_config, start_declaration
from airscrew.plugins.http_job.decide import Rules, decide
from airscrew.plugins.http_job.jobs import ServiceJobs
from airscrew.plugins.http_job.note import read_note, write_note
from airscrew.plugins.http_job.outputs import output_types
from airscrew.plugins.http_job.replies import JobView
from airscrew.plugins.http_job.request import build_body, service_name
from airscrew.plugins.http_job.state import HttpJobState
from airscrew.plugins.http_job.transport import AiohttpTransport, Transport
from airscrew.plugins.opened import Opened

KILL_PACE_SECONDS = 2.0

Status = TaskStatus[HttpJobState]
Context = TaskContext[HttpJobState]


class HttpJobExecutor(Executor[HttpJobState]):
    """
    Runs jobs of HTTP services that the configuration declares.

    ``task_types``, ``start_declaration`` and ``concurrency`` follow from the configuration and are set on the instance
    when it is initialised.

    Args:
        open_transport: Opens what sends requests; over the network by default.
    """

    id = "http_job"
    task_types = (DEFAULT_TYPE,)
    state_type = HttpJobState

    def __init__(self, open_transport: Callable[[], Transport] = AiohttpTransport.open) -> None:
        self._open_transport = open_transport
        self._services: dict[str, ServiceJobs] = {}
        self._opened = Opened()

    @override
    def is_same_job(self, one: HttpJobState, other: HttpJobState) -> bool:
        """Tell by the id that the service gave."""
        return (one.service, one.id) == (other.service, other.id)

    @override
    async def initialize(self, setup: Setup) -> None:
        """
        Read the configuration, open the session and begin to read jobs.

        Raises:
            UsageError: The configuration is wrong; one line.
            ExecutorError: aiohttp is missing; one line.
        """
        config = read_config(setup.config)
        await self.close()
        async with AsyncExitStack() as stack:
            transport = self._open_transport()
            stack.push_async_callback(transport.close)
            self._services = {}
            for name, service in config.services.items():
                jobs = ServiceJobs(
                    Rules.of(name, service),
                    ServiceClient(name=name, service=service, transport=transport, clock=setup.clock),
                    clock=setup.clock,
                    random=setup.random,
                    size=config.cache_size,
                    wake=setup.wake,
                )
                self._services[name] = await stack.enter_async_context(jobs)
            self._opened.hold(stack)
        self._declare(config)

    def _declare(self, config: Config) -> None:
        # The contract has class attributes; these follow from the configuration, and the engine reads the instance.
        vars(self).update(
            start_declaration=start_declaration(config),
            task_types=tuple(dict.fromkeys([DEFAULT_TYPE, *config.services])),
            concurrency=config.concurrency,
        )

    @override
    def caches(self) -> Sequence[Measured]:
        """Return what the jobs of each service are kept in."""
        return [jobs.cache for jobs in self._services.values()]

    @override
    async def start_task(self, context: Context, template: TaskTemplate) -> Status | NotStarted:
        """Make the job: one request that carries the attempt's key."""
        jobs = self._service(service_name(template, self._services))
        types = output_types(jobs.rules.name, jobs.rules.service, template)
        await jobs.client.authorize(context)
        prepared = HttpJobState(service=jobs.rules.name, id="", created_at=context.clock.now(), outputs=types)
        try:
            body = await build_body(jobs.rules, context, template)
            if isinstance(self.start_declaration, Findable):
                await write_note(context, prepared)
        except StorageUnavailableError as error:
            return NotStarted(f"{jobs.rules.name}: the request cannot be prepared: {error}")
        made = await jobs.client.create(context.key, body)
        if isinstance(made, NotStarted):
            return made
        state = msgspec.structs.replace(prepared, id=made.id, created_at=context.clock.now())
        jobs.look(context.key, state)
        # An unknown status is an error of the checks to come, which harm nothing; here it would make the start unknown.
        known = jobs.rules.phase(made.view.status) is not None
        return decide(jobs.rules, state, made.view if known else JobView())

    @override
    async def check_task_status(self, context: Context, state: HttpJobState) -> Status:
        """Say what was heard of the job last; never asks the service itself."""
        jobs = self._service(state.service)
        await jobs.client.authorize(context)
        view = jobs.look(context.key, state)
        return decide(jobs.rules, state, view, jobs.trouble(context.key))

    @override
    async def kill_task(self, context: Context, state: HttpJobState, reason: str) -> Gone | StillThere[HttpJobState]:
        """Ask the service to stop the job, then look whether it did, in turns: one request a call."""
        jobs = self._service(state.service)
        await jobs.client.authorize(context)
        asks = not state.stopping and jobs.rules.service.delete is not None
        view = await (jobs.client.stop(state.id) if asks else jobs.client.read(state.id))
        if view is None and not (state.stopping or jobs.is_settled(context.key, state)):
            asks = False  # just made, it may only be invisible yet: ask again
        elif view is None or jobs.rules.is_terminal(view):
            jobs.forget(context.key)
            return Gone()
        return StillThere(msgspec.structs.replace(state, stopping=asks), check_after=KILL_PACE_SECONDS)

    @override
    async def finalize(self, context: Context, state: HttpJobState) -> None:
        """Read the job no more."""
        if state.service in self._services:
            self._services[state.service].forget(context.key)

    @override
    async def find(self, context: Context) -> Sequence[Found[HttpJobState]]:
        """List the jobs that carry the key, at the service that was to be asked or at all that can list."""
        note = await read_note(context)
        found: list[Found[HttpJobState]] = []
        for jobs in self._candidates(context.task_type, note):
            await jobs.client.authorize(context)
            for job_id, _, created_at in await jobs.client.find(context.key):
                state = HttpJobState(
                    service=jobs.rules.name,
                    id=job_id,
                    created_at=created_at or context.clock.now(),
                    outputs=note.outputs if note else {},
                )
                found.append(Found(state, created_at))
        return found

    @override
    async def close(self) -> None:
        """Stop reading and close the session, on the loop that they were opened on."""
        await self._opened.close()

    def _candidates(self, task_type: str, note: HttpJobState | None) -> list[ServiceJobs]:
        if note is not None:
            return [self._service(note.service)]
        if task_type in self._services:
            return [self._services[task_type]]
        return [jobs for jobs in self._services.values() if jobs.rules.service.find]

    def _service(self, name: str) -> ServiceJobs:
        """
        Return what a service's jobs need.

        Raises:
            PermanentError: The configuration does not have the service (any more).
        """
        if name in self._services:
            return self._services[name]
        known = ", ".join(self._services)
        raise PermanentError(
            f"service {name!r} is not configured: add executors.http_job.services.{name} (there are: {known})",
            code="UnknownService",
        )
