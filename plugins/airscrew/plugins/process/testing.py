"""
Processes that are not there: a ``Spawner`` on the running loop's time, for simulations.

What it gets right: one task per control directory for ever, claims that outlive the executor, wakes, the time of grace,
tombstones, tasks that are lost with their supervisor. Where it lies: nothing is executed, all is in this object (hand
the same one to each executor that stands for a new life of the engine), and nothing is left behind by a task.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from typing_extensions import override

from airscrew.plugins.process.observation import TOMBSTONE, Claim, ExitStatus, Observation
from airscrew.plugins.process.processes import ProcessName
from airscrew.plugins.process.spawner import Answer, Request, Spawner
from airscrew.plugins.process.state import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """
    What a task does.

    Attributes:
        seconds: How long it runs.
        exit_code: What it exits with.
        obeys: Whether the order to stop ends it; else the end of the time of grace does.
    """

    seconds: float = 1.0
    exit_code: int = 0
    obeys: bool = True


@dataclass(slots=True, kw_only=True)
class FakeTask:
    """A task that was claimed."""

    claim: Claim
    ends_at: float
    exit_code: int = 0
    script: Script = field(default_factory=Script)
    grace: float = 0.0
    terminated: bool = False
    is_lost: bool = False


class FakeSpawner(Spawner):
    """
    Tasks that last as long as ``plan`` says.

    Args:
        plan: Says what a request's task does.
    """

    def __init__(self, plan: Callable[[Request], Script]) -> None:
        self.tasks: dict[str, FakeTask] = {}
        self.spawned: list[str] = []
        self._plan = plan
        self._wakes: dict[str, asyncio.TimerHandle] = {}
        self._watched: dict[str, Callable[[], None]] = {}

    @override
    async def spawn(self, request: Request) -> Answer:
        await asyncio.sleep(0)
        if request.directory in self.tasks:
            return Answer("exists", self.tasks[request.directory].claim)
        script = self._plan(request)
        number = 2 * len(self.tasks) + 2
        claim = Claim(key=request.key, supervisor=ProcessName(number, 1), task=ProcessName(number + 1, 1))
        ends_at = _now() + script.seconds
        self.spawned.append(request.key)
        self.tasks[request.directory] = FakeTask(
            claim=claim, ends_at=ends_at, exit_code=script.exit_code, script=script, grace=request.grace
        )
        return Answer("started", claim)

    @override
    def observe(self, place: Place) -> Observation:
        task = self.tasks.get(place.directory)
        if task is None:
            return Observation()
        if task.claim.kind == TOMBSTONE or task.is_lost:
            return Observation(claim=task.claim)
        if _now() < task.ends_at:
            return Observation(claim=task.claim, is_locked=True, is_supervised=True)
        return Observation(claim=task.claim, status=_status(task), is_clean=True)

    @override
    def watch(self, place: Place, seen: Observation, wake: Callable[[], None]) -> bool:
        if not seen.is_locked:
            return False
        self.forget(place)
        self._watched[place.directory] = wake
        self._schedule(place.directory)
        return True

    @override
    def forget(self, place: Place) -> None:
        self._forget(place.directory)

    @override
    def forbid(self, place: Place) -> bool:
        claim = Claim(key=place.key, kind=TOMBSTONE)
        task = self.tasks.setdefault(place.directory, FakeTask(claim=claim, ends_at=0.0))
        return task.claim.kind == TOMBSTONE

    @override
    async def stop(self, place: Place, seen: Observation, *, by_force: bool) -> None:
        await asyncio.sleep(0)
        task = self.tasks[place.directory]
        if _now() >= task.ends_at or (task.terminated and not by_force):
            return
        task.terminated = True
        task.ends_at = min(task.ends_at, _now() + (0.0 if task.script.obeys or by_force else task.grace))
        self._schedule(place.directory)

    @override
    async def has_strays(self, place: Place) -> bool:
        return False

    @override
    def close(self) -> None:
        for directory in list(self._watched):
            self._forget(directory)

    def alive(self, key: str) -> int:
        """Count the tasks of a key that run."""
        return sum(1 for task in self.tasks.values() if task.claim.key == key and _now() < task.ends_at)

    def lose(self, key: str) -> None:
        """End the tasks of a key with their supervisors, behind everybody's back."""
        for directory, task in self.tasks.items():
            if task.claim.key == key:
                task.is_lost, task.ends_at = True, _now()
                self._schedule(directory)

    def _schedule(self, directory: str) -> None:
        wake = self._watched.get(directory)
        if wake is None:
            return
        if directory in self._wakes:
            self._wakes[directory].cancel()
        delay = max(0.0, self.tasks[directory].ends_at - _now())
        self._wakes[directory] = asyncio.get_running_loop().call_later(delay, self._ended, directory)

    def _ended(self, directory: str) -> None:
        wake = self._watched.get(directory)
        self._forget(directory)
        if wake is not None:
            wake()

    def _forget(self, directory: str) -> None:
        self._watched.pop(directory, None)
        handle = self._wakes.pop(directory, None)
        if handle is not None:
            handle.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _status(task: FakeTask) -> ExitStatus:
    if task.terminated:
        return ExitStatus(signal=signal.SIGTERM, terminated=True)
    return ExitStatus(exit_code=task.exit_code)
