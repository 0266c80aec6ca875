"""
``core-sleep``: a task that waits for as long as its only input says.

The wait survives the process: the state says when it ends, and a restart does not begin it anew.
"""

from __future__ import annotations

import msgspec
from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Executor, Gone, NoEffect, Setup, TaskContext, TaskStatus
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.timer import Timers


class SleepState(msgspec.Struct, frozen=True):
    """
    A wait.

    Attributes:
        ends_at: When it ends, Unix seconds.
        seconds: How long it is as a whole.
    """

    ends_at: float
    seconds: float


class SleepExecutor(Executor[SleepState]):
    """Runs waits."""

    id = "core-sleep"
    task_types = ("core-sleep",)
    state_type = SleepState
    start_declaration = NoEffect()
    produces_outputs = False

    def __init__(self) -> None:
        self._timers = Timers()

    @override
    def initialize(self, setup: Setup) -> None:
        """Forget what another life counted by its monotonic clock."""
        self._timers.clear()

    @override
    async def start_task(self, context: TaskContext[SleepState], template: TaskTemplate) -> TaskStatus[SleepState]:
        """Begin the wait; one of no length is over at once."""
        seconds = await _read_length(context, template)
        ends_at = self._timers.start(context.key, context.clock, seconds)
        state = SleepState(ends_at=ends_at, seconds=seconds)
        return self._status(context, state)

    @override
    async def check_task_status(self, context: TaskContext[SleepState], state: SleepState) -> TaskStatus[SleepState]:
        """Say whether it is over, and if not how long it still takes."""
        return self._status(context, state)

    @override
    async def kill_task(self, context: TaskContext[SleepState], state: SleepState, reason: str) -> Gone:
        """Forget the wait."""
        self._timers.forget(context.key)
        return Gone()

    def _status(self, context: TaskContext[SleepState], state: SleepState) -> TaskStatus[SleepState]:
        rest = self._timers.rest(context.key, context.clock, state.ends_at, state.seconds)
        if rest <= 0:
            return TaskStatus.success(state)
        return TaskStatus.running(state, f"sleeps for {state.seconds:g} s").after(rest)


async def _read_length(context: TaskContext[SleepState], template: TaskTemplate) -> float:
    """
    Read the length from the only input.

    Raises:
        PermanentError: There is not exactly one input, it is no duration, or there are outputs.
    """
    declared = template.interface
    if len(declared.inputs) != 1:
        raise _refusal(f"takes exactly one input, a duration; the task declares {len(declared.inputs)}")
    if declared.outputs:
        raise _refusal(f"has no outputs; the task declares {', '.join(declared.outputs)}")
    name = next(iter(declared.inputs))
    literals = (await context.inputs()).literals
    if name not in literals or not literals[name].scalar.primitive.HasField("duration"):
        raise _refusal(f"takes a duration; input {name!r} is none")
    duration = literals[name].scalar.primitive.duration
    seconds = float(duration.seconds + duration.nanos * 1e-9)
    if seconds < 0:
        raise _refusal(f"cannot wait for {seconds:g} s; input {name!r} must not be negative")
    return seconds


def _refusal(text: str) -> PermanentError:
    return PermanentError(f"core-sleep {text}", code="BadTaskSpecification")
