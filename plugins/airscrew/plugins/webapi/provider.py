"""
One provider at work: a plugin, its jobs, its door and its secrets; what the executor calls, in order.

Guarantees:

1. A start makes one request at most. One that was held back, or that nothing came of for certain, is ``NotStarted``.
2. A check makes no request, but for the outputs of a job that has succeeded.
3. A kill is one request a call, stop and look in turns, until the provider says that the job is over.
4. No state, reason, link or error that leaves here holds a value that the vault knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Generic

import msgspec

from airscrew.engine.cache import Measured
from airscrew.engine.data.errors import StorageUnavailableError
from airscrew.engine.errors import ExecutorError, UnavailableError
from airscrew.engine.executor import Findable, Found, Gone, NotStarted, Setup, StillThere, TaskContext, TaskStatus
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.webapi.decide import (
    KillStep,
    Watched,
    after_kill,
    gone_status,
    kill_step,
    with_job,
    with_trouble,
)
from airscrew.plugins.webapi.door import Door, HeldBackError
from airscrew.plugins.webapi.jobs import Jobs
from airscrew.plugins.webapi.note import write_note
from airscrew.plugins.webapi.plugin import Created, Opening, Prepared, StateT, ViewT, WebApiPlugin
from airscrew.plugins.webapi.vault import Vault
from airscrew.plugins.webapi.verdicts import start_result

KILL_PACE_SECONDS = 2.0


class Provider(Generic[StateT, ViewT]):
    """
    A provider at work; see the module's guarantees.

    Args:
        name: What it is called in messages.
        label: What it is called in metrics.
        executor_id: Whose it is; names the notes.
        plugin: Configured, not yet open.
        setup: As the executor got it.

    Attributes:
        name: What it is called in messages.
        plugin: What says how to talk to it.
        jobs: What is known of its jobs.
    """

    def __init__(
        self, name: str, label: str, executor_id: str, plugin: WebApiPlugin[StateT, ViewT], setup: Setup
    ) -> None:
        self.name = name
        self.plugin = plugin
        self._executor_id = executor_id
        self._vault = Vault(plugin.secrets)
        self._door = Door(name, plugin.limits, self._vault, setup.clock, setup.random)
        self.jobs: Jobs[StateT, ViewT] = Jobs(
            label, plugin, self._door, clock=setup.clock, random=setup.random, wake=setup.wake
        )

    async def open(self, stack: AsyncExitStack, setup: Setup) -> None:
        """Open the plugin and begin to read its jobs; what is opened is pushed to a stack."""
        await stack.enter_async_context(self.jobs)
        await self.plugin.open(Opening(setup=setup, vault=self._vault, reports=self.jobs, stack=stack))

    @property
    def cache(self) -> Measured:
        """What its jobs are kept in."""
        return self.jobs.cache

    async def start(self, context: TaskContext[StateT], template: TaskTemplate) -> TaskStatus[StateT] | NotStarted:
        """
        Make a job.

        Raises:
            ExecutorError: The provider, or the plugin, refuses the task; nothing was made.
            Exception: Nobody knows whether it was made.
        """
        await self._vault.read(context)
        try:
            prepared = await self.plugin.prepare(context, template)
            if isinstance(self.plugin.start_declaration, Findable):
                await write_note(context, self._executor_id, self._clean_state(prepared.state))
        except StorageUnavailableError as error:
            return NotStarted(f"{self.name}: the request cannot be prepared: {error}")
        try:
            async with self._door.writing(context.key):
                made = await self.plugin.create(context, prepared)
        except HeldBackError as error:
            return NotStarted(str(error), error.wait)
        except Exception as error:  # noqa: BLE001 - sorted out by what it says of the request
            return self._not_made(error)
        return self._started(context, prepared, made)

    def _not_made(self, error: Exception) -> NotStarted:
        """Say that nothing was made, or raise what the error of a create means."""
        result = start_result(self.name, error, self.plugin.start_declaration)
        if isinstance(result, NotStarted):
            return self._door.held_back(result)
        excused = self._door.excused(result)
        if excused is error:
            raise error
        raise excused from error

    def _started(
        self, context: TaskContext[StateT], prepared: Prepared[StateT], made: Created[ViewT]
    ) -> TaskStatus[StateT]:
        now = context.clock.now()
        state = self._clean_state(msgspec.structs.replace(prepared.state, id=made.id, created_at=now))
        watched = self.jobs.look(context.key, state)
        fresh = replace(watched, state=state, view=made.view)
        try:
            status = self._status(state, fresh)
        except Exception:  # noqa: BLE001 - an error of the checks to come harms nothing; here it makes the start unknown
            return self._status(state, replace(fresh, view=None))
        if status.phase is Phase.SUCCESS and status.outputs is None:
            # The job is written down before its outputs are fetched.
            return TaskStatus.running(status.state, "done; its outputs are fetched").with_info(status.info).after(0)
        return status

    async def check(self, context: TaskContext[StateT], state: StateT) -> TaskStatus[StateT]:
        """Say what was heard of a job last."""
        await self._vault.read(context)
        watched = self.jobs.look(context.key, state)
        if watched.is_gone:
            return gone_status(self.name, watched, state)
        status = self._status(state, watched, self.jobs.trouble(context.key, state))
        if status.phase is Phase.SUCCESS and status.outputs is None:
            return await self._with_outputs(context, status, watched)
        return status

    async def _with_outputs(
        self, context: TaskContext[StateT], status: TaskStatus[StateT], watched: Watched[StateT, ViewT]
    ) -> TaskStatus[StateT]:
        try:
            outputs = await self.plugin.outputs(context, status.state, watched.view)
        except (ExecutorError, OSError) as error:
            reason = self._vault.clean(f"its outputs cannot be fetched yet: {error}")
            return replace(status, phase=Phase.RUNNING, reason=reason)
        return replace(status, outputs=outputs)

    async def kill(self, context: TaskContext[StateT], state: StateT) -> Gone | StillThere[StateT]:
        """Ask the provider to stop a job, then look whether it did, in turns."""
        await self._vault.read(context)
        step = kill_step(state, can_stop=self.plugin.can_stop)
        try:
            view = await self._take(context, state, step)
        except HeldBackError as error:
            return StillThere(state, check_after=error.wait)
        except Exception as error:
            excused = self._door.excused(error)
            if excused is error:
                raise
            raise excused from error
        later = after_kill(
            state,
            step,
            is_over=view is not None and self.plugin.is_over(view),
            is_absent=view is None,
            is_settled=self.jobs.is_settled(context.key, state),
        )
        if later is None:
            self.jobs.forget(context.key, state)
            return Gone()
        return StillThere(later, check_after=KILL_PACE_SECONDS)

    async def _take(self, context: TaskContext[StateT], state: StateT, step: KillStep) -> ViewT | None:
        if step is KillStep.STOP:
            async with self._door.writing(f"stop {context.key}"):
                return await self.plugin.delete(state)
        async with self._door.reading(f"look {context.key}"):
            return await self.plugin.get(state)

    def forget(self, context: TaskContext[StateT], state: StateT) -> None:
        """Read a job no more."""
        self.jobs.forget(context.key, state)

    async def find(self, context: TaskContext[StateT], draft: StateT | None) -> Sequence[Found[StateT]]:
        """
        List the jobs that carry the key.

        Args:
            context: The attempt.
            draft: What was noted before the job was asked for; None when nothing was.

        Raises:
            UnavailableError: The provider cannot be asked now.
        """
        await self._vault.read(context)
        try:
            async with self._door.reading(f"find {context.key}"):
                listed = await self.plugin.find(context)
        except HeldBackError as error:
            raise UnavailableError(str(error), delay=error.wait) from error
        except Exception as error:
            excused = self._door.excused(error)
            if excused is error:
                raise
            raise excused from error
        blank = self.plugin.draft() if draft is None else draft
        now = context.clock.now()
        return [
            Found(msgspec.structs.replace(blank, id=one.id, created_at=one.created_at or now), one.created_at)
            for one in listed
        ]

    def _status(self, state: StateT, watched: Watched[StateT, ViewT], trouble: str = "") -> TaskStatus[StateT]:
        status = self.plugin.status(state, watched.view)
        status = with_job(status, self.plugin.links(status.state, watched.view))
        return self._clean(with_trouble(status, trouble))

    def _clean(self, status: TaskStatus[StateT]) -> TaskStatus[StateT]:
        """Take secrets out of all that is stored or shown of a status."""
        shown = msgspec.json.encode((status.state, status.reason, status.info, status.error)).decode()
        if not self._vault.holds(shown):
            return status
        info = msgspec.convert(self._vault.clean_tree(msgspec.to_builtins(status.info)), TaskInfo)
        error = status.error
        if error is not None:
            error = replace(error, code=self._vault.clean(error.code), message=self._vault.clean(error.message))
        reason = self._vault.clean(status.reason)
        return replace(status, state=self._clean_state(status.state), reason=reason, info=info, error=error)

    def _clean_state(self, state: StateT) -> StateT:
        if not self._vault.holds(msgspec.json.encode(state).decode()):
            return state
        clean = self._vault.clean_tree(msgspec.to_builtins(state))
        return msgspec.convert(clean, type(state))
