"""
Letting go of an installation: what its executors hold outside, and the state itself if that is wanted.

Guarantees: no engine works on the store meanwhile, and none begins: the store is held as by an engine that works
alone; an executor that cannot be asked keeps the others from nothing, and is told of; the state is deleted last, and
only when nothing is held outside any more.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from airscrew.engine.clock import Clock
from airscrew.engine.errors import plugin_wall
from airscrew.engine.executor import AnyExecutor, Released, Setup
from airscrew.engine.executor.erased import overrides
from airscrew.engine.manager import find_executors
from airscrew.engine.registry import Candidate, Registry
from airscrew.idl.errors import AirscrewError
from airscrew.state import keys
from airscrew.state.errors import StoreBusyError
from airscrew.state.lock import EngineLock
from airscrew.state.store import DeleteRange, Store
from airscrew.state.urls import open_store

if TYPE_CHECKING:
    from airscrew.engine.config import EngineSettings

LOOK_SECONDS = 0.5
FIRST_KEY, LAST_KEY = "!", "~"
"""All keys of a store lie between these."""


class StillHeldError(AirscrewError):
    """Some of what the installation holds could not be let go of; the message says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letting:
    """
    What is let go of.

    Attributes:
        delete: Whether jobs are ended and removed; else they run on.
        forget: Whether the state is deleted as well.
        wait_seconds: How long engines that still work on the store are waited for.
    """

    delete: bool = False
    forget: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """
    What became of it.

    Attributes:
        executors: What each executor let go of, by its id.
        forgot: Whether the state is gone.
    """

    executors: Mapping[str, Released] = field(default_factory=dict[str, Released])
    forgot: bool = False


async def release(
    settings: EngineSettings, letting: Letting, *, clock: Clock, random: Random, registry: Registry | None = None
) -> Gone:
    """
    Let go of an installation.

    Args:
        settings: Whose.
        letting: Of what.
        clock: The time.
        random: A source of randomness.
        registry: Executors of an embedding program; None to find the installed ones.

    Raises:
        StoreBusyError: An engine works on the store, for longer than it was waited for.
        StillHeldError: An executor still holds something; the state is kept.
    """
    if settings.keeps_file and not settings.store_file.exists():
        return Gone()
    async with _held(settings, letting.wait_seconds, clock.monotonic) as store:
        found = await store.get(keys.INSTALLATION)
        if found is None:
            return Gone()
        executors = registry or find_executors(settings, is_serving=True)
        released = await _ask(executors, settings, found.value.decode(), letting, clock, random)
        if letting.forget:
            await store.txn([], [DeleteRange(FIRST_KEY, LAST_KEY)])
        return Gone(executors=released, forgot=letting.forget)


@asynccontextmanager
async def _held(settings: EngineSettings, wait_seconds: float, monotonic: Callable[[], float]) -> AsyncIterator[Store]:
    """Have the store for ourselves, as soon as nobody else works on it."""
    deadline = monotonic() + wait_seconds
    async with AsyncExitStack() as stack:
        while True:
            try:
                store = await _open_alone(settings, stack)
                break
            except StoreBusyError:
                if monotonic() >= deadline:
                    raise
            await asyncio.sleep(LOOK_SECONDS)
        yield store


async def _open_alone(settings: EngineSettings, stack: AsyncExitStack) -> Store:
    async with AsyncExitStack() as opened:
        if settings.keeps_file:
            lock = opened.enter_context(EngineLock(settings.store_file))
            store: Store = await opened.enter_async_context(open_store(settings.store_url, lock=lock))
        else:
            from airscrew.state.lease_lock import hold_engine

            shared = await opened.enter_async_context(open_store(settings.store_url))
            store = await opened.enter_async_context(hold_engine(shared))
        stack.push_async_exit(opened.pop_all())
        return store


async def _ask(
    registry: Registry, settings: EngineSettings, installation: str, letting: Letting, clock: Clock, random: Random
) -> dict[str, Released]:
    """Ask each executor; whatever one of them says, the others are asked too."""

    def setup(executor_id: str) -> Setup:
        return Setup(
            installation=installation,
            config=dict(settings.executors.get(executor_id, {})),
            state_directory=str(settings.home_path / "executors" / executor_id),
            clock=clock,
            random=random,
            wake=_nobody,
        )

    await registry.initialise(setup)
    released: dict[str, Released] = {}
    problems: list[str] = []
    try:
        for candidate, executor, problem in registry.all():
            if not _may_hold(candidate, executor, settings):
                continue
            if executor is None or problem:
                problems.append(f"{candidate.id} is out of order: {problem}")
                continue
            try:
                with plugin_wall("release"):
                    made = executor.release(delete=letting.delete)
                    released[executor.id] = await made if inspect.isawaitable(made) else made
            except Exception as error:  # noqa: BLE001 - the wall around an executor's code
                problems.append(f"{candidate.id} still holds something: {error}")
    finally:
        await registry.close()
    if problems:
        raise StillHeldError("; ".join(problems))
    return released


def _may_hold(candidate: Candidate, executor: AnyExecutor | None, settings: EngineSettings) -> bool:
    """Tell whether an executor may hold something; one that does not load may, if the settings speak of it."""
    if not candidate.enabled:
        return False
    return candidate.id in settings.executors if executor is None else overrides(executor, "release")


def _nobody(key: str) -> None:
    """Wake nobody: no engine is there."""
    del key
