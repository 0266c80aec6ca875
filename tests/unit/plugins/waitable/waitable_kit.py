"""
Executions that end when a test says so, and tasks that wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from tests.support.literal_maps import literals
from typing_extensions import override

from airscrew.engine.api.model import SubmitRequest
from airscrew.engine.core import Core
from airscrew.engine.executor import Executor, Gone, NoEffect, TaskContext, TaskStatus
from airscrew.idl.errors import ErrorKind
from airscrew.idl.literals import encode_literal_map
from airscrew.idl.template import TaskTemplate, make_template
from airscrew.idl.wire import WireForm


class NoState(msgspec.Struct, frozen=True):
    """Nothing."""


class Cues:
    """What tests say to the executions of all engines."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.wakes: dict[str, Callable[[], None]] = {}

    def end(self, name: str, failure: str = "") -> None:
        self.ends[name] = failure
        if name in self.wakes:
            self.wakes[name]()


class CuedExecutor(Executor[NoState]):
    """Runs until a test says that it ends."""

    id = "cued"
    task_types = ("cued",)
    state_type = NoState
    start_declaration = NoEffect()
    check_interval = 1000.0

    def __init__(self, cues: Cues) -> None:
        self._cues = cues

    @override
    async def start_task(self, context: TaskContext[NoState], template: TaskTemplate) -> TaskStatus[NoState]:
        return self._status(context)

    @override
    async def check_task_status(self, context: TaskContext[NoState], state: NoState) -> TaskStatus[NoState]:
        return self._status(context)

    @override
    async def kill_task(self, context: TaskContext[NoState], state: NoState, reason: str) -> Gone:
        return Gone()

    def _status(self, context: TaskContext[NoState]) -> TaskStatus[NoState]:
        name = context.execution.name
        self._cues.wakes[name] = context.wake
        if name not in self._cues.ends:
            return TaskStatus.running(NoState())
        failure = self._cues.ends[name]
        if failure:
            return TaskStatus.permanent_failure(NoState(), failure, code="No", kind=ErrorKind.SYSTEM)
        return TaskStatus.success(NoState())


def waitable(name: str, **more: str) -> dict[str, Any]:
    """Write a ``Waitable`` as the SDKs do."""
    return {"wfExecId": {"name": name, **more}}


def task_for(*names: str) -> tuple[TaskTemplate, Any]:
    """Make a task that waits: for one by its ``custom``, for several by its inputs."""
    if len(names) == 1:
        return make_template("waitable", custom=waitable(names[0])), literals()
    values = {f"w{number}": (waitable(name), dict) for number, name in enumerate(names)}
    return make_template("waitable", inputs=dict.fromkeys(values, dict)), literals(**values)


async def submit_cued(core: Core, *names: str, parent: str = "") -> None:
    for name in names:
        template = make_template("cued").message.SerializeToString()
        await core.api.submit(SubmitRequest(name=name, template=template, parent=parent))


async def submit_wait(core: Core, name: str, *names: str, parent: str = "") -> None:
    template, inputs = task_for(*names)
    await core.api.submit(
        SubmitRequest(
            name=name,
            template=template.message.SerializeToString(),
            inputs=encode_literal_map(dict(inputs.literals), WireForm.FLYTE1),
            parent=parent,
            item=0 if parent else None,
        )
    )
