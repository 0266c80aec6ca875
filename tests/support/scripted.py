"""
An executor that does as it is told, and the world outside at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from typing_extensions import override

from airscrew.engine.executor import (
    Executor,
    Found,
    Gone,
    Idempotent,
    NotStarted,
    StartDeclaration,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.ids import AttemptKey


class Count(msgspec.Struct, frozen=True, omit_defaults=True):
    """Custom state: how often it was checked."""

    checks: int = 0
    job: str = ""


Answer = TaskStatus[Count] | NotStarted | Gone | StillThere[Count] | Sequence[Found[Count]] | BaseException
Script = Answer | Callable[[TaskContext[Count]], Answer]


class Scripted(Executor[Count]):
    """
    Answers each call from its script, and else as a well-behaved job that runs until ``ends`` names its key.

    Attributes:
        calls: Every call: method, execution's name, time.
        jobs: What exists outside, by attempt key: how often it was created.
        gone: Keys that were killed.
        ends: How jobs end, by execution's name; the others run on.
        script: Answers to give first, by method.
        down: While set, every call fails.
        broken: Names of executions whose calls always fail.
    """

    id = "scripted"
    task_types = ("job",)
    state_type = Count
    start_declaration: StartDeclaration = Idempotent()  # type: ignore[misc]  # each test has its own
    check_interval: float = 10.0  # type: ignore[misc]

    def __init__(self, start: StartDeclaration | None = None) -> None:
        if start is not None:
            self.start_declaration = start
        self.calls: list[tuple[str, str, float]] = []
        self.jobs: dict[AttemptKey, int] = {}
        self.gone: set[AttemptKey] = set()
        self.ends: dict[str, Callable[[Count], TaskStatus[Count]]] = {}
        self.script: dict[str, deque[Script]] = {}
        self.down = False
        self.broken: set[str] = set()

    def will(self, method: str, *answers: Script) -> None:
        """Give these answers to the next calls of a method."""
        self.script.setdefault(method, deque()).extend(answers)

    def count(self, method: str, name: str | None = None) -> int:
        """Count the calls of a method."""
        return sum(1 for one, of, _ in self.calls if one == method and name in {None, of})

    def times(self, method: str) -> list[float]:
        return [at for one, _, at in self.calls if one == method]

    @override
    async def start_task(self, context: TaskContext[Count], template: object) -> TaskStatus[Count] | NotStarted:
        scripted = self._next("start_task", context)
        if isinstance(scripted, NotStarted):
            return scripted
        if isinstance(self.start_declaration, Idempotent):
            self.jobs.setdefault(context.key, 1)
        else:
            self.jobs[context.key] = self.jobs.get(context.key, 0) + 1
        if isinstance(scripted, BaseException):
            raise scripted
        return scripted or TaskStatus.running(Count(job=context.key))  # type: ignore[return-value]

    @override
    async def check_task_status(self, context: TaskContext[Count], state: Count) -> TaskStatus[Count]:
        scripted = self._next("check_task_status", context)
        if isinstance(scripted, BaseException):
            raise scripted
        state = msgspec.structs.replace(state, checks=state.checks + 1)
        end = self.ends.get(context.execution.name)
        return scripted or (end(state) if end else TaskStatus.running(state))  # type: ignore[return-value]

    @override
    async def kill_task(self, context: TaskContext[Count], state: Count, reason: str) -> Gone | StillThere[Count]:
        scripted = self._next("kill_task", context)
        if isinstance(scripted, BaseException):
            raise scripted
        if scripted is None:
            self.gone.add(AttemptKey(state.job) or context.key)
        return scripted or Gone()  # type: ignore[return-value]

    @override
    async def find(self, context: TaskContext[Count]) -> Sequence[Found[Count]]:
        scripted = self._next("find", context)
        if isinstance(scripted, BaseException):
            raise scripted
        if scripted is not None:
            return scripted  # type: ignore[return-value]
        return [Found(Count(job=context.key))] if context.key in self.jobs else []

    @override
    async def finalize(self, context: TaskContext[Count], state: Count) -> None:
        scripted = self._next("finalize", context)
        if isinstance(scripted, BaseException):
            raise scripted

    def _next(self, method: str, context: TaskContext[Count]) -> Answer | None:
        self.calls.append((method, context.execution.name, context.clock.now()))
        if self.down or (method != "start_task" and context.execution.name in self.broken):
            raise OSError("no answer")
        waiting = self.script.get(method)
        if not waiting:
            return None
        answer = waiting.popleft()
        return answer(context) if callable(answer) and not isinstance(answer, type) else answer  # type: ignore[return-value]


def success(state: Count) -> TaskStatus[Count]:
    return TaskStatus.success(state)


def failure(state: Count, **changes: object) -> TaskStatus[Count]:
    return TaskStatus.retryable_failure(state, "it broke", code="Broken", **changes)  # type: ignore[arg-type]
