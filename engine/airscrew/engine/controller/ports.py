"""
What the controller needs of the data plane and the task cache, as it calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from airscrew.engine.executor import Locations, OutputsAt
from airscrew.engine.executor.context import DataAccess
from airscrew.idl.errors import ExecutionError
from airscrew.idl.ids import AttemptKey, ExecutionId
from airscrew.idl.template import TaskTemplate
from airscrew.state.records import Options

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.engine.controller.live import Live
    from airscrew.engine.machine import Fact


Wake = Callable[[ExecutionId], None]
"""Pushes an execution back into the queue; thread-safe."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an attempt that ended has left, read and validated.

    Attributes:
        output_uri: Where its outputs lie.
        deck_uri: Where its deck lies.
        plan_uri: Where the plan of children lies that it left instead of outputs.
        error: Why it has failed after all, or what its error document says.
        recoverable: With an error: whether another attempt may help.
        wrote_nothing: Whether neither outputs nor an error were found.
    """

    output_uri: str = ""
    deck_uri: str = ""
    plan_uri: str = ""
    error: ExecutionError | None = None
    recoverable: bool = False
    wrote_nothing: bool = False


class AttemptPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt, as the data plane needs to know it."""

    execution: ExecutionId
    options: Options
    attempt: int
    key: AttemptKey


def place_of(live: Live, attempt: int | None = None) -> AttemptPlace:
    """Say which attempt a live execution is at, or name an earlier one of it."""
    number = live.record.attempt if attempt is None else attempt
    return AttemptPlace(execution=live.execution, options=live.options, attempt=number, key=live.key_at(number))


class DataPlane(Protocol):
    """Where inputs and outputs are."""

    def locations(self, place: AttemptPlace) -> Locations:
        """Say where an attempt reads and writes. Pure."""
        ...

    def environment(self, place: AttemptPlace, locations: Locations) -> dict[str, str]:
        """Make the variables for an attempt's processes. Pure."""
        ...

    def access(self, place: AttemptPlace, locations: Locations) -> DataAccess:
        """Give access to an attempt's data."""
        ...

    async def template(self, options: Options) -> TaskTemplate:
        """Load a template; cached by its content hash."""
        ...

    async def read_outcome(
        self, place: AttemptPlace, locations: Locations, outputs: LiteralMap | OutputsAt | None, *, succeeded: bool
    ) -> Outcome:
        """
        Read what an attempt left, validate it against the interface, and store literals that an executor gave.

        Raises:
            Exception: The storage did not answer; asked again later.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAnswer:
    """What the task cache says: outputs, or who is making them, or nothing."""

    key: str
    output_uri: str = ""
    owner: str = ""
    retry_after: float = 0.0


class TaskCache(Protocol):
    """Outputs of tasks that ran before."""

    async def lookup(self, place: AttemptPlace) -> CacheAnswer:
        """Look, and reserve when the template wants one run at a time."""
        ...

    async def put(self, place: AttemptPlace, key: str, output_uri: str) -> None:
        """Keep outputs, and release the reservation."""
        ...

    async def release(self, place: AttemptPlace, key: str) -> None:
        """Release the reservation without outputs."""
        ...

    def hold(self, place: AttemptPlace, key: str) -> None:
        """Keep alive a reservation that an earlier life of the engine took."""
        ...

    def drop(self, place: AttemptPlace) -> None:
        """Keep a reservation alive no more: another engine has the execution, or it is gone."""
        ...

    async def run(self, wake: Wake) -> None:
        """Keep reservations alive and wake those who wait, until cancelled."""
        ...


class ChildKeeper(Protocol):
    """Keeps the child executions of one that left a plan instead of outputs."""

    async def tend(self, live: Live) -> Fact:
        """Submit the children whose inputs are there, look at those that run, bind the outputs when all are done."""
        ...

    async def kill(self, live: Live, reason: str) -> Fact:
        """Ask that all children end; ``JobGone`` when they have."""
        ...
