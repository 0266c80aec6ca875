"""
Carrying out what the machine asks for: each call ends in a fact, whatever happens in it.

This is the wall around executors' code. An exception of ``start_task`` that is not an instruction makes its outcome
unknown; an exception of any other call, or of the data plane, leaves the job alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import msgspec

from airscrew.engine.clock import Clock
from airscrew.engine.controller.accounting import counted
from airscrew.engine.controller.answers import (
    REASON_LIMIT,
    checked_status,
    describe,
    start_failed,
    with_outcome,
    without_recorded,
)
from airscrew.engine.controller.codec import NewerStateError, decode_state, encode_state, raw_state
from airscrew.engine.controller.fitting import fitting, short_error
from airscrew.engine.controller.host import Host
from airscrew.engine.controller.live import Live
from airscrew.engine.controller.ownership import UNCERTAIN_SECONDS, Ownership, SoleOwner
from airscrew.engine.controller.ports import ChildKeeper, DataPlane, TaskCache, place_of
from airscrew.engine.controller.preparation import fetch_inputs
from airscrew.engine.controller.redaction import redacted
from airscrew.engine.errors import (
    CorruptStateError,
    PermanentError,
    RetryableError,
    StateTooLargeError,
    UnavailableError,
)
from airscrew.engine.executor import (
    AnyContext,
    AnyExecutor,
    AnyFound,
    AnyStatus,
    Findable,
    Gone,
    NotStarted,
    OutputsAt,
    ResourceRequirements,
    StillThere,
    TaskContext,
)
from airscrew.engine.executor.messages import own_message
from airscrew.engine.machine import (
    AskNeeds,
    CacheHeld,
    CacheHit,
    CacheLookup,
    CacheMiss,
    CachePut,
    CacheStored,
    Call,
    CallFailed,
    Check,
    Fact,
    Finalize,
    Finalized,
    FindJobs,
    JobGone,
    JobsFound,
    JobStillThere,
    KillChildren,
    KillJob,
    NeedsTold,
    NothingStarted,
    Start,
    StartFailed,
    StartUnknown,
    StateUnreadable,
    Sweep,
    SweepFailed,
    Swept,
    TendChildren,
    Told,
    deadlines,
)
from airscrew.engine.metrics import NO_METERS, Meters
from airscrew.engine.metrics.names import ADOPTIONS
from airscrew.idl.errors import ErrorKind, shorten
from airscrew.idl.ids import ExecutionId
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.state.records import NO_STATE


@dataclass(slots=True, kw_only=True)
class Calls:
    """
    Reaches executors, the data plane and the task cache for the controller.

    Attributes:
        host_of: Finds the host of an executor by its id; None when it is not there.
        data: The data plane.
        cache: The task cache.
        children: Keeps child executions.
        clock: The engine's time.
        wake: Pushes an execution back into the queue; thread-safe.
        redact: Masks the values of secrets in a text.
        owner: Whose executions they are.
        meters: Where calls are counted.
        refuses: Says why so many units of a quota can never be had; empty when they can.
    """

    host_of: Callable[[str], Host | None]
    data: DataPlane
    cache: TaskCache
    children: ChildKeeper
    clock: Clock
    wake: Callable[[ExecutionId], None]
    redact: Callable[[str], str] = str
    owner: Ownership = field(default_factory=SoleOwner)
    meters: Meters = NO_METERS
    refuses: Callable[[str, int], str] = field(default=lambda _pool, _units: "")

    async def perform(self, live: Live, executor_id: str, call: Call) -> Fact:
        """Carry out a call; never raises but when it is cancelled."""
        return redacted(await self._contained(live, executor_id, call), self.redact)

    async def _contained(self, live: Live, executor_id: str, call: Call) -> Fact:
        try:
            return await self._perform(live, executor_id, call)
        except NewerStateError as error:
            return StateUnreadable(str(error), wait=True)
        except CorruptStateError as error:
            return StateUnreadable(str(error))
        except UnavailableError as error:
            return CallFailed(describe(error), is_outage=True, delay=error.delay)
        except Exception as error:  # noqa: BLE001 - the wall: whatever fails here concerns this execution alone
            return CallFailed(describe(error))

    async def _perform(self, live: Live, executor_id: str, call: Call) -> Fact:
        match call:
            case CacheLookup():
                return await self._cache_lookup(live)
            case CachePut():
                return await self._cache_put(live)
            case TendChildren():
                return await self.children.tend(live)
            case KillChildren(reason=reason):
                return await self.children.kill(live, reason)
            case _:
                host = self.host_of(executor_id)
                if host is None:
                    return CallFailed(f"executor {executor_id!r} is not there")
                return await self._call_executor(live, host, call)

    async def _call_executor(
        self, live: Live, host: Host, call: AskNeeds | Start | Check | FindJobs | Sweep | KillJob | Finalize
    ) -> Fact:
        match call:
            case AskNeeds():
                return await self._ask_needs(live, host)
            case Start():
                return await self._start(live, host)
            case Check():
                return await self._check(live, host)
            case FindJobs():
                return await self._find(live, host)
            case Sweep():
                return await self._sweep(live, host, call)
            case KillJob(reason=reason):
                return await self._kill(live, host, reason)
            case Finalize():
                context, state = self._context(live, host.executor), self._state(live, host.executor)
                await self._ask(live, host, "finalize", context, state)
                return Finalized()

    def _ask(self, live: Live, host: Host, method: str, *arguments: object) -> Awaitable[object]:
        """Call an executor's method, see ``Host.call``, and count it where that is kept."""
        answer = host.call(method, *arguments)
        if not self.meters.are_kept:
            return answer
        return counted(self.meters, self.clock, live, host.executor.id, method, answer)

    async def _ask_needs(self, live: Live, host: Host) -> Fact:
        """Ask what an attempt takes of a quota; nothing has begun, so an instruction ends it without a trace."""
        try:
            template = await self.data.template(live.options)
            context = self._context(live, host.executor, message=own_message(template, host.executor))
            answer = await self._ask(live, host, "resource_requirements", context, template)
        except (RetryableError, PermanentError) as error:
            return start_failed(error)
        if answer is None:
            return NeedsTold()
        if not isinstance(answer, ResourceRequirements):
            return CallFailed(f"resource_requirements of {host.executor.id} returned {type(answer).__name__}")
        refusal = self.refuses(answer.pool, answer.units)
        if refusal:
            return start_failed(PermanentError(refusal, code="ResourceRequestsExceedLimits"))
        return NeedsTold(answer.pool, answer.units)

    async def _start(self, live: Live, host: Host) -> Fact:
        executor = host.executor
        try:
            template = await self.data.template(live.options)
            context = self._context(live, executor, message=own_message(template, executor))
            await fetch_inputs(live, context)
        except PermanentError as error:
            return start_failed(error)
        except Exception as error:  # noqa: BLE001 - nothing was asked of the executor yet
            return NothingStarted(f"the start cannot be prepared: {describe(error)}", None)
        if not self._may_call(live):  # template and inputs may have taken long to read
            return NothingStarted("whether this engine still has the execution is not certain", UNCERTAIN_SECONDS)
        try:
            answer = await self._ask(live, host, "start_task", context, template)
        except (RetryableError, PermanentError) as error:
            return start_failed(error)
        except UnavailableError as error:
            return StartUnknown(describe(error), is_outage=True, delay=error.delay)
        except Exception as error:  # noqa: BLE001 - the wall: the reply is lost, the outcome is unknown
            return StartUnknown(describe(error))
        if isinstance(answer, NotStarted):
            return NothingStarted(shorten(answer.reason, REASON_LIMIT), answer.delay)
        return await self._started(live, host, context, checked_status(answer, executor.id))

    def _may_call(self, live: Live) -> bool:
        """Tell whether a call outside may begin: nobody else can have the execution."""
        return self.owner.is_certain and not live.lost

    async def _started(self, live: Live, host: Host, context: AnyContext, status: AnyStatus) -> Fact:
        try:
            raw = encode_state(status.state, host.executor.id)
        except (StateTooLargeError, CorruptStateError) as error:
            # The state cannot be kept, so nobody could ever find the job again: it is killed with the state in hand.
            if await host.kill_until_gone(context, status.state, str(error), lambda: self._may_call(live)):
                return StartFailed(retryable=False, code="BadCustomState", message=str(error), kind=ErrorKind.SYSTEM)
            return StartUnknown(f"{error}; the job is not gone yet")
        try:
            return await self._told(live, host.executor, context, status, raw)
        except Exception as error:  # noqa: BLE001 - the job is started: only its outputs could not be read yet
            return Told(
                phase=Phase.RUNNING,
                reason=f"its outputs cannot be read yet: {describe(error)}",
                info=TaskInfo(logs=status.info.logs),
                state=raw,
                state_version=host.executor.state_version,
                check_after=5.0,
                executor=host.executor.id,
            )

    async def _check(self, live: Live, host: Host) -> Fact:
        executor = host.executor
        state = self._state(live, executor)
        context = self._context(live, executor)
        answer = await self._ask(live, host, "check_task_status", context, state)
        status: AnyStatus = checked_status(answer, executor.id)
        try:
            raw = encode_state(status.state, executor.id)
        except StateTooLargeError as error:
            return StateUnreadable(str(error))
        return await self._told(live, executor, context, status, raw)

    async def _told(
        self, live: Live, executor: AnyExecutor, context: AnyContext, status: AnyStatus, raw: msgspec.Raw
    ) -> Told:
        told = Told(
            phase=status.phase,
            reason=shorten(status.reason, REASON_LIMIT),
            info=fitting(status.info),
            state=raw,
            state_version=executor.state_version,
            check_after=status.check_after,
            error=short_error(status.error),
            cleanup=status.cleanup,
            delay=status.delay,
            executor=executor.id,
        )
        if not status.phase.is_terminal:
            return told
        succeeded = status.phase is Phase.SUCCESS
        if not succeeded and not isinstance(status.outputs, OutputsAt):
            return told
        place = place_of(live)
        outcome = await self.data.read_outcome(place, context.locations, status.outputs, succeeded=succeeded)
        return with_outcome(told, outcome)

    async def _find(self, live: Live, host: Host) -> Fact:
        executor, asked_at = host.executor, self.clock.now()
        context = self._context(live, executor)
        found = cast("Sequence[AnyFound]", await self._ask(live, host, "find", context))
        if not found:
            return JobsFound(None, asked_at=asked_at)
        first, *twins = sorted(found, key=lambda one: one.created_at)
        for twin in twins:
            if not await host.kill_until_gone(
                context, twin.state, "a twin of the same attempt", lambda: self._may_call(live)
            ):
                return CallFailed("a second job of the same attempt is not gone yet")
        self.meters.count(ADOPTIONS, executor.id)
        return JobsFound(encode_state(first.state, executor.id), executor.state_version, len(twins))

    async def _sweep(self, live: Live, host: Host, sweep: Sweep) -> Fact:
        """Kill what a start made that came late."""
        context, revision = self._context(live, host.executor, sweep.request.attempt), live.requests[sweep.name][1]
        try:
            strays, again_at = await self._strays(live, host, context, sweep)
        except Exception as error:  # noqa: BLE001 - the wall: asked again later
            return SweepFailed(describe(error))
        for stray in strays:
            if not await host.kill_until_gone(context, stray, "a start that came late", lambda: self._may_call(live)):
                return SweepFailed("a job of a start that came late is not gone yet")
        return Swept(sweep.name, revision, len(strays), again_at)

    async def _strays(
        self, live: Live, host: Host, context: AnyContext, sweep: Sweep
    ) -> tuple[list[object], float | None]:
        """List the states of what carries the key of an attempt beside its job, and when to look again."""
        start, request = host.executor.start_declaration, sweep.request
        if not isinstance(start, Findable):
            told = msgspec.structs.replace(live.record, state=request.state, state_version=request.state_version)
            return [decode_state(told, host.executor)], None
        looked_at = self.clock.now()  # not when the other engine asked: its clock may be behind
        counts_at = max(live.learned_at(sweep.name, looked_at), request.at) + start.settle
        found = cast("Sequence[AnyFound]", await self._ask(live, host, "find", context))
        states = [one.state for one in sorted(found, key=lambda one: one.created_at)]
        if request.attempt == live.record.attempt and live.record.created:
            states = without_recorded(states, self._state(live, host.executor), host.executor, live.record)
        return states, None if looked_at >= counts_at else counts_at

    async def _kill(self, live: Live, host: Host, reason: str) -> Fact:
        executor = host.executor
        context = self._context(live, executor)
        answer = await self._ask(live, host, "kill_task", context, self._state(live, executor), reason)
        if isinstance(answer, Gone):
            return JobGone()
        if isinstance(answer, StillThere):
            there = cast("StillThere[object]", answer)
            return JobStillThere(encode_state(there.state, executor.id), there.check_after, executor.state_version)
        return CallFailed(f"kill_task of {executor.id} returned {type(answer).__name__}: Gone or StillThere")

    async def _cache_lookup(self, live: Live) -> Fact:
        place = place_of(live)
        try:
            answer = await self.cache.lookup(place)
        except Exception:  # noqa: BLE001 - a cache that fails must not stop a task
            return CacheMiss("", "lookup_failed")
        if answer.output_uri:
            return CacheHit(answer.key, answer.output_uri)
        if answer.owner:
            return CacheHeld(answer.key, answer.owner, answer.retry_after)
        return CacheMiss(answer.key)

    async def _cache_put(self, live: Live) -> Fact:
        place, record = place_of(live), live.record
        try:
            if record.verdict is not None and record.verdict.phase is Phase.SUCCESS:
                await self.cache.put(place, record.cache_key, record.verdict.output_uri)
                return CacheStored("populated")
            await self.cache.release(place, record.cache_key)
        except Exception:  # noqa: BLE001 - the task has succeeded whether or not the cache takes its outputs
            return CacheStored("put_failed")
        return CacheStored("released")

    def _state(self, live: Live, executor: AnyExecutor) -> object:
        return decode_state(live.record, executor)

    def _context(
        self, live: Live, executor: AnyExecutor, attempt: int | None = None, *, message: object = None
    ) -> AnyContext:
        place = place_of(live, attempt)
        options, record = live.options, live.record
        locations = self.data.locations(place)
        limits = [one.at for one in deadlines(record, options) if one.name in {"attempt", "total"}]
        has_state = attempt is None and record.state is not NO_STATE and bool(bytes(record.state))
        return TaskContext(
            execution=live.execution,
            uid=options.uid,
            attempt=place.attempt,
            key=place.key,
            namespace=live.execution.namespace,
            labels=options.labels,
            annotations=options.annotations,
            service_account=options.service_account,
            task_name=options.task_name,
            task_type=options.task_type,
            task_id=options.task_id,
            locations=locations,
            environment=self.data.environment(place, locations),
            interruptible=record.interruptible,
            max_attempts=options.max_attempts,
            overrides=options.overrides,
            deadline=min(limits, default=None),
            previous_state=decode_state(record, executor) if has_state else None,
            clock=self.clock,
            wake=partial(self.wake, live.execution),
            data=self.data.access(place, locations),
            raw_state=raw_state(record) if has_state else None,
            message=message,
        )
