"""
``noop``: a task that succeeds at once, without outputs.
"""

from __future__ import annotations

import msgspec
from typing_extensions import override

from airscrew.engine.executor import Executor, NoEffect, TaskContext, TaskStatus
from airscrew.idl.template import TaskTemplate


class NoopState(msgspec.Struct, frozen=True):
    """Nothing is to be kept."""


_DONE: TaskStatus[NoopState] = TaskStatus.success(NoopState())


class NoopExecutor(Executor[NoopState]):
    """Runs tasks that do nothing."""

    id = "noop"
    task_types = ("noop",)
    state_type = NoopState
    start_declaration = NoEffect()
    produces_outputs = False

    @override
    async def start_task(self, context: TaskContext[NoopState], template: TaskTemplate) -> TaskStatus[NoopState]:
        """Succeed."""
        return _DONE

    @override
    async def check_task_status(self, context: TaskContext[NoopState], state: NoopState) -> TaskStatus[NoopState]:
        """Say so again."""
        return _DONE
