"""
The executor of ``connector``: a thin order of calls over ``jobs``, ``client`` and ``decide``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec
from typing_extensions import override

from airscrew.engine.cache import Measured
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import Executor, Gone, NotStarted, Setup, StillThere, TaskContext, TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.connector.answers import JobView
from airscrew.plugins.connector.client import ConnectorClient
from airscrew.plugins.connector.config import Config, Service, read_config, start_declaration
from airscrew.plugins.connector.decide import decide
from airscrew.plugins.connector.errors import (
    BadAnswerError,
    ConnectorError,
    FailedError,
    RefusedError,
    UnreachableError,
)
from airscrew.plugins.connector.jobs import ServiceJobs, route
from airscrew.plugins.connector.logs import keep_told
from airscrew.plugins.connector.request import build_call
from airscrew.plugins.connector.state import ConnectorState
from airscrew.plugins.connector.supervisor import ConnectorProcess
from airscrew.plugins.connector.wire import Call, Wire
from airscrew.plugins.opened import Opened

KILL_PACE_SECONDS = 2.0
DELETE_AGAIN_SECONDS = 60.0
_SPARE_SECONDS = 15.0

Status = TaskStatus[ConnectorState]
Context = TaskContext[ConnectorState]


class ConnectorExecutor(Executor[ConnectorState]):
    """
    Runs the tasks of connector services.

    ``task_types`` is what the services say that they serve, asked for again and again; ``start_declaration``,
    ``start_timeout`` and ``concurrency`` follow from the configuration. All are set on the instance.
    """

    id = "connector"
    task_types = ("connector",)
    state_type = ConnectorState

    def __init__(self) -> None:
        self._services: dict[str, ServiceJobs] = {}
        self._processes: dict[str, ConnectorProcess] = {}
        self._config = Config()
        self._opened = Opened()

    @override
    async def initialize(self, setup: Setup) -> None:
        """
        Read the configuration, connect, start processes, and ask what is served.

        Raises:
            UsageError: The configuration is wrong; one line.
        """
        config = read_config(setup.config)
        await self.close()
        self._services, self._processes, self._config = {}, {}, config
        async with AsyncExitStack() as stack:
            for name, service in config.services.items():
                if service.in_process is not None:
                    process = ConnectorProcess(name, service.in_process, setup.state_directory)
                    self._processes[name] = await stack.enter_async_context(process)
                self._services[name] = await stack.enter_async_context(self._open(name, service, setup))
            async with asyncio.TaskGroup() as asking:  # side by side: initialising has its deadline
                for name in self._services:
                    asking.create_task(self._discover(name))
            self._opened.hold(stack)
        self._declare()

    async def _discover(self, name: str) -> None:
        if name in self._processes:
            await self._processes[name].wait()
        await self._services[name].discover()

    def _open(self, name: str, service: Service, setup: Setup) -> ServiceJobs:
        from airscrew.plugins.connector.channel import Channel  # gRPC is heavy, and most engines have no connectors

        process = self._processes.get(name)
        if process is not None:
            service = process.service(service)
        channel = Channel(name, service, token=(lambda: process.token) if process is not None else None)
        return ServiceJobs(
            ConnectorClient(name, service, channel, Wire(service.wire_form)),
            clock=setup.clock,
            random=setup.random,
            wake=setup.wake,
            on_served=self._declare,
            discovery_interval=self._config.discovery_interval,
            size=self._config.cache_size,
        )

    def _declare(self) -> None:
        # The contract has class attributes; these follow from the services, and the engine reads the instance.
        types = [served.task_type for jobs in self._services.values() for served in jobs.served]
        longest = (max(service.create_timeout, service.sync_timeout) for service in self._config.services.values())
        vars(self).update(
            task_types=tuple(dict.fromkeys(types)),
            start_declaration=start_declaration(self._config),
            start_timeout=max(longest, default=0.0) + _SPARE_SECONDS,
            concurrency=self._config.concurrency,
        )

    @override
    def caches(self) -> Sequence[Measured]:
        """Return what the services' jobs are kept in."""
        return [cache for jobs in self._services.values() for cache in jobs.caches]

    @property
    def processes(self) -> Mapping[str, ConnectorProcess]:
        """The processes of connectors, by service."""
        return self._processes

    @override
    def is_same_job(self, one: ConnectorState, other: ConnectorState) -> bool:
        """Tell by the connector's own metadata."""
        return (one.service, one.resource_meta) == (other.service, other.resource_meta)

    @override
    async def start_task(self, context: Context, template: TaskTemplate) -> Status | NotStarted:
        """Have a job made, or a sync connector's work done: one request."""
        found = route(self._services, template.type, template.version, template.wire)
        if isinstance(found, str):
            raise PermanentError(found, code="UnknownTaskType")
        jobs, served = found
        await jobs.authorize(context)
        try:
            call = await build_call(context, template, jobs.client.connection)
        except StorageUnavailableError as error:
            return NotStarted(f"connector {jobs.name}: the request cannot be prepared: {error}")
        state = ConnectorState(
            service=jobs.name,
            task_type=served.task_type,
            version=served.version,
            created_at=context.clock.now(),
            output_prefix=call.output_prefix,
            has_outputs=bool(template.interface.outputs),
        )
        try:
            if served.is_sync:
                return _done(state, await jobs.client.execute(call))
            return await self._create(context, jobs, call, state)
        except UnreachableError as error:
            return NotStarted(self._with_process(jobs.name, error))
        except RefusedError as error:
            served_now = ", ".join(one.title for one in jobs.served)
            raise PermanentError(f"{error}; it serves {served_now}", code="ConnectorRefused") from error
        except FailedError as error:
            if jobs.client.service.create_errors == "unknown":
                raise
            raise RetryableError(str(error), code="ConnectorFailed", kind=ErrorKind.USER) from error

    async def _create(self, context: Context, jobs: ServiceJobs, call: Call, state: ConnectorState) -> Status:
        state = state.with_meta(await jobs.client.create(call))
        jobs.look(context.key, state)
        return decide(state, JobView())

    @override
    async def check_task_status(self, context: Context, state: ConnectorState) -> Status:
        """Say what was heard of the job last; asks for nothing but the log and metrics of a job that is over."""
        jobs = self._service(state.service)
        await jobs.authorize(context)
        view = jobs.look(context.key, state)
        status = decide(state, view, jobs.trouble(context.key))
        if not status.phase.is_terminal:
            return status
        kept = await keep_told(jobs.client, state, context.locations.work_directory, context.clock.now())
        return status.with_info(msgspec.structs.replace(status.info, logs=(*status.info.logs, *kept)))

    @override
    async def kill_task(
        self, context: Context, state: ConnectorState, reason: str
    ) -> Gone | StillThere[ConnectorState]:
        """Have the job deleted, then look whether it has ended, in turns: a request a call, two when it is refused."""
        if not state.resource_meta:
            return Gone()  # a sync connector's work: it was over when it was heard of
        jobs = self._service(state.service)
        await jobs.authorize(context)
        now = context.clock.now()
        if not state.stopping_since or now - state.stopping_since > DELETE_AGAIN_SECONDS:
            if await self._is_deleted(jobs, state) and jobs.client.service.confirm_delete:
                return StillThere(msgspec.structs.replace(state, stopping_since=now), check_after=KILL_PACE_SECONDS)
        elif not await self._has_ended(jobs, state):
            return StillThere(state, check_after=KILL_PACE_SECONDS)
        jobs.forget(context.key)
        return Gone()

    async def _is_deleted(self, jobs: ServiceJobs, state: ConnectorState) -> bool:
        """
        Have a job deleted: False when it was over already, at which some vendors refuse and their connectors raise.

        Raises:
            ConnectorError: It was not done, and the job runs or cannot be looked at.
        """
        try:
            await jobs.client.delete(state)
        except (FailedError, RefusedError):
            if not (await jobs.client.get(state)).phase.is_terminal:
                raise
            return False
        return True

    async def _has_ended(self, jobs: ServiceJobs, state: ConnectorState) -> bool:
        """Look at a job that was deleted; a connector that cannot tell of it any more says that it is gone."""
        try:
            return (await jobs.client.get(state)).phase.is_terminal
        except (FailedError, RefusedError, BadAnswerError):
            return True

    @override
    async def finalize(self, context: Context, state: ConnectorState) -> None:
        """Look at the job no more."""
        if state.service in self._services:
            self._services[state.service].forget(context.key)

    @override
    async def close(self) -> None:
        """Stop looking, close connections and end processes, on the loop that they were opened on."""
        await self._opened.close()

    def _service(self, name: str) -> ServiceJobs:
        """
        Return what a service's jobs need.

        Raises:
            PermanentError: The configuration does not have the service (any more).
        """
        if name in self._services:
            return self._services[name]
        known = ", ".join(self._services) or "none"
        raise PermanentError(
            f"connector {name!r} is not configured: add executors.connector.services.{name} (there are: {known})",
            code="UnknownService",
        )

    def _with_process(self, name: str, error: ConnectorError) -> str:
        process = self._processes.get(name)
        return f"{error}: {process.problem}" if process is not None and process.problem else str(error)


def _done(state: ConnectorState, view: JobView) -> Status:
    """Take a sync connector's answer, which has to be final."""
    if not view.phase.is_terminal:
        raise BadAnswerError(f"connector {state.service}: the answer of sync work is {view.phase.title}")
    return decide(state, view)
