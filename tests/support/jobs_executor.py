"""
An executor of a small job service with as many defects as a test likes; without any it conforms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from typing_extensions import override

from airscrew.engine.cache import AutoRefreshCache, Batch, CacheOptions, Updated
from airscrew.engine.clock import LoopClock
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import (
    Executor,
    Findable,
    Found,
    Gone,
    Idempotent,
    NotStarted,
    ResourceRequirements,
    Setup,
    StartDeclaration,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.engine.testing.conformance import Job, Scenarios
from airscrew.engine.testing.job_service import FakeJobService, FakeReply, Fault
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import TaskTemplate, make_template

LIVE = ("queued", "running")
SECRET = "s3cr3t-v4lue"


class JobState(msgspec.Struct, frozen=True):
    job: str
    made_at: float = 0.0
    note: str = ""


class JobsExecutor(Executor[JobState]):
    """Runs jobs; ``defects`` name what it does wrong."""

    id = "jobs"
    task_types = ("jobs",)
    state_type = JobState

    def __init__(self, service: FakeJobService, defects: frozenset[str], declared: StartDeclaration) -> None:
        vars(self)["start_declaration"] = declared
        self.service = service
        self.defects = defects
        self.memory: dict[str, str] = {}
        self.calls = 0

    @override
    async def initialize(self, setup: Setup) -> None:
        self.cache = AutoRefreshCache[Mapping[str, Any]](
            "jobs",
            sync=self.read,
            is_terminal=lambda job: job["status"] not in LIVE,
            clock=setup.clock,
            random=setup.random,
            options=CacheOptions(period_seconds=2.0 if "greedy" in self.defects else 5.0, batch_size=50),
            on_change=lambda key, _: setup.wake(key),
        )
        await self.cache.__aenter__()

    @override
    async def close(self) -> None:
        await self.cache.__aexit__(None, None, None)

    async def request(self, method: str, path: str, key: str = "", body: object = None) -> FakeReply:
        return await self.service.request(
            method, path, headers={"Idempotency-Key": key} if key else {}, body=json.dumps(body).encode(), timeout=10
        )

    async def read(self, batch: Batch[Mapping[str, Any]]) -> Sequence[Updated[Mapping[str, Any]]]:
        ids = ",".join(one.item["id"] for one in batch)
        found = {job["id"]: job for job in json.loads((await self.request("GET", f"/jobs?ids={ids}")).body)["jobs"]}
        return [Updated(one.id, found.get(one.item["id"], {**one.item, "status": "deleted"})) for one in batch]

    @override
    def resource_requirements(
        self, context: TaskContext[JobState], template: TaskTemplate
    ) -> ResourceRequirements | None:
        if "needs-grow" in self.defects:
            self.calls += 1
            return ResourceRequirements(pool="jobs", units=self.calls)
        return None

    @override
    async def start_task(
        self, context: TaskContext[JobState], template: TaskTemplate
    ) -> TaskStatus[JobState] | NotStarted:
        if template.custom.get("bad") and "takes-all" not in self.defects:
            raise PermanentError("no", code="BadTaskSpecification")
        key = "" if "no-key" in self.defects else context.key
        try:
            reply = await self.request("POST", "/jobs", key, {**template.custom, "key": context.key})
        except ConnectionRefusedError as error:
            if "refusal-is-an-error" in self.defects:
                raise
            return NotStarted(str(error))
        if reply.status in {429, 503} and "busy-is-an-error" not in self.defects:
            return NotStarted("busy")
        if reply.status >= 300 and "errors-are-final" in self.defects:
            raise PermanentError("failed")
        if reply.status >= 300:
            raise OSError(f"answered {reply.status}")
        job = json.loads(reply.body)
        self.memory[context.key] = job["id"]
        secret = await context.secret("token")
        note = secret if "secret-in-state" in self.defects else ""
        return self.status(context, JobState(job["id"], context.clock.now(), note), job)

    @override
    async def check_task_status(self, context: TaskContext[JobState], state: JobState) -> TaskStatus[JobState]:
        self.calls += 1
        if "forgets" in self.defects:
            state = JobState(self.memory.get(context.key, "job-0"), state.made_at)
        if "asks-in-checks" in self.defects:
            reply = await self.request("GET", f"/jobs/{state.job}")
            return self.status(context, state, json.loads(reply.body))
        if "read-errors-end-jobs" in self.defects:
            seen = self.cache.inspect(context.key)
            if seen and seen.errors:
                return TaskStatus.retryable_failure(state, seen.last_error, code="Read")
        return self.status(context, state, self.cache.get_or_create(context.key, {"id": state.job, "status": "queued"}))

    def status(self, context: TaskContext[JobState], state: JobState, job: Mapping[str, Any]) -> TaskStatus[JobState]:
        reason = f"look {self.calls}" if "counts" in self.defects else ""
        if "trusts-the-wall" in self.defects and context.clock.now() > state.made_at + 100:
            return TaskStatus.permanent_failure(state, "too late", code="Late")
        match job["status"]:
            case "succeeded":
                return TaskStatus.success(state)
            case "failed" | "cancelled":
                return TaskStatus.permanent_failure(state, "failed", code="" if "no-code" in self.defects else "Failed")
            case "deleted":
                kind = ErrorKind.USER if "bills-the-user" in self.defects else ErrorKind.SYSTEM
                return TaskStatus.retryable_failure(state, "gone", code="ResourceDeletedExternally", kind=kind)
            case "running":
                if "backwards" in self.defects and state.note == "ran":
                    return TaskStatus.initializing(state)
                note = "ran" if "backwards" in self.defects else state.note
                return TaskStatus.running(JobState(state.job, state.made_at, note), reason)
            case _:
                return TaskStatus.queued(state, reason)

    @override
    async def kill_task(
        self, context: TaskContext[JobState], state: JobState, reason: str
    ) -> Gone | StillThere[JobState]:
        if "never-kills" in self.defects:
            return Gone()
        if "never-gone" in self.defects:
            return StillThere(state)
        reply = await self.request("DELETE", f"/jobs/{state.job}")
        if reply.status == 404 and "kill-needs-a-job" in self.defects:
            raise LookupError(state.job)
        return Gone()

    @override
    async def finalize(self, context: TaskContext[JobState], state: JobState) -> None:
        if "finalizes-once" in self.defects and not self.memory.pop(context.key, None):
            raise LookupError(context.key)
        self.cache.delete_delayed(context.key)

    @override
    async def find(self, context: TaskContext[JobState]) -> Sequence[Found[JobState]]:
        jobs = json.loads((await self.request("GET", f"/jobs?key={context.key}")).body)["jobs"]
        if "finds-live-only" in self.defects:
            jobs = [job for job in jobs if job["status"] in LIVE]
        return [Found(JobState(job["id"]), job["created_at"]) for job in jobs]


class JobsScenarios(Scenarios):
    """Its tasks, over a service of its own."""

    secrets = {"token": SECRET}  # noqa: RUF012

    def __init__(self, *defects: str, declared: StartDeclaration = Idempotent()) -> None:  # noqa: B008 - frozen
        self.defects = frozenset(defects)
        self.declared = declared
        self.service = FakeJobService(
            clock=LoopClock(), idempotent=not isinstance(declared, Findable), slow_seconds=20.0
        )

    def make_executor(self) -> JobsExecutor:
        return JobsExecutor(self.service, self.defects, self.declared)

    @override
    def succeeding(self) -> Job:
        return Job(make_template("jobs", custom={"seconds": 20}))

    @override
    def failing(self) -> Job:
        return Job(make_template("jobs", custom={"seconds": 5, "fail": "no"}))

    @override
    def endless(self) -> Job:
        return Job(make_template("jobs", custom={"seconds": 1_000_000}))

    @override
    def refused(self) -> Job:
        return Job(make_template("jobs", custom={"bad": True}))

    @override
    async def live(self, key: str) -> int:
        return self.service.live(key)

    @override
    async def created(self, key: str) -> int:
        return len(self.service.jobs_of(key))

    @override
    async def delete_externally(self, key: str) -> None:
        self.service.forget(key)

    @override
    def spoil_start(self, fault: Fault) -> None:
        self.service.inject(fault, methods={"POST"})

    @override
    def spoil_reads(self, fault: Fault) -> None:
        self.service.inject(fault, times=1_000_000, methods={"GET"})

    @override
    def heal(self) -> None:
        self.service.heal()

    @override
    def calls(self) -> int:
        return self.service.requests()

    @override
    def allowed_calls_per_hour(self, jobs: int) -> int:
        return 800
