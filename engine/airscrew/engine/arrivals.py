"""
Executors that are installed while an engine works: found, initialised as at the start, and served from then on.

Guarantees: all that is new is taken in, or nothing of it; an executor that has a problem is told of and concerns nobody
else; what works is not touched, and another version of it takes a restart; what was begun is brought to its end when
who asked for it is gone. Other engines on the same store are not told to do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from airscrew.engine.api.model import ApiError, LoadReply, LoadView
from airscrew.engine.executor import Setup
from airscrew.engine.registry import Arrived, Candidate, Known, Registry, disabled_view
from airscrew.state.errors import StoreError
from airscrew.state.members import Membership

LOADED = "loaded"

LookForArrivals = Callable[[Sequence[Known]], Awaitable[Arrived]]
"""Finds what is installed beside what an engine has."""


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """
    Takes new executors into an engine.

    Attributes:
        registry: The engine's.
        look: Finds them.
        setup: Makes what an executor is initialised with.
        wake: Called with the ids of those that came: executions may be waiting for them.
        membership: The engine among those that share the store; None when it is alone.
    """

    registry: Registry
    look: LookForArrivals
    setup: Callable[[str], Setup]
    wake: Callable[[Collection[str]], None]
    membership: Membership | None = None
    _asked: asyncio.Queue[asyncio.Future[LoadReply]] = field(default_factory=asyncio.Queue[asyncio.Future[LoadReply]])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load_arrivals(self) -> LoadReply:
        """
        Have new executors looked for and taken in.

        Raises:
            ApiError: ``unavailable``: the engine stops.
            ConflictingExecutorsError: They take what others take, with no default to decide; nothing was loaded.
        """
        reply: asyncio.Future[LoadReply] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(reply)
        return await reply

    async def keep_arrivals(self) -> None:
        """
        Do what is asked for until cancelled.

        What an executor runs in the background has the task that initialised it for its parent: each load has one of
        its own, which stays.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._answer_arrivals(await self._asked.get()), name="load")

    async def _answer_arrivals(self, reply: asyncio.Future[LoadReply]) -> None:
        try:
            async with self._turn:
                found = await self._load_now()
        except asyncio.CancelledError:
            _fail(reply, ApiError("unavailable", "the engine is stopping; ask the next one"))
            raise
        except Exception as error:  # noqa: BLE001 - it concerns who asked alone
            _fail(reply, error)
            return
        if not reply.done():
            reply.set_result(found)
        if any(view.outcome == LOADED for view in found.executors):
            await asyncio.Event().wait()

    async def _load_now(self) -> LoadReply:
        known = self.registry.all()
        before = {candidate.id: self.registry.why_absent(candidate.id) for candidate, _, problem in known if problem}
        arrived = await self.look(known)
        await self.registry.take_in(arrived.candidates, self.setup, disabled=arrived.disabled)
        views = [*arrived.others, *(self._view(one, arrived, before) for one in arrived.candidates)]
        came = [view.id for view in views if view.outcome == LOADED]
        if came:
            self.wake(came)
            if self.membership is not None:
                with suppress(StoreError):  # it is for people to see, and told again with the next sign of life
                    await self.membership.show_executors(self.registry.state_versions())
        member = "" if self.membership is None else self.membership.id
        return LoadReply(executors=sorted(views, key=lambda view: view.id), member=member)

    def _view(self, candidate: Candidate, arrived: Arrived, before: Mapping[str, str]) -> LoadView:
        if candidate.id in arrived.disabled:
            return disabled_view(candidate)
        executor = self.registry.get(candidate.id)
        if executor is None:
            reason = self.registry.why_absent(candidate.id)
            if before.get(candidate.id) == reason:  # it was tried again, and is no news
                return LoadView(id=candidate.id, outcome="there", installed=candidate.version, reason=reason)
            if candidate.id in arrived.editable:
                reason += " (it is an editable install, which an engine sees from its start on: restart it)"
            return LoadView(id=candidate.id, outcome="failed", installed=candidate.version, reason=reason)
        version, types = candidate.version, list(executor.task_types)
        return LoadView(id=candidate.id, outcome=LOADED, version=version, installed=version, task_types=types)


def _fail(reply: asyncio.Future[LoadReply], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
