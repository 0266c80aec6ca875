"""
Executors that misbehave on purpose, and a good one that must not notice.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from typing_extensions import override

from airscrew.engine.api.model import ExecutionView, SubmitRequest
from airscrew.engine.api.port import EngineApi
from airscrew.engine.config import EngineSettings, WorkScope
from airscrew.engine.executor import (
    Executor,
    Findable,
    Found,
    Gone,
    Idempotent,
    Setup,
    StartDeclaration,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.engine.manager import open_engine
from airscrew.engine.registry import Registry
from airscrew.idl.template import TaskTemplate, make_template


class State(msgspec.Struct, frozen=True):
    checks: int = 0


@dataclass
class Trouble:
    """
    What goes wrong, and when.

    Attributes:
        make: Does the harm; called in the method, with how often it has.
        method: In which method.
        times: How often, before it behaves.
        seen: How often it has.
    """

    make: Callable[[int], object]
    method: str
    times: int = 1
    seen: int = 0

    def strike(self, method: str) -> None:
        if method == self.method and self.seen < self.times:
            self.seen += 1
            self.make(self.seen - 1)


class Steady(Executor[State]):
    """Runs jobs of a few checks; ``late`` tells by how much its checks came late."""

    id = "steady"
    task_types = ("steady",)
    state_type = State
    start_declaration: StartDeclaration = Idempotent()  # type: ignore[misc]  # each test has its own
    check_interval = 0.1
    call_timeout = 5.0
    start_timeout = 5.0
    lasts = 3

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.started: list[str] = []
        self.late: list[float] = []
        self.due: dict[str, float] = {}

    @override
    async def start_task(self, context: TaskContext[State], template: TaskTemplate) -> TaskStatus[State]:
        if context.key not in self.live:
            self.live.add(context.key)
            self.started.append(context.key)
        self.due[context.key] = time.monotonic() + self.check_interval
        return TaskStatus.running(State())

    @override
    async def check_task_status(self, context: TaskContext[State], state: State) -> TaskStatus[State]:
        now = time.monotonic()
        self.late.append(now - self.due.get(context.key, now))
        self.due[context.key] = now + self.check_interval
        if state.checks >= self.lasts:
            self.live.discard(context.key)
            return TaskStatus.success(state)
        return TaskStatus.running(State(state.checks + 1))

    @override
    async def kill_task(self, context: TaskContext[State], state: State, reason: str) -> Gone | StillThere[State]:
        self.live.discard(context.key)
        return Gone()

    @override
    async def finalize(self, context: TaskContext[State], state: State) -> None:
        return None


class Bad(Steady):
    """The same with a trouble in one method."""

    id = "bad"
    task_types = ("bad",)

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self.trouble = trouble
        self.threads: set[str] = set()
        self.answered: set[str] = set()
        if trouble.method == "find":
            vars(self)["start_declaration"] = Findable(settle=0.0)

    @override
    async def initialize(self, setup: Setup) -> None:
        self.trouble.strike("initialize")

    @override
    async def close(self) -> None:
        self.trouble.strike("close")

    @override
    async def start_task(self, context: TaskContext[State], template: TaskTemplate) -> TaskStatus[State]:
        status = await super().start_task(context, template)
        if self.trouble.method == "find" and context.key not in self.answered:
            self.answered.add(context.key)
            raise ConnectionError("the reply was lost")
        self._strike("start_task")
        return status

    @override
    async def find(self, context: TaskContext[State]) -> Sequence[Found[State]]:
        self._strike("find")
        return [Found(State(), created_at=1.0)] if context.key in self.live else []

    @override
    async def check_task_status(self, context: TaskContext[State], state: State) -> TaskStatus[State]:
        self._strike("check_task_status")
        return await super().check_task_status(context, state)

    @override
    async def kill_task(self, context: TaskContext[State], state: State, reason: str) -> Gone | StillThere[State]:
        self._strike("kill_task")
        return await super().kill_task(context, state, reason)

    @override
    async def finalize(self, context: TaskContext[State], state: State) -> None:
        self._strike("finalize")

    def _strike(self, method: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.trouble.strike(method)


@dataclass
class House:
    """An engine with a bad executor and a good one, both of this program."""

    api: EngineApi
    bad: Bad
    steady: Steady
    names: list[str] = field(default_factory=list)

    async def submit(self, task_type: str) -> str:
        template = make_template(task_type)
        request = SubmitRequest(template=template.raw, wire=str(template.wire), max_attempts=3)
        self.names.append((await self.api.submit(request)).execution)
        return self.names[-1]

    async def over(self, name: str, seconds: float = 40.0) -> ExecutionView:
        async with asyncio.timeout(seconds):
            async for view in self.api.watch(name):
                if view.is_over:
                    return view
        raise AssertionError(f"the watch of {name} ended before it")


@asynccontextmanager
async def house(folder: Path, trouble: Trouble) -> AsyncIterator[House]:
    """Be the engine of a home with both executors."""
    registry, bad, steady = Registry(), Bad(trouble), Steady()
    registry.register(bad)
    registry.register(steady)
    settings = EngineSettings(home=str(folder / "home"), drain_seconds=5.0)
    async with open_engine(settings, work=WorkScope.everything(), serve_socket=False, registry=registry) as api:
        yield House(api, bad, steady)
    await registry.close()
