"""
The executors of a simulation: one for each start declaration, and one over an AutoRefreshCache with the task cache.

They do what the contract asks for; what it promises them is checked at each call (``promises``): the state that they
are given is the one that was last written, no two calls at once for an execution, a verdict before anything is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

from tests.simulation.plan import NAMED_POOL
from tests.simulation.promises import Promises, State, State1, State2
from tests.simulation.services import CALL_SECONDS, SETTLE_SECONDS, WINDOW_SECONDS, Begun, BusyError, Mode, Service
from tests.simulation.work import outputs, plan
from tests.simulation.world import SECRET, unit_of

from airscrew.engine.cache import AutoRefreshCache, Batch, CacheOptions, Updated
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.executor import (
    AtMostOnce,
    Executor,
    Findable,
    Found,
    Gone,
    Idempotent,
    NoEffect,
    NotStarted,
    OutputsAt,
    ResourceRequirements,
    Setup,
    StartDeclaration,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.idl.template import TaskTemplate

HUGE = "x" * 70_000
"""What makes a custom state too large to be kept."""


EAGER, EAGER_LOOKS = "eager", 11
"""The job of one that wants to be looked at all the time, and how often."""


SWOLLEN = "swollen"
"""The job of one whose state is too large to be kept now and then."""


class SimExecutor(Executor[Any]):
    """What all have in common: a service, a version, and the checks."""

    check_interval = 5.0
    start_timeout = CALL_SECONDS
    call_timeout = CALL_SECONDS
    mode = Mode.BLIND

    def __init__(self, promises: Promises, service: Service, version: int) -> None:
        self.promises = promises
        self.world = promises.world
        self.service = service
        self.version = version
        vars(self)["state_version"] = version
        vars(self)["state_type"] = State1 if version == 1 else State2

    def state(self, job: str, looks: int = 0) -> State:
        serial = self.world.next_serial()
        return State1(job, serial, looks) if self.version == 1 else State2(job, serial, looks)

    def untold(self, job: str) -> State:
        """Make a state that is too large to be kept: no record ever tells of it."""
        state = self.state(f"{job}{HUGE}")
        self.promises.found.add(state.serial)
        return state

    @staticmethod
    def job(state: State) -> str:
        return (state.job if isinstance(state, State1) else state.job_id).removesuffix(HUGE)

    def is_same_job(self, one: State, other: State) -> bool:
        return self.job(one) == self.job(other)

    def migrate_state(self, state: Mapping[str, object], version: int) -> Mapping[str, object]:
        return {"job_id": state["job"], "serial": state["serial"], "looks": state["looks"], "migrated": True}

    async def start_task(self, context: TaskContext[Any], template: TaskTemplate) -> TaskStatus[Any] | NotStarted:
        life = self.world.life()
        assert life is not None
        begun = Begun(self.world.terms[unit_of(str(context.execution))], life.pauses)
        with self.promises.call("start_task", context):
            token = await context.secret("token")
            if template.interface.inputs and not await self.prepare(context):
                return NotStarted("the storage is away", self.world.dice.choice((None, 1.0)))
            try:
                told = await self.service.create(
                    context.key, str(context.execution), str(context.uid), dict(template.custom), begun
                )
            except BusyError as error:
                return NotStarted(str(error), self.world.dice.choice((None, 1.0)))
            except OSError as error:
                raise OSError(f"{error} (token {token})") from error
            if template.custom.get("huge"):
                return self.status(self.untold(told["id"]), told)
            self.promises.history.note_answer(context.key, str(context.execution), life)
            state = self.state(told["id"])
            self.promises.started.add(state.serial)
            return self.status(state, told)

    async def prepare(self, context: TaskContext[Any]) -> bool:
        """Read and place what a job wants to find; False when the storage is away."""
        try:
            (text,) = await context.data.render(["{{.inputs.x}} of {{.taskTemplatePath}}"])
            await context.data.place_inputs()
            note = f"{context.locations.output_prefix}/note"
            await context.data.write_bytes(note, text.encode())
            await context.data.read_bytes(note)
        except StorageUnavailableError:
            return False
        return True

    async def check_task_status(self, context: TaskContext[Any], state: State) -> TaskStatus[Any]:
        with self.promises.call("check_task_status", context, state):
            told = await self.service.get(self.job(state))
            return self.status(self.state(self.job(state), state.looks + 1), told)

    async def kill_task(self, context: TaskContext[Any], state: State, reason: str) -> Gone | StillThere[Any]:
        with self.promises.call("kill_task", context, state):
            told = await self.service.cancel(self.job(state))
            if told is None or told["status"] not in {"queued", "running"}:
                return Gone()
            is_untold = (state.job if isinstance(state, State1) else state.job_id).endswith(HUGE)
            after = self.untold(self.job(state)) if is_untold else self.state(self.job(state), state.looks)
            for untold in (self.promises.found, self.promises.started):
                if state.serial in untold:
                    untold.add(after.serial)
            return StillThere(after, 1.0)

    async def finalize(self, context: TaskContext[Any], state: State) -> None:
        with self.promises.call("finalize", context, state):
            await self.service.forget(self.job(state))

    async def find(self, context: TaskContext[Any]) -> Sequence[Found[Any]]:
        with self.promises.call("find", context):
            found = [Found(self.state(one["id"]), one["created_at"]) for one in await self.service.list(context.key)]
            self.promises.found |= {one.state.serial for one in found}
            return found

    def status(self, state: State, told: Mapping[str, Any] | None) -> TaskStatus[Any]:
        if told is None:
            return TaskStatus.retryable_failure(state, "the job is not there", code="Vanished", kind=ErrorKind.SYSTEM)
        match told["status"]:
            case "queued":
                return TaskStatus.queued(state).after(1.0)
            case "running":
                return TaskStatus.running(state, f"look {state.looks // 3}")
            case "succeeded":
                return TaskStatus.success(state)
            case "flaky":
                return TaskStatus.retryable_failure(state, "it failed", code="Flaky")
            case "hasty":
                return replace(TaskStatus.retryable_failure(state, "again, at once", code="Hasty"), delay=0.0)
            case "cancelled":
                return TaskStatus.retryable_failure(state, "cancelled", code="Cancelled", kind=ErrorKind.SYSTEM)
            case _:
                return TaskStatus.permanent_failure(state, "it failed for good", code="Broken")


class Keyed(SimExecutor):
    id = "keyed"
    task_types = ("keyed",)
    state_type = State1
    mode = Mode.KEYED
    start_declaration: StartDeclaration = Idempotent(WINDOW_SECONDS)

    def finalize(self, context: TaskContext[Any], state: State) -> Awaitable[None]:  # type: ignore[override]
        """Be no coroutine function, as a decorator may leave it, and yet return something to wait for."""
        return super().finalize(context, state)


class Listed(SimExecutor):
    id = "listed"
    task_types = ("listed",)
    state_type = State1
    mode = Mode.LISTED
    start_declaration: StartDeclaration = Findable(SETTLE_SECONDS)


class Blind(SimExecutor):
    id = "blind"
    task_types = ("blind",)
    state_type = State1
    mode = Mode.BLIND
    start_declaration: StartDeclaration = AtMostOnce()


class Plain(SimExecutor):
    """Creates nothing outside: looks a few times, and is done."""

    id = "plain"
    task_types = ("plain",)
    state_type = State1
    start_declaration: StartDeclaration = NoEffect()

    async def start_task(self, context: TaskContext[Any], template: TaskTemplate) -> TaskStatus[Any] | NotStarted:
        with self.promises.call("start_task", context):
            if template.custom.get("eager"):
                return TaskStatus.running(self.state(EAGER)).after(0.0)
            if template.custom.get("swollen"):
                return TaskStatus.running(self.state(SWOLLEN))
            return TaskStatus.running(self.state("none"))

    async def check_task_status(self, context: TaskContext[Any], state: State) -> TaskStatus[Any]:
        with self.promises.call("check_task_status", context, state):
            if self.world.chance(self.world.plan.rates.service):
                raise RuntimeError(f"it fails now and then: {SECRET[:4]}...")
            if self.job(state) == SWOLLEN and self.world.chance(0.4):
                return TaskStatus.running(self.state(f"{SWOLLEN}{HUGE}"))
            after = self.state(self.job(state), state.looks + 1)
            if self.job(state) == EAGER:
                return TaskStatus.success(after) if after.looks > EAGER_LOOKS else TaskStatus.running(after).after(0.0)
            return TaskStatus.success(after) if after.looks >= 4 else TaskStatus.running(after, f"look {after.looks}")

    async def kill_task(self, context: TaskContext[Any], state: State, reason: str) -> Gone | StillThere[Any]:
        return Gone()

    async def finalize(self, context: TaskContext[Any], state: State) -> None:
        pass


class Cached(SimExecutor):
    """Asks for many jobs at once through an AutoRefreshCache; its tasks may use the task cache."""

    id = "cached"
    task_types = ("cached",)
    state_type = State1
    mode = Mode.KEYED
    start_declaration: StartDeclaration = Idempotent(WINDOW_SECONDS)
    concurrency = 2

    async def initialize(self, setup: Setup) -> None:
        self.known = AutoRefreshCache[Mapping[str, Any]](
            "cached",
            sync=self.read,
            is_terminal=lambda job: job["status"] not in {"queued", "running", "unknown"},
            clock=setup.clock,
            random=Random(setup.random.random()),
            options=CacheOptions(period_seconds=3.0, batch_size=10),
            on_change=lambda key, _: setup.wake(key),
        )
        await self.known.__aenter__()

    async def close(self) -> None:
        await self.known.__aexit__(None, None, None)

    async def read(self, batch: Batch[Mapping[str, Any]]) -> Sequence[Updated[Mapping[str, Any]]]:
        found = []
        for one in batch:
            told = await self.service.get(one.item["id"])
            found.append(Updated(one.id, told or {**one.item, "status": "gone"}))
        return found

    async def check_task_status(self, context: TaskContext[Any], state: State) -> TaskStatus[Any]:
        with self.promises.call("check_task_status", context, state):
            job = self.job(state)
            told = self.known.get_or_create(context.key, {"id": job, "status": "unknown"})
            after = self.state(job, state.looks + 1)
            if told["status"] == "unknown":
                return TaskStatus.queued(after, "not asked yet").after(1.0)
            return self.status(after, None if told["status"] == "gone" else told)

    def status(self, state: State, told: Mapping[str, Any] | None) -> TaskStatus[Any]:
        status = super().status(state, told)
        return replace(status, outputs=outputs()) if status.phase is Phase.SUCCESS else status

    async def finalize(self, context: TaskContext[Any], state: State) -> None:
        self.known.delete_delayed(context.key)
        await super().finalize(context, state)


class Dynamic(SimExecutor):
    """Its job leaves a plan of children instead of outputs."""

    id = "dynamic"
    task_types = ("dynamic",)
    state_type = State1
    mode = Mode.KEYED
    start_declaration: StartDeclaration = Idempotent(WINDOW_SECONDS)

    async def start_task(self, context: TaskContext[Any], template: TaskTemplate) -> TaskStatus[Any] | NotStarted:
        answer = await super().start_task(context, template)
        return answer if isinstance(answer, NotStarted) else self._planned(context, answer)

    async def check_task_status(self, context: TaskContext[Any], state: State) -> TaskStatus[Any]:
        return self._planned(context, await super().check_task_status(context, state))

    def status(self, state: State, told: Mapping[str, Any] | None) -> TaskStatus[Any]:
        status = super().status(state, told)
        return replace(status, reason=told["plan"]) if told and status.phase is Phase.SUCCESS else status

    def _planned(self, context: TaskContext[Any], status: TaskStatus[Any]) -> TaskStatus[Any]:
        prefix = context.locations.output_prefix
        if status.phase in {Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE}:
            return replace(status, outputs=OutputsAt(prefix))
        if status.phase is not Phase.SUCCESS:
            return status
        self.world.files[f"{prefix}/futures.pb"] = plan(status.reason)
        return replace(status, outputs=OutputsAt(prefix), reason="")


class _NamesPool:
    """Says itself what its attempts take of a quota."""

    def resource_requirements(self, context: TaskContext[Any], template: TaskTemplate) -> ResourceRequirements:
        del context, template
        return ResourceRequirements(pool=NAMED_POOL, units=1)


KINDS: tuple[type[SimExecutor], ...] = (Keyed, Listed, Blind, Plain, Cached, Dynamic)


@lru_cache
def naming_a_pool(kind: type[Any]) -> type[Any]:
    """Make an executor's class one that names the pool of its attempts."""
    return type(kind.__name__, (_NamesPool, kind), {})
