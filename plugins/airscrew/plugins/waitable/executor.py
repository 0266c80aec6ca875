"""
The executor of tasks that wait for other executions.

Nothing is asked for by time: each change of what is awaited wakes those who wait, and a restart looks at all anew.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from airscrew.engine.api.model import ApiError
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import Executor, Gone, NoEffect, NotStarted, Setup, TaskContext, TaskStatus
from airscrew.idl.phase import TaskInfo
from airscrew.idl.template import TargetKind, TaskTemplate
from airscrew.plugins.opened import Opened
from airscrew.plugins.settings import read_settings
from airscrew.plugins.waitable.decide import Failed, Waiting, cycle, standing
from airscrew.plugins.waitable.followed import Followed, Seen
from airscrew.plugins.waitable.names import FLYTE_NAMESPACE, Home, awaited_by
from airscrew.state.errors import StoreUnavailableError

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView


STATE_LIMIT = 48 * 1024
"""All names, kept twice when all are done, may take so many bytes of the custom state."""


class WaitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    The configuration: ``executors.waitable``.

    Attributes:
        namespace: Where executions that are named with project and domain are.
    """

    namespace: str = FLYTE_NAMESPACE


class WaitState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A wait, legible as JSON in the store.

    Attributes:
        waits_for: What is waited for, as ``namespace/name``.
        part_of: What the task is a child of, and what that is a child of, and so on.
        done: What of it has succeeded: it may be pruned before the wait is over.
    """

    waits_for: tuple[str, ...]
    part_of: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


Context = TaskContext[WaitState]
Status = TaskStatus[WaitState]


class WaitableExecutor(Executor[WaitState]):
    """
    Waits for executions.

    Args:
        watch: Shows an execution now and after each change; the engine's own by default.
    """

    id = "waitable"
    task_types = ("waitable",)
    state_type = WaitState
    start_declaration = NoEffect()
    check_interval = 300.0  # whoever waits is woken; a check by time is the net under a wake that was lost
    produces_outputs = False
    disables_cache = True

    def __init__(self, watch: Callable[[str], AsyncGenerator[ExecutionView, None]] | None = None) -> None:
        self._own_watch = watch
        self._config = WaitConfig()
        self._opened = Opened()
        self._followed: Followed

    @override
    async def initialize(self, setup: Setup) -> None:
        """
        Read the configuration.

        Raises:
            UsageError: It is wrong; one line.
        """
        await self.close()
        self._config = read_settings(self.id, setup.config, WaitConfig, _problems)
        self._followed = Followed(self.id, self._own_watch or setup.watch or _see_nothing, setup.wake)
        async with AsyncExitStack() as stack:
            await self._followed.open(stack)
            self._opened.hold(stack)

    @override
    async def start_task(self, context: Context, template: TaskTemplate) -> Status | NotStarted:
        """Say what is waited for; a task with a container is refused, for nobody would run it."""
        if template.target is not TargetKind.NONE:
            raise PermanentError(
                "a waitable task only waits: make what is to run afterwards a task of its own",
                code="BadTaskSpecification",
            )
        inputs = (await context.inputs()).literals
        names = awaited_by(template.custom, inputs, Home(context.namespace, self._config.namespace))
        if str(context.execution) in names:
            raise PermanentError(f"{context.execution} waits for itself", code="WaitCycle")
        size = len(msgspec.json.encode(WaitState(waits_for=tuple(names), done=tuple(names))))
        if size > STATE_LIMIT:
            raise PermanentError(
                f"the task names {len(names)} executions: too many to be kept in its custom state; wait for some of "
                "them by a task of its own, and for that one here",
                code="BadTaskSpecification",
            )
        try:
            part_of = await self._followed.ancestors(str(context.execution))
        except (ApiError, StoreUnavailableError) as error:
            return NotStarted(f"what it is a part of cannot be read: {error}")
        return await self._status(context, WaitState(waits_for=tuple(names), part_of=tuple(part_of)))

    @override
    async def check_task_status(self, context: Context, state: WaitState) -> Status:
        """Say how the wait stands by what was seen last."""
        return await self._status(context, state)

    @override
    async def kill_task(self, context: Context, state: WaitState, reason: str) -> Gone:
        """Wait no more; what was waited for is left alone."""
        self._followed.leave(context.key)
        return Gone()

    @override
    async def finalize(self, context: Context, state: WaitState) -> None:
        """Wait no more."""
        self._followed.leave(context.key)

    @override
    async def close(self) -> None:
        """Watch nothing any more."""
        await self._opened.close()

    async def _status(self, context: Context, state: WaitState) -> Status:
        own = str(context.execution)
        await self._followed.meet([name for name in state.waits_for if name not in state.done], context.key)

        def look(name: str) -> Seen | None:
            return self._followed.look(name, context.key)

        now = standing(state.waits_for, state.done, look)
        if isinstance(now, Failed):
            return TaskStatus.permanent_failure(state, now.message, code=now.code, kind=now.seen.kind)
        state = msgspec.structs.replace(state, done=now.done)
        if not now.left:
            return TaskStatus.success(state)
        way = cycle([own, *state.part_of], now.left, look)
        if way:
            return TaskStatus.permanent_failure(state, f"waits in a circle: {' -> '.join(way)}", code="WaitCycle")
        return self._waiting(state, now)

    def _waiting(self, state: WaitState, now: Waiting) -> Status:
        troubles = [trouble for name in now.left if (trouble := self._followed.trouble(name))]
        status = TaskStatus.running(state, now.reason)
        if troubles:
            status = replace(status, reason=f"{now.reason}; they cannot be seen: {troubles[0]}")
        return status.with_info(TaskInfo(progress=len(now.done) / len(state.waits_for)))


def _problems(config: WaitConfig) -> Iterator[str]:
    if not config.namespace:
        yield "namespace: is empty: use something like {project}-{domain}"


async def _see_nothing(name: str) -> AsyncGenerator[ExecutionView, None]:
    """Stand in where there is no engine, as in a list of what is installed."""
    raise PermanentError(f"nobody can see {name}: no engine runs", code="NoEngine")
    yield
