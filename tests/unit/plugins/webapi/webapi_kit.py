"""
A plugin of the WebAPI framework over the fake job service, and a bench to run it on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from airscrew.engine.cache import CacheStatistics
from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Idempotent, ResourceRequirements, StartDeclaration, TaskContext, TaskStatus
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.job_service import FakeJobService
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import LogLink
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.plugins.webapi import (
    Created,
    JobState,
    Limits,
    Listed,
    Opening,
    Prepared,
    SecretRef,
    UnclearError,
    WebApiExecutor,
    WebApiPlugin,
    http_error,
)

ENDLESS = 1_000_000.0
View = dict[str, Any]


class SeenJob(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """A job, and the service's last word for how it stands."""

    status: str = ""


class ServicePlugin(WebApiPlugin[SeenJob, View]):
    """Jobs of the fake service; what tests change is set on the instance."""

    id = "fake"
    task_types = ("fake",)
    state_type = SeenJob
    secrets: Mapping[str, SecretRef] = {"token": SecretRef("jobs-token")}

    def __init__(self, service: FakeJobService, limits: Limits, start: StartDeclaration) -> None:
        self.service = service
        self.limits = limits
        self.start_declaration = start
        self.opening: Opening[View]

    @override
    async def open(self, opening: Opening[View]) -> None:
        self.opening = opening

    @override
    def resource_requirements(
        self, context: TaskContext[SeenJob], template: TaskTemplate
    ) -> ResourceRequirements | None:
        return ResourceRequirements(pool="jobs", units=2)

    @override
    async def prepare(self, context: TaskContext[SeenJob], template: TaskTemplate) -> Prepared[SeenJob]:
        if template.custom.get("refuse"):
            raise PermanentError("custom.refuse says so", code="BadTaskSpecification")
        return Prepared(SeenJob(id="", created_at=0.0), {**template.custom, "key": context.key})

    @override
    async def create(self, context: TaskContext[SeenJob], prepared: Prepared[SeenJob]) -> Created[View]:
        view = await self.ask("POST", "/jobs", prepared.body, key=context.key)
        return Created(view["id"], view)

    @override
    async def get(self, state: SeenJob) -> View | None:
        return await self.ask("GET", f"/jobs/{state.id}", absent=404)

    @override
    async def get_many(self, states: Sequence[SeenJob]) -> Mapping[str, View]:
        listed = await self.ask("GET", "/jobs?ids=" + ",".join(state.id for state in states))
        return {view["id"]: view for view in listed["jobs"]}

    @override
    async def delete(self, state: SeenJob) -> View | None:
        return await self.ask("DELETE", f"/jobs/{state.id}", absent=404)

    @override
    async def find(self, context: TaskContext[SeenJob]) -> Sequence[Listed]:
        listed = await self.ask("GET", f"/jobs?key={context.key}")
        return [Listed(view["id"], view["created_at"]) for view in listed["jobs"]]

    @override
    def is_over(self, view: View) -> bool:
        return view["status"] in {"succeeded", "failed", "cancelled"}

    @override
    def status(self, state: SeenJob, view: View | None) -> TaskStatus[SeenJob]:
        word = view["status"] if view else state.status
        state = SeenJob(id=state.id, created_at=state.created_at, stopping=state.stopping, status=word)
        match word:
            case "succeeded":
                return TaskStatus.success(state)
            case "failed":
                told = view["message"] if view else "failed"
                return TaskStatus.retryable_failure(state, told, code="JobFailed")
            case "cancelled":
                return TaskStatus.retryable_failure(state, "cancelled", code="Cancelled", kind=ErrorKind.SYSTEM)
            case "running":
                return TaskStatus.running(state, "at work")
            case _:
                return TaskStatus.queued(state, "in line")

    @override
    def links(self, state: SeenJob, view: View | None) -> Sequence[LogLink]:
        return [LogLink(name="Console", uri=f"http://jobs.test/{state.id}")]

    async def ask(self, method: str, path: str, body: object = None, *, key: str = "", absent: int = 0) -> Any:
        headers = {"Authorization": f"Bearer {self.opening.vault.get('token')}", "Idempotency-Key": key}
        raw = json.dumps(body).encode()
        reply = await self.service.request(method, path, headers=headers, body=raw, timeout=20.0)
        if reply.status == absent:
            return None
        told = f"{method} {path.partition('?')[0]} answered {reply.status}: {reply.body[:80]!r}"
        if reply.status >= 300:
            after = reply.headers.get("retry-after")
            raise http_error(reply.status, told, float(after) if after else None)
        try:
            return json.loads(reply.body)
        except ValueError as error:
            raise UnclearError(told) from error


class ServiceExecutor(WebApiExecutor[SeenJob, View]):
    """Runs them."""

    plugin_type = ServicePlugin

    def __init__(self, service: FakeJobService, limits: Limits, start: StartDeclaration) -> None:
        super().__init__()
        self.made = ServicePlugin(service, limits, start)

    @override
    def make_plugin(self) -> ServicePlugin:
        return self.made


@dataclass
class Bench:
    """The executor, the service, and every attempt at work in the background as the engine would have it."""

    environment: ExecutorEnvironment[SeenJob]
    service: FakeJobService
    attempts: list[Attempt[SeenJob]] = field(default_factory=list)

    @property
    def plugin(self) -> ServicePlugin:
        executor = self.environment.executor
        assert isinstance(executor, ServiceExecutor)
        return executor.made

    @property
    def statistics(self) -> CacheStatistics:
        (cache,) = self.environment.executor.caches()
        return cache.statistics()

    def job(self, seconds: float = ENDLESS, name: str = "task", **custom: Any) -> Attempt[SeenJob]:
        attempt = self.environment.attempt(make_template("fake", custom={"seconds": seconds, **custom}), name=name)
        self.attempts.append(attempt)
        return attempt

    async def start_many(self, count: int, seconds: float = ENDLESS) -> list[Attempt[SeenJob]]:
        attempts = [self.job(seconds, f"t{number}") for number in range(count)]
        for attempt in attempts:
            await attempt.start_resolved()
        return attempts


@asynccontextmanager
async def open_bench(
    *,
    limits: Limits | None = None,
    start: StartDeclaration | None = None,
    idempotent: bool = True,
    make_service: type[FakeJobService] = FakeJobService,
) -> AsyncGenerator[Bench, None]:
    secret = "s3cr3t-v4lue"
    service = make_service(clock=LoopClock(), idempotent=idempotent, token=secret, slow_seconds=60.0)
    environment: ExecutorEnvironment[SeenJob] = ExecutorEnvironment(
        lambda: ServiceExecutor(service, limits or Limits(), start or Idempotent()), secrets={"jobs-token": secret}
    )
    async with environment:
        yield Bench(environment, service)
