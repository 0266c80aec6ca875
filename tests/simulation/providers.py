"""
The executors of a simulation over the WebAPI framework: one plugin for each start declaration, and one that reads many.

They stand where the executors of their ids stand in the other cast (``executors``), at the same services, under the
same promises; what is simulated besides is the framework: its door, breaker and rates, its background reads, its notes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from tests.simulation.executors import Dynamic, Plain, SimExecutor
from tests.simulation.promises import Promises
from tests.simulation.services import CALL_SECONDS, SETTLE_SECONDS, WINDOW_SECONDS, Begun, BusyError, Mode, Service
from tests.simulation.work import outputs
from tests.simulation.world import unit_of

from airscrew.engine.clock import LoopClock
from airscrew.engine.executor import (
    AtMostOnce,
    Findable,
    Found,
    Gone,
    Idempotent,
    NotStarted,
    StartDeclaration,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.webapi import (
    Created,
    JobState,
    Limits,
    Listed,
    Opening,
    Prepared,
    Reports,
    SecretRef,
    ThrottledError,
    UnreachableError,
    WebApiExecutor,
    WebApiPlugin,
)

Told = Mapping[str, Any]
T = TypeVar("T")

EPOCH = LoopClock().epoch
ENDED = frozenset({"succeeded", "flaky", "hasty", "broken", "cancelled"})


class WebState(JobState, frozen=True, kw_only=True, omit_defaults=True):
    """
    The custom state of all of them.

    Attributes:
        serial: No two have the same.
        looks: How often it was looked at.
    """

    serial: int = 0
    looks: int = 0


class SimPlugin(WebApiPlugin[WebState, Told]):
    """What all have in common."""

    id = "blind"
    task_types = ("blind",)
    state_type = WebState
    start_declaration: StartDeclaration = AtMostOnce()
    limits = Limits(
        period_seconds=3.0,
        timeout_seconds=CALL_SECONDS,
        reads_per_second=5.0,
        writes_per_second=5.0,
        burst=2,
        concurrency=4,
        settle_seconds=1.0,
    )
    secrets: Mapping[str, SecretRef] = {"token": SecretRef("token")}
    mode = Mode.BLIND

    def __init__(self, service: Service, begun: Mapping[str, Begun]) -> None:
        self.service = service
        self.world = service.world
        self.begun = begun

    async def open(self, opening: Opening[Told]) -> None:
        self.vault = opening.vault

    async def prepare(self, context: TaskContext[WebState], template: TaskTemplate) -> Prepared[WebState]:
        if template.interface.inputs:
            await context.inputs()
        return Prepared(self.draft(), dict(template.custom))

    async def create(self, context: TaskContext[WebState], prepared: Prepared[WebState]) -> Created[Told]:
        execution, body = str(context.execution), prepared.body
        assert isinstance(body, dict)
        asked = self.service.create(context.key, execution, str(context.uid), body, self.begun[context.key])
        try:
            told = await self._ask(asked)
        except OSError as error:
            raise OSError(f"{error} (token {self.vault.get('token')})") from error
        return Created(told["id"], told if self.world.dice.random() < 0.5 else None)

    async def get(self, state: WebState) -> Told | None:
        return await self._ask(self.service.get(state.id))

    async def delete(self, state: WebState) -> Told | None:
        return await self._ask(self.service.cancel(state.id))

    async def find(self, context: TaskContext[WebState]) -> Sequence[Listed]:
        return [Listed(one["id"], EPOCH + one["created_at"]) for one in await self._ask(self.service.list(context.key))]

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except BusyError as error:
            if self.world.dice.random() < 0.5:
                raise UnreachableError(str(error)) from error
            raise ThrottledError(str(error), self.world.dice.choice((None, 1.0))) from error

    def is_over(self, view: Told) -> bool:
        return view["status"] in ENDED

    def status(self, state: WebState, view: Told | None) -> TaskStatus[WebState]:
        if view is None:
            return TaskStatus.queued(state, "not heard of yet")
        looked = msgspec.structs.replace(state, looks=state.looks + 1)
        return SimExecutor.status(_ANY, looked, view)


_ANY: Any = None
"""What ``SimExecutor.status`` is called on: it uses nothing of it."""


class KeyedPlugin(SimPlugin):
    id = "keyed"
    task_types = ("keyed",)
    start_declaration: StartDeclaration = Idempotent(WINDOW_SECONDS)
    mode = Mode.KEYED


class ListedPlugin(SimPlugin):
    """Is told of changes as well, now and then, by what may be late."""

    id = "listed"
    task_types = ("listed",)
    start_declaration: StartDeclaration = Findable(SETTLE_SECONDS)
    limits = replace(SimPlugin.limits, pushed_period_seconds=20.0, writes_per_second=None)
    mode = Mode.LISTED

    async def open(self, opening: Opening[Told]) -> None:
        await super().open(opening)
        group = await opening.stack.enter_async_context(asyncio.TaskGroup())
        told = group.create_task(self._listen(opening.reports))
        opening.stack.callback(told.cancel)

    async def _listen(self, reports: Reports[Told]) -> None:
        dice = self.world.dice
        while True:
            await asyncio.sleep(1.0 + dice.random() * 5.0)
            reports.is_listening = self.world.calm or dice.random() < 0.5
            for job in list(self.service.jobs.values()):
                if reports.is_listening and not job.forgotten and dice.random() < 0.5:
                    reports.look_at(job.id)
                elif reports.is_listening and not job.forgotten:
                    with suppress(BusyError, OSError, ValueError):
                        reports.changed(job.id, await self._pushed(job.id))

    async def _pushed(self, job: str) -> Told:
        told = self.service.told(job)
        await asyncio.sleep(0)
        return told


class BatchedPlugin(KeyedPlugin):
    """Reads many jobs by one request, and fetches outputs."""

    id = "cached"
    task_types = ("cached",)
    limits = replace(SimPlugin.limits, batch_size=10, reads_per_second=None)
    reads_single_jobs = True

    async def get_many(self, states: Sequence[WebState]) -> Mapping[str, Told]:
        return await self._ask(self.service.get_many([state.id for state in states]))

    async def outputs(self, context: TaskContext[WebState], state: WebState, view: Told | None) -> Any:
        await self._ask(self.service.get(state.id))
        return outputs()


class SimProvider(WebApiExecutor[WebState, Told]):
    """What all executors have in common: the checks, and a serial for each state."""

    check_interval = 5.0
    start_timeout = CALL_SECONDS
    call_timeout = CALL_SECONDS

    def __init__(self, promises: Promises, service: Service, version: int) -> None:
        super().__init__()
        del version  # what a newer version writes is for the other cast
        self.promises = promises
        self.world = promises.world
        self.service = service
        self.begun: dict[str, Begun] = {}

    def make_plugin(self) -> SimPlugin:
        made: Any = self.plugin_type
        return made(self.service, self.begun)

    async def start_task(
        self, context: TaskContext[WebState], template: TaskTemplate
    ) -> TaskStatus[WebState] | NotStarted:
        life = self.world.life()
        assert life is not None
        self.begun[context.key] = Begun(self.world.terms[unit_of(str(context.execution))], life.pauses)
        with self.promises.call("start_task", context):
            answer = await super().start_task(context, template)
            if isinstance(answer, NotStarted):
                return answer
            self.promises.history.note_answer(context.key, str(context.execution), life)
            numbered = self._numbered(answer)
            self.promises.started.add(numbered.state.serial)
            return numbered

    async def check_task_status(self, context: TaskContext[WebState], state: WebState) -> TaskStatus[WebState]:
        with self.promises.call("check_task_status", context, state):
            return self._numbered(await super().check_task_status(context, state))

    async def kill_task(
        self, context: TaskContext[WebState], state: WebState, reason: str
    ) -> Gone | StillThere[WebState]:
        with self.promises.call("kill_task", context, state):
            answer = await super().kill_task(context, state, reason)
            if isinstance(answer, Gone):
                return answer
            after = self._next(answer.state)
            for untold in (self.promises.found, self.promises.started):
                if state.serial in untold:
                    untold.add(after.serial)
            return replace(answer, state=after)

    async def finalize(self, context: TaskContext[WebState], state: WebState) -> None:
        with self.promises.call("finalize", context, state):
            await super().finalize(context, state)

    async def find(self, context: TaskContext[WebState]) -> Sequence[Found[WebState]]:
        with self.promises.call("find", context):
            found = [replace(one, state=self._next(one.state)) for one in await super().find(context)]
            self.promises.found |= {one.state.serial for one in found}
            return found

    def _numbered(self, status: TaskStatus[WebState]) -> TaskStatus[WebState]:
        return replace(status, state=self._next(status.state))

    def _next(self, state: WebState) -> WebState:
        return msgspec.structs.replace(state, serial=self.world.next_serial())


class KeyedJobs(SimProvider):
    plugin_type = KeyedPlugin
    mode = Mode.KEYED


class ListedJobs(SimProvider):
    plugin_type = ListedPlugin
    mode = Mode.LISTED


class BlindJobs(SimProvider):
    plugin_type = SimPlugin
    mode = Mode.BLIND


class BatchedJobs(SimProvider):
    plugin_type = BatchedPlugin
    mode = Mode.KEYED


PROVIDERS: tuple[type[Any], ...] = (KeyedJobs, ListedJobs, BlindJobs, Plain, BatchedJobs, Dynamic)
