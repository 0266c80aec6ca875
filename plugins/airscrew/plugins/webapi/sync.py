"""
Tasks that are one call: asked, answered, done, and nothing to come back to.

Guarantees:

1. The call is made in a thread of its own, never on the engine's loop, and no more than ``pool_size`` at once. A call
   that ignores its deadline keeps its thread from others, and nothing else.
2. It is made by ``start_task``: a crash while it runs is an unknown start, which is resolved as declared. ``NoEffect``
   and ``Idempotent`` are called again with the same key; ``AtMostOnce`` is not.
3. A provider that cannot be reached costs no attempt; after some failures in a row it is asked by single probes only
   (``door``, ``breaker``), and calls that are held back say so.
4. Outputs lie in the store before the success is told.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, ClassVar

import msgspec
from typing_extensions import override

from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import RetryableError
from airscrew.engine.executor import (
    Executor,
    MaybeAwaitable,
    NoEffect,
    NotStarted,
    OutputsAt,
    Setup,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.errors import ErrorKind
from airscrew.plugins.webapi.door import Door, HeldBackError
from airscrew.plugins.webapi.plugin import Limits
from airscrew.plugins.webapi.threads import DaemonThreads
from airscrew.plugins.webapi.vault import SecretRef, Vault
from airscrew.plugins.webapi.verdicts import Trouble, start_result, trouble_of

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import TaskTemplate

_BUSY_SECONDS = 5.0
_MARGIN_SECONDS = 15.0
"""How much longer than the call the start may take: for reading inputs and writing outputs."""


class SyncState(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A call that was answered.

    Attributes:
        has_outputs: Whether its outputs were written.
    """

    has_outputs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCall:
    """
    What a call is given: all there is, for a thread cannot ask the engine.

    Attributes:
        key: The attempt's key: the idempotency token.
        template: The task.
        inputs: Its inputs.
        message: ``template.custom`` as the executor's ``custom_message``, when it declares one.
        secrets: The values of what ``secrets`` names.
    """

    key: str
    template: TaskTemplate
    inputs: LiteralMap
    message: object | None = None
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class SyncExecutor(Executor[SyncState]):
    """
    Runs tasks that are one call.

    Attributes:
        deadline: How many seconds a call may take; the engine waits for it, so minutes at most.
        pool_size: How many calls are made at once.
        secrets: What a call needs, by names of its own.
        limits: Of these ``writes_per_second`` and ``burst`` count: how often calls are made.
    """

    state_type = SyncState
    start_declaration = NoEffect()
    deadline: ClassVar[float] = 60.0
    pool_size: ClassVar[int] = 8
    secrets: ClassVar[Mapping[str, SecretRef]] = {}
    limits: Limits = Limits()

    @override
    def __init_subclass__(cls) -> None:
        """Let the engine wait as long as the deadline says, for as many calls as the pool has."""
        super().__init_subclass__()
        cls.start_timeout = cls.deadline + _MARGIN_SECONDS
        cls.concurrency = cls.pool_size

    def __init__(self) -> None:
        self._threads = DaemonThreads(self.id)
        self._vault = Vault(self.secrets)
        self._door: Door | None = None

    @abstractmethod
    def do(self, call: SyncCall) -> MaybeAwaitable[LiteralMap | None]:
        """
        Make the call and return the outputs; None for a task that declares none.

        Called once per attempt in a thread of its own, and again with the same key when the outcome of the first call
        is unknown and the executor is not ``AtMostOnce``. May block. A coroutine runs on a loop of its own, and is
        cancelled at the deadline; plain code is left behind, so give its requests a time-out.

        Raises:
            ProviderError: See ``webapi.errors``; so are the built-in errors of connections.
            PermanentError: The task can never run.
            RetryableError: Another attempt may do better.
            Exception: For ``NoEffect`` the attempt failed on the user's account; else the outcome is unknown.
        """

    @override
    def initialize(self, setup: Setup) -> MaybeAwaitable[None]:
        """Read the configuration; override it where there is some."""
        return None

    @override
    async def start_task(
        self, context: TaskContext[SyncState], template: TaskTemplate
    ) -> TaskStatus[SyncState] | NotStarted:
        """Make the call, and write its outputs."""
        await self._vault.read(context)
        if self._threads.busy >= self.pool_size:
            return NotStarted(f"all {self.pool_size} threads of {self.id} are in calls", _BUSY_SECONDS)
        call = SyncCall(
            key=context.key,
            template=template,
            inputs=await context.inputs(),
            message=context.message,
            secrets={name: self._vault.get(name) for name in self.secrets},
        )
        door = self._door_of(context)
        try:
            async with door.writing(context.key):
                outputs = await self._call(call)
            if outputs is not None:
                raw = outputs.SerializeToString(deterministic=True)
                await context.data.write_bytes(f"{context.locations.output_prefix}/outputs.pb", raw)
        except HeldBackError as error:
            return NotStarted(str(error), error.wait)
        except Exception as error:  # noqa: BLE001 - sorted out by what it says of the call
            return self._failed(door, error)
        return self._done(context, SyncState(has_outputs=outputs is not None))

    @override
    async def check_task_status(self, context: TaskContext[SyncState], state: SyncState) -> TaskStatus[SyncState]:
        """Say again that it is done."""
        return self._done(context, state)

    def _done(self, context: TaskContext[SyncState], state: SyncState) -> TaskStatus[SyncState]:
        return TaskStatus.success(state, OutputsAt(context.locations.output_prefix) if state.has_outputs else None)

    def _door_of(self, context: TaskContext[SyncState]) -> Door:
        """Make the door with the first call: a subclass may override ``initialize`` and not call it here."""
        if self._door is None:
            self._door = Door(self.id, self.limits, self._vault, context.clock, Random(context.key))
        return self._door

    async def _call(self, call: SyncCall) -> LiteralMap | None:
        deadline = asyncio.timeout(self.deadline)
        try:
            async with deadline:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, call)
        except TimeoutError as error:
            if deadline.expired():
                raise DeadlineError(f"the call did not end within {self.deadline:g} s") from error
            raise

    def _do(self, call: SyncCall) -> LiteralMap | None:
        answer = self.do(call)
        if not inspect.isawaitable(answer):
            return answer
        return asyncio.run(self._wait_for(answer))

    async def _wait_for(self, answer: Awaitable[LiteralMap | None]) -> LiteralMap | None:
        async with asyncio.timeout(self.deadline):
            return await answer

    def _failed(self, door: Door, error: Exception) -> NotStarted:
        """Say that nothing came of the call, or raise what its error means."""
        result = sync_result(self.id, error, has_effect=not isinstance(self.start_declaration, NoEffect))
        if isinstance(result, Exception):
            result = start_result(self.id, result, self.start_declaration)
        if isinstance(result, NotStarted):
            return door.held_back(result)
        excused = door.excused(result)
        raise excused from (error if excused is not error else None)


class DeadlineError(TimeoutError):
    """A call did not end in time; it may still run."""


def sync_result(executor: str, error: Exception, *, has_effect: bool) -> NotStarted | Exception:
    """
    Say what the error of a call means where a second one does no harm; with an effect, the error itself. Pure.

    Args:
        executor: Its id, for people.
        error: What the call ended in.
        has_effect: Whether a second call may do something twice.
    """
    if has_effect:
        return error
    if isinstance(error, DeadlineError):
        return RetryableError(str(error), code="CallDeadlineExceeded", kind=ErrorKind.SYSTEM)
    match trouble_of(error):
        case Trouble.UNCLEAR:
            return NotStarted(f"{executor}: {error}")
        case Trouble.OURS if isinstance(error, StorageUnavailableError):
            return NotStarted(f"{executor}: {error}")
        case Trouble.OURS:
            code = type(error).__name__
            return RetryableError(f"{code}: {error}", code=code, kind=ErrorKind.USER)
        case _:
            return error
