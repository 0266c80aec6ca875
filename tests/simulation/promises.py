"""
What the contract promises an executor, checked call by call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from tests.simulation.history import History
from tests.simulation.world import EngineLife, World, unit_of

from airscrew.engine.executor import TaskContext
from airscrew.state.members import LEADER
from airscrew.state.records import Stage


class State1(msgspec.Struct, frozen=True):
    """The custom state of version 1."""

    job: str
    serial: int
    looks: int = 0


class State2(msgspec.Struct, frozen=True):
    """The custom state of version 2: another name, another field."""

    job_id: str
    serial: int
    looks: int = 0
    migrated: bool = False


State = State1 | State2


class Promises:
    """What the contract promises an executor, checked call by call."""

    def __init__(self, world: World, history: History) -> None:
        self.world = world
        self.history = history
        self.at_work: Counter[tuple[int, str]] = Counter()
        self.found: set[int] = set()
        self.started: set[int] = set()
        history.on_given = self._given

    @contextmanager
    def call(self, method: str, context: TaskContext[Any], state: State | None = None) -> Iterator[None]:
        world, execution = self.world, str(context.execution)
        life = world.life()
        assert life is not None
        mark = (life.number, execution)
        self.at_work[mark] += 1
        world.story.add(execution, lambda: f"{method}({'' if state is None else msgspec.json.encode(state).decode()})")
        self._is_the_owner(life, method, execution)
        if self.at_work[mark] > 1:
            world.violate(f"two calls at once for {execution}, the second one is {method}")
        try:
            if state is not None:
                self._is_the_last(method, context, state)
            yield
        finally:
            self.at_work[mark] -= 1

    def _is_the_owner(self, life: EngineLife, method: str, execution: str) -> None:
        """Nobody calls who knows, or could know, that another one has the execution."""
        world = self.world
        if life.membership is None or not world.is_former(life, execution):
            return
        unit = unit_of(execution)
        if not life.membership.owns(unit):
            world.violate(f"8: life {life.number} begins {method} of {execution} and knows that {unit} is another's")
        elif not life.has_stood_still:
            world.violate(f"8: life {life.number} begins {method} of {execution}: {unit} is {world.claims.get(unit)}'s")

    def _given(self, sender: int, unit: str) -> None:
        busy = [name for (life, name), calls in self.at_work.items() if calls and life == sender]
        for name in busy:
            if unit != LEADER and unit_of(name) == unit:
                self.world.violate(f"8: life {sender} gives {unit} away during a call for {name}")

    def _is_the_last(self, method: str, context: TaskContext[Any], state: State) -> None:
        execution = str(context.execution)
        if self.world.is_former(self.world.life(), execution):
            self.world.limit("a former owner called an executor")
            return  # its services are cut off from it: it changes nothing outside
        key, written = self.history.state(execution)
        serial = msgspec.json.decode(written)["serial"] if written else None
        if method == "kill_task" and state.serial in self.found and serial != state.serial:
            return  # a twin: no record tells of it
        is_over = key != context.key or self.history.records[execution].stage is Stage.DONE
        if method == "kill_task" and state.serial in self.started and is_over:
            return  # what a start made that came late: its attempt is over
        if (key, serial) != (context.key, state.serial):
            self.world.violate(f"6: {method} of {execution} was given state {state.serial}; {serial} was written last")
        if method in {"kill_task", "finalize"} and self.history.records[execution].verdict is None:
            self.world.violate(f"2: {method} of {execution} before its verdict was written")
