"""
``echo``: a task whose outputs are its inputs. For tests, demonstrations and measuring the engine.

With one input and one output they belong together. With several, each output takes the input of its name, else the
only one of its type that is left; anything that is not clear from the declaration is an error that says so.

Configuration (``executors.echo``): ``sleep``, the seconds that each task takes; 0 by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Executor, Gone, NoEffect, Setup, TaskContext, TaskStatus
from airscrew.idl.errors import UsageError
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.timer import Timers

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import Interface


class EchoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    The configuration.

    Attributes:
        sleep: How many seconds each task takes.
    """

    sleep: float = 0.0


class EchoState(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A task that is on its way.

    Attributes:
        sources: For each output, the input that it takes.
        ends_at: When it ends, Unix seconds; 0 for at once.
        seconds: How long it takes as a whole.
    """

    sources: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    ends_at: float = 0.0
    seconds: float = 0.0


_EMPTY = EchoState()


class EchoExecutor(Executor[EchoState]):
    """Runs echoes."""

    id = "echo"
    task_types = ("echo",)
    state_type = EchoState
    start_declaration = NoEffect()

    def __init__(self) -> None:
        self._config = EchoConfig()
        self._timers = Timers()

    @override
    def initialize(self, setup: Setup) -> None:
        """
        Read the configuration.

        Raises:
            UsageError: It is wrong; one line.
        """
        try:
            self._config = msgspec.convert(setup.config, EchoConfig)
        except msgspec.ValidationError as error:
            raise UsageError(f"executors.echo: {error}") from error
        if self._config.sleep < 0:
            raise UsageError(f"executors.echo.sleep: is {self._config.sleep:g}: use 0 or more seconds")
        self._timers.clear()

    @override
    async def start_task(self, context: TaskContext[EchoState], template: TaskTemplate) -> TaskStatus[EchoState]:
        """Answer at once, unless the configuration wants it to take time."""
        sources = match_outputs(template.interface)
        seconds = self._config.sleep
        if not seconds:
            outputs = copy_literals(await context.inputs(), sources) if sources else None
            return TaskStatus.success(_EMPTY if not sources else EchoState(sources), outputs)
        ends_at = self._timers.start(context.key, context.clock, seconds)
        state = EchoState(sources, ends_at=ends_at, seconds=seconds)
        return TaskStatus.running(state, f"takes {seconds:g} s").after(seconds)

    @override
    async def check_task_status(self, context: TaskContext[EchoState], state: EchoState) -> TaskStatus[EchoState]:
        """Answer when the time has come."""
        rest = self._timers.rest(context.key, context.clock, state.ends_at, state.seconds)
        if rest > 0:
            return TaskStatus.running(state, f"takes {state.seconds:g} s").after(rest)
        return TaskStatus.success(
            state, copy_literals(await context.inputs(), state.sources) if state.sources else None
        )

    @override
    async def kill_task(self, context: TaskContext[EchoState], state: EchoState, reason: str) -> Gone:
        """Forget the time."""
        self._timers.forget(context.key)
        return Gone()


def match_outputs(declared: Interface) -> dict[str, str]:
    """
    Say which input each output takes. Pure.

    Raises:
        PermanentError: It is not clear from the declaration.
    """
    inputs, outputs = declared.inputs, declared.outputs
    if len(inputs) == 1 and len(outputs) == 1:
        return {next(iter(outputs)): next(iter(inputs))}
    sources = {name: name for name in outputs if name in inputs}
    for name in outputs:
        if name not in sources:
            sources[name] = _match_by_type(name, declared, sources)
    return sources


def _match_by_type(name: str, declared: Interface, taken: Mapping[str, str]) -> str:
    wanted = declared.outputs[name].type
    free = [one for one in declared.inputs if one not in taken.values() and declared.inputs[one].type == wanted]
    rivals = [one for one in declared.outputs if one not in taken and declared.outputs[one].type == wanted]
    if len(free) == 1 and len(rivals) == 1:
        return free[0]
    why = "no input has its name or its type" if not free else f"inputs {', '.join(free)} could be it"
    if len(rivals) > 1:
        why = f"outputs {', '.join(rivals)} have one type and no input has their names"
    raise PermanentError(
        f"echo cannot tell which input output {name!r} is: {why}; give them the same name", code="BadTaskSpecification"
    )


def copy_literals(inputs: LiteralMap, sources: Mapping[str, str]) -> LiteralMap:
    """
    Take each output from its input.

    Raises:
        PermanentError: An input is not there.
    """
    from flyteidl.core.literals_pb2 import LiteralMap

    outputs = LiteralMap()
    for name, source in sources.items():
        if source not in inputs.literals:
            raise PermanentError(f"echo has no input {source!r} for output {name!r}", code="BadTaskSpecification")
        outputs.literals[name].CopyFrom(inputs.literals[source])
    return outputs
