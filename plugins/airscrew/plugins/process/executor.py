"""
``ProcessExecutor``: starts a supervisor per attempt, reads what it leaves, and stops it.

Started again with the same key it changes nothing, and it needs nothing but the attempt's folder to find a task after
a restart of the engine. The end of a task wakes the engine at once; the periodic check is the net below.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
from typing_extensions import override

from airscrew.engine.clock import Clock
from airscrew.engine.errors import ExecutorError, RetryableError
from airscrew.engine.executor import (
    Executor,
    Gone,
    Idempotent,
    NotStarted,
    OutputsAt,
    Setup,
    StillThere,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import LogLink, Phase, TaskInfo
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.process import files
from airscrew.plugins.process.config import Config, read_config, slots
from airscrew.plugins.process.observation import TOMBSTONE, Claim, Observation
from airscrew.plugins.process.phases import Verdict, judge
from airscrew.plugins.process.preparation import Preparation, place_of
from airscrew.plugins.process.secrets import hide_secrets
from airscrew.plugins.process.spawner import LocalSpawner, Spawner
from airscrew.plugins.process.state import ProcessState
from airscrew.plugins.raw_files import ERROR_FILE, OutputError, error_text

TAIL_BYTES = 2048
BUSY_DELAY = 5.0
ENDING_PAUSE = 0.05
UNWATCHED_PAUSE = 1.0
KILL_PATIENCE = 0.5
KILL_PAUSE = 0.01
FORCE_MARGIN = 5.0
"""So long after the time of grace the engine kills by itself, because the supervisor did not."""


class ProcessExecutor(Executor[ProcessState]):
    """
    Runs containers' commands as processes of this machine.

    Args:
        spawner: Starts, sees and stops processes; the machine's own by default.
    """

    id = "process"
    task_types = ("python-task", "python", "container", "raw-container", "sidecar", "pod")
    state_type = ProcessState
    start_declaration = Idempotent()
    takes_containers = True
    check_interval = 10.0

    def __init__(self, spawner: Spawner | None = None) -> None:
        self._spawner: Spawner = spawner or LocalSpawner()
        self._config = Config()
        self._state_directory = ""
        self.concurrency = slots(self._config)

    @override
    async def initialize(self, setup: Setup) -> None:
        """Read the configuration."""
        self._config = read_config(setup.config)
        self._state_directory = setup.state_directory
        self.concurrency = slots(self._config)
        self._spawner.close()  # watches belong to a loop; the next checks open them on this one

    @override
    async def start_task(
        self, context: TaskContext[ProcessState], template: TaskTemplate
    ) -> TaskStatus[ProcessState] | NotStarted:
        """Start the supervisor, unless the attempt has been claimed: then adopt what is there."""
        place = place_of(context, self._state_directory)
        preparation = Preparation(context=context, template=template, config=self._config, place=place)
        seen = self._spawner.observe(place)
        if seen.claim is not None and seen.claim.kind != TOMBSTONE:
            return self._started(context, preparation.state(), seen.claim)
        try:
            request = await preparation.request()
            if seen.claim is not None:
                raise RetryableError("an earlier start of this attempt was refused", code="StartForbidden")
            answer = await self._spawner.spawn(request)
        except ExecutorError:
            if self._spawner.forbid(place):
                preparation.remove_temporary()
                raise
            return self._started(context, preparation.state(), None)
        except OSError as error:
            if not self._spawner.observe(place).is_begun:
                return NotStarted(f"the task could not be started: {error}", BUSY_DELAY)
            return self._started(context, preparation.state(), None)
        if answer.result == "refused" and answer.claim is None:
            return NotStarted(f"the supervisor could not start the task: {answer.text}", BUSY_DELAY)
        return self._started(context, preparation.state(), answer.claim)

    @override
    async def check_task_status(
        self, context: TaskContext[ProcessState], state: ProcessState
    ) -> TaskStatus[ProcessState]:
        """Look at lock and files, and watch the process when it runs."""
        seen = self._spawner.observe(state.place)
        verdict = judge(seen, state.command)
        if verdict.phase is Phase.RUNNING:
            return self._running(context, state, seen, verdict)
        self._spawner.forget(state.place)
        if verdict.phase is Phase.SUCCESS:
            return await self._succeeded(context, state)
        return await self._failed(context, state, verdict)

    @override
    async def kill_task(
        self, context: TaskContext[ProcessState], state: ProcessState, reason: str
    ) -> Gone | StillThere[ProcessState]:
        """Tell the supervisor to stop the task; it enforces that after the time of grace, and later the engine does."""
        told_at = state.told_at or context.clock.now()
        elapsed = context.clock.now() - told_at
        seen = self._spawner.observe(state.place)
        if await self._is_gone(state, seen):
            self._clear(state)
            return Gone()
        patience = self._config.grace + (FORCE_MARGIN if seen.is_supervised else 0.0)
        by_force = elapsed >= patience
        await self._spawner.stop(state.place, seen, by_force=by_force)
        if await self._ends_soon(context.clock, state):
            self._clear(state)
            return Gone()
        is_watched = self._spawner.watch(state.place, seen, context.wake)
        pause = patience - elapsed if is_watched and not by_force else UNWATCHED_PAUSE
        return StillThere(msgspec.structs.replace(state, told_at=told_at), check_after=pause)

    @override
    async def finalize(self, context: TaskContext[ProcessState], state: ProcessState) -> None:
        """
        Remove temporary files and secrets; log and outputs stay.

        Raises:
            RetryableError: Processes are left, and were told to stop.
        """
        seen = self._spawner.observe(state.place)
        if not await self._is_gone(state, seen):
            await self._spawner.stop(state.place, seen, by_force=True)
            raise RetryableError(f"processes of {state.command} are left and were killed", code="ProcessesLeft")
        self._clear(state)

    @override
    async def close(self) -> None:
        """Stop watching; tasks go on under their supervisors."""
        self._spawner.close()

    def _started(
        self, context: TaskContext[ProcessState], state: ProcessState, claim: Claim | None
    ) -> TaskStatus[ProcessState]:
        if claim is not None:
            state = msgspec.structs.replace(state, boot_id=claim.boot_id, supervisor_pid=claim.supervisor.pid)
        seen = self._spawner.observe(state.place)
        return self._running(context, state, seen, judge(seen, state.command))

    def _running(
        self, context: TaskContext[ProcessState], state: ProcessState, seen: Observation, verdict: Verdict
    ) -> TaskStatus[ProcessState]:
        is_watched = self._spawner.watch(state.place, seen, context.wake)
        reason = verdict.reason if verdict.phase is Phase.RUNNING else "it has ended already"
        status = TaskStatus.running(state, reason).with_info(_info(state))
        if verdict.is_ending or verdict.phase is not Phase.RUNNING:
            return status.after(ENDING_PAUSE)
        if is_watched:
            return status
        has_ended = not self._spawner.observe(state.place).is_supervised
        return status.after(ENDING_PAUSE if has_ended else UNWATCHED_PAUSE)

    async def _succeeded(self, context: TaskContext[ProcessState], state: ProcessState) -> TaskStatus[ProcessState]:
        if not state.collects:
            outputs = OutputsAt(state.output_prefix, missing_is_success=state.missing_is_success)
            return TaskStatus.success(state, outputs).with_info(_info(state))
        text = error_text(state.place.outputs)
        if text is not None:
            reason = f"{state.command} wrote {ERROR_FILE}: {text}"
            return await self._failed(context, state, _failure("TaskError", reason))
        try:
            literals = await files.collect_outputs(context, state.output_types, state.place.outputs)
        except OutputError as error:
            return await self._failed(context, state, _failure("OutputsNotFound", str(error)))
        return TaskStatus.success(state, literals if state.output_types else None).with_info(_info(state))

    async def _failed(
        self, context: TaskContext[ProcessState], state: ProcessState, verdict: Verdict
    ) -> TaskStatus[ProcessState]:
        tail = log_tail(state.log) if verdict.quotes_log else ""
        text = f"{verdict.reason}\n{tail}" if tail else verdict.reason
        message = await hide_secrets(context, state.secrets, text) or f"{state.command} failed: {verdict.code}"
        return TaskStatus(
            phase=verdict.phase,
            state=state,
            reason=message.partition("\n")[0],
            info=_info(state),
            outputs=OutputsAt(state.output_prefix),
            error=ExecutionError(code=verdict.code, message=message, kind=verdict.kind),
            cleanup=verdict.cleanup,
        )

    async def _is_gone(self, state: ProcessState, seen: Observation) -> bool:
        """Tell whether nothing is left: what has not begun never will, and what ended badly has been searched for."""
        if seen.is_locked:
            return False
        if seen.claim is None:
            return self._spawner.forbid(state.place)
        if seen.is_clean or seen.claim.kind == TOMBSTONE:
            return True
        return not await self._spawner.has_strays(state.place)

    async def _ends_soon(self, clock: Clock, state: ProcessState) -> bool:
        end = clock.monotonic() + KILL_PATIENCE
        while clock.monotonic() < end:
            await asyncio.sleep(KILL_PAUSE)
            seen = self._spawner.observe(state.place)
            if not seen.is_locked:
                return await self._is_gone(state, seen)
        return False

    def _clear(self, state: ProcessState) -> None:
        self._spawner.forget(state.place)
        for folder in (state.temporary, state.secret_directory):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


def log_tail(log: str, limit: int = TAIL_BYTES) -> str:
    """Read the end of a log, from the begin of a line on; also when its last lines were moved just now."""
    data = _end_of(log, limit + 1)
    if len(data) <= limit:
        data = _end_of(f"{log}.1", limit + 1 - len(data)) + data
    text = data.decode(errors="replace")
    return (text if len(data) <= limit else text.partition("\n")[2] or text).strip()


def _end_of(path: str, limit: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            return file.read(limit)
    except OSError:
        return b""


def _info(state: ProcessState) -> TaskInfo:
    return TaskInfo(logs=(LogLink(name="task log", uri=Path(state.log).as_uri()),))


def _failure(code: str, reason: str) -> Verdict:
    return Verdict(phase=Phase.RETRYABLE_FAILURE, reason=reason, code=code, kind=ErrorKind.USER, quotes_log=True)
