"""
One attempt of a task under test, driven call by call or to its end.

Between two calls nothing is kept but the stored state, as JSON: what an executor keeps elsewhere is lost to it with
``ExecutorEnvironment.restart``. Each answer is checked against the contract, and a breach raises ``ConformanceError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.errors import PermanentError, RetryableError
from airscrew.engine.executor import (
    AtMostOnce,
    Executor,
    Findable,
    Found,
    Gone,
    NotStarted,
    ResourceRequirements,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.engine.executor.messages import own_message
from airscrew.engine.testing.calls import call, decode_state, encode_state
from airscrew.engine.testing.data import MemoryData
from airscrew.engine.testing.errors import ConformanceError, expect
from airscrew.idl.errors import AirscrewError, ErrorKind
from airscrew.idl.ids import AttemptKey, ExecutionId, Uid
from airscrew.idl.phase import Phase, may_follow

if TYPE_CHECKING:
    from airscrew.idl.template import TaskTemplate

T = TypeVar("T")
StateT = TypeVar("StateT")

RETRY_SECONDS = 5.0
"""What the engine waits after a call that failed, or a ``NotStarted`` without a delay."""

KILL_PACE_SECONDS = 2.0
"""What the engine waits between two kills that say nothing else."""

_ENGINES_OWN = frozenset({Phase.UNDEFINED, Phase.NOT_READY, Phase.WAITING_FOR_CACHE, Phase.ABORTED})


class StartOutcomeUnknownError(AirscrewError):
    """A start was lost and the executor is declared ``AtMostOnce``: there is no second call."""


class Host(Protocol[StateT]):
    """What an attempt needs of its environment."""

    clock: Clock

    @property
    def executor(self) -> Executor[StateT]:
        """The executor, another one after a restart."""
        ...

    @property
    def secret_values(self) -> Sequence[str]:
        """What must appear nowhere."""
        ...


@dataclass(slots=True, kw_only=True)
class Attempt(Generic[StateT]):
    """
    An attempt.

    Attributes:
        host: The environment.
        execution: The execution's name.
        uid: Its UID.
        number: The attempt's number.
        key: The attempt's key.
        template: The task.
        data: Its data plane.
        raw_state: The state as it is stored; None before the start.
        phase: The last phase that was recorded.
        reports: Every status that differed from the one before it.
        errors: What calls raised, in order.
        last: The last status, whether or not it told anything new.
        due: When the next check is due, by the monotonic clock.
        was_woken: Set by ``context.wake`` and by ``setup.wake``.
    """

    host: Host[StateT]
    execution: ExecutionId
    uid: Uid
    number: int
    key: AttemptKey
    template: TaskTemplate
    data: MemoryData
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    raw_state: bytes | None = None
    phase: Phase = Phase.NOT_READY
    reports: list[TaskStatus[StateT]] = field(default_factory=list[TaskStatus[StateT]])
    errors: list[Exception] = field(default_factory=list[Exception])
    last: TaskStatus[StateT] | None = None
    due: float = 0.0
    was_woken: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @property
    def state(self) -> StateT:
        """The stored state, decoded anew each time."""
        expect(self.raw_state is not None, "there is no state before the start")
        assert self.raw_state is not None
        return decode_state(self.host.executor, self.raw_state)

    @property
    def phases(self) -> list[Phase]:
        """The recorded phases, repeated ones once."""
        seen = [status.phase for status in self.reports]
        return [phase for at, phase in enumerate(seen) if at == 0 or seen[at - 1] is not phase]

    def wake(self) -> None:
        """Push the attempt back into the queue; thread-safe."""
        self._loop.call_soon_threadsafe(self.was_woken.set)

    def context(self) -> TaskContext[StateT]:
        """Make the context of one call."""
        id_fields = {"name": self.template.name} if self.template.name else {}
        return TaskContext(
            execution=self.execution,
            uid=self.uid,
            attempt=self.number,
            key=self.key,
            namespace=self.execution.namespace,
            labels={"airscrew.key": self.key},
            task_name=self.template.name,
            task_type=self.template.type,
            task_id=id_fields,
            locations=self.data.locations,
            overrides=self.overrides,
            previous_state=None if self.raw_state is None else self.state,
            raw_state=None if self.raw_state is None else msgspec.json.decode(self.raw_state, type=dict[str, object]),
            clock=self.host.clock,
            wake=self.wake,
            data=self.data,
        )

    async def requirements(self) -> ResourceRequirements | None:
        """Call ``resource_requirements`` once."""
        return await call(self.host.executor.resource_requirements, self._context_with_message(), self.template)

    async def start(self) -> TaskStatus[StateT] | NotStarted:
        """
        Call ``start_task`` once and record its answer.

        Raises:
            TimeoutError: It took longer than ``start_timeout``: the outcome is unknown.
            Exception: What the executor raised.
        """
        answer = await self.start_unrecorded()
        if isinstance(answer, TaskStatus):
            self.record(answer)
        return answer

    async def start_unrecorded(self) -> TaskStatus[StateT] | NotStarted:
        """Call ``start_task`` once and forget its answer, as a crash before the write would."""
        self.was_woken.clear()
        executor = self.host.executor
        async with asyncio.timeout(executor.start_timeout):
            return await call(executor.start_task, self._context_with_message(), self.template)

    async def start_resolved(self, *, unknown: bool = False) -> TaskStatus[StateT]:
        """
        Start the way the engine does: again after ``NotStarted``, and an unknown outcome as the executor declares.

        Args:
            unknown: Whether a start was made already whose outcome is not known.

        Raises:
            ExecutorError: The first start was refused: the attempt is over.
            StartOutcomeUnknownError: A start was lost and the executor declares ``AtMostOnce``.
        """
        while True:
            if unknown and isinstance(self.host.executor.start_declaration, AtMostOnce):
                raise StartOutcomeUnknownError(f"the outcome of the start is not known: {self._last_error()}")
            if unknown and isinstance(self.host.executor.start_declaration, Findable):
                adopted = await self._adopt(self.host.executor.start_declaration.settle)
                if adopted is not None:
                    return adopted
                unknown = False
            try:
                answer = await self.start()
            except ConformanceError:
                raise
            except Exception as error:
                self.errors.append(error)
                if isinstance(error, PermanentError | RetryableError) and not unknown:
                    raise
                unknown = True
                await self.pause(RETRY_SECONDS)
                continue
            if isinstance(answer, TaskStatus):
                return answer
            await self.pause(RETRY_SECONDS if answer.delay is None else answer.delay)

    def _last_error(self) -> str:
        if not self.errors:
            return "an earlier start was lost"
        return f"{type(self.errors[-1]).__name__}: {self.errors[-1]}"

    async def find(self) -> Sequence[Found[StateT]]:
        """Call ``find`` once."""
        return await self._limited(call(self.host.executor.find, self.context()))

    async def check(self) -> TaskStatus[StateT]:
        """Call ``check_task_status`` once with the stored state and record its answer."""
        self.was_woken.clear()
        state = self.state
        answer = await self._limited(call(self.host.executor.check_task_status, self.context(), state))
        self.record(answer)
        return answer

    async def kill(self, reason: str = "killed") -> Gone | StillThere[StateT]:
        """Call ``kill_task`` once with the stored state and store what it gives back."""
        self.was_woken.clear()
        state = self.state
        async with asyncio.timeout(self.host.executor.call_timeout):
            answer = await call(self.host.executor.kill_task, self.context(), state, reason)
        if isinstance(answer, StillThere):
            self.raw_state = encode_state(self.host.executor, answer.state)
            return answer
        return Gone()

    async def finalize(self) -> None:
        """Call ``finalize`` once with the stored state."""
        state = self.state
        await self._limited(call(self.host.executor.finalize, self.context(), state))

    async def kill_until_gone(self, reason: str = "killed", *, limit_seconds: float = 3600.0) -> None:
        """Call ``kill_task`` until all is gone; errors are tried again, as the engine does."""
        end = self._now() + limit_seconds
        while self._now() <= end:
            try:
                answer = await self.kill(reason)
            except ConformanceError:
                raise
            except Exception as error:  # noqa: BLE001 - the wall around an executor call
                self.errors.append(error)
                await self.pause(RETRY_SECONDS)
                continue
            if isinstance(answer, Gone):
                return
            await self.pause(KILL_PACE_SECONDS if answer.check_after is None else answer.check_after)
        raise ConformanceError(f"kill_task did not get rid of the job within {limit_seconds:g} s")

    async def run(self, *, until: Phase | None = None, limit_seconds: float = 3600.0) -> TaskStatus[StateT]:
        """
        Start, check when a check is due or something wakes the attempt, and clean up after the end.

        Args:
            until: Stop at this phase instead, leaving all as it is.
            limit_seconds: A defect beyond it.
        """
        status = await self.start_resolved() if self.last is None else self.last
        end = self._now() + limit_seconds
        while not status.phase.is_terminal and status.phase is not until:
            expect(self._now() <= end, f"still {self.phase.title} after {limit_seconds:g} s: {status.reason}")
            await self.pause_until_due()
            status = await self._check_patiently(status)
        if status.phase is not until or status.phase.is_terminal:
            await self.clean_up(status)
        return status

    async def clean_up(self, status: TaskStatus[StateT]) -> None:
        """After a terminal status: kill what is left when it says so, else finalize."""
        if status.cleanup:
            await self.kill_until_gone("failed")
        else:
            await self.finalize()

    async def pause_until_due(self) -> None:
        """Wait until the next check is due, or something wakes the attempt."""
        await self.pause(self.due - self._now())

    async def pause(self, seconds: float) -> None:
        """Wait for so long, or until something wakes the attempt."""
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self.was_woken.wait()
        except TimeoutError:
            return

    def record(self, status: TaskStatus[StateT]) -> None:
        """Check a status against the contract and store its state."""
        phase = status.phase
        expect(phase not in _ENGINES_OWN, f"an executor may not report {phase.title}")
        if self.phase.is_terminal:
            expect(phase is self.phase, f"{phase.title} is reported after {self.phase.title}, which is final")
        else:
            expect(may_follow(self.phase, phase), f"{phase.title} may not follow {self.phase.title}")
        expect(not phase.is_failure or status.error is not None, f"{phase.title} is reported without an error")
        expect(phase.is_failure or status.error is None, f"{phase.title} is reported with an error")
        kind = status.error.kind if status.error else ErrorKind.UNKNOWN
        expect(type(kind) is ErrorKind, f"the kind of the error is {kind!r} and no ErrorKind")
        expect(phase is Phase.SUCCESS or phase.is_failure or status.outputs is None, "outputs before the end")
        self.raw_state = encode_state(self.host.executor, status.state)
        self._expect_no_secret(status)
        if not self.reports or _shown(self.reports[-1]) != _shown(status):
            self.reports.append(status)
        self.phase, self.last = phase, status
        self.due = self._now() + self._interval(status)

    def _expect_no_secret(self, status: TaskStatus[StateT]) -> None:
        told = (self.raw_state or b"").decode() + repr((status.reason, status.info, status.error))
        for value in self.host.secret_values:
            expect(value not in told, "a secret's value is in the state or in what is shown")

    async def _check_patiently(self, last: TaskStatus[StateT]) -> TaskStatus[StateT]:
        try:
            return await self.check()
        except ConformanceError:
            raise
        except Exception as error:  # noqa: BLE001 - the wall around an executor call
            self.errors.append(error)
            self.due = self._now() + RETRY_SECONDS
            return last

    async def _adopt(self, settle: float) -> TaskStatus[StateT] | None:
        end = self._now() + settle
        while True:
            found = sorted(await self.find(), key=lambda one: one.created_at)
            for twin in found[1:]:
                await self._kill_twin(twin.state)
            if found:
                adopted = TaskStatus(phase=Phase.QUEUED, state=found[0].state, reason="found again by its key")
                self.record(adopted)
                return adopted
            if self._now() >= end:
                return None
            await self.pause(max(settle / 4, 1.0))

    async def _kill_twin(self, state: StateT) -> None:
        executor = self.host.executor
        while isinstance(answer := await call(executor.kill_task, self.context(), state, "a twin"), StillThere):
            state = answer.state
            await self.pause(KILL_PACE_SECONDS)

    async def _limited(self, answer: Coroutine[object, object, T]) -> T:
        async with asyncio.timeout(self.host.executor.call_timeout):
            return await answer

    def _context_with_message(self) -> TaskContext[StateT]:
        """Make the context of a call that is also given the template, and what the task says in its own message."""
        return replace(self.context(), message=own_message(self.template, self.host.executor))

    def _interval(self, status: TaskStatus[StateT]) -> float:
        return self.host.executor.check_interval if status.check_after is None else status.check_after

    def _now(self) -> float:
        return self.host.clock.monotonic()


def _shown(status: TaskStatus[StateT]) -> tuple[object, ...]:
    return (status.phase, status.reason, status.info, status.error)
