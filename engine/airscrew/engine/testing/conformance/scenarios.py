"""
What the author of an executor tells the conformance kit: which tasks it can run, and how to look at the outside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airscrew.engine.testing.errors import NotApplicable
from airscrew.engine.testing.job_service.jobs import Fault

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import TaskTemplate


@dataclass(frozen=True, slots=True)
class Job:
    """
    A task to run.

    Attributes:
        template: The task.
        inputs: Its inputs; None for none.
        config: What the executor needs in its configuration for this one, on top of ``Scenarios.config``.
    """

    template: TaskTemplate
    inputs: LiteralMap | None = None
    config: Mapping[str, object] = field(default_factory=dict[str, object])


class Scenarios(ABC):
    """
    The adapter between the kit and one executor; written by the executor's author, and made anew for each check.

    Only ``succeeding`` must be there. Each other method raises ``NotApplicable`` until it is overridden, with the
    reason that the check is reported as skipped with; override it with a better reason where there is nothing to do,
    as "has no job outside".

    Attributes:
        config: The executor's configuration.
        secrets: Values of its secrets by ``key`` or ``group/key``.
        root: The URI that attempts read and write below; ``file:`` for an executor that needs real files.
        has_virtual_time: Whether all that it waits for obeys the running loop's time. If not, checks that wait
            for an hour are skipped and the others wait for real.
        limit_seconds: No scenario takes longer than this.
    """

    config: Mapping[str, object] = {}
    secrets: Mapping[str, str] = {}
    root: str = "memory://test"
    has_virtual_time: bool = True
    limit_seconds: float = 600.0

    @abstractmethod
    def succeeding(self) -> Job:
        """Return a task that succeeds, within a minute."""

    def failing(self) -> Job:
        """Return a task that starts and then fails."""
        raise NotApplicable("no task of it can fail after its start")

    def endless(self) -> Job:
        """Return a task that runs until it is killed."""
        raise NotApplicable("none of its tasks runs until it is killed")

    def refused(self) -> Job:
        """Return a task that ``start_task`` refuses for good with a ``PermanentError``."""
        raise NotApplicable("it refuses no task")

    async def open(self) -> None:
        """Set up what lies outside; called once, before anything else."""
        return

    async def close(self) -> None:
        """Take it down again."""
        return

    async def live(self, key: str) -> int:
        """Count what is alive outside and carries the key, without asking the executor."""
        raise NotApplicable("it has no jobs outside to count")

    async def created(self, key: str) -> int:
        """Count what was ever created outside with the key, without asking the executor."""
        raise NotApplicable("it has no jobs outside to count")

    async def delete_externally(self, key: str) -> None:
        """Delete the job of the key behind the executor's back."""
        raise NotApplicable("it has no jobs outside that somebody could delete")

    def spoil_start(self, fault: Fault) -> None:
        """Let the next request that creates something meet the fault."""
        raise NotApplicable(f"its starts cannot meet the fault {fault.value!r}")

    def spoil_reads(self, fault: Fault) -> None:
        """Let all requests that read meet the fault until ``heal``."""
        raise NotApplicable(f"its reads cannot meet the fault {fault.value!r}")

    def heal(self) -> None:
        """End all faults."""
        return

    def calls(self) -> int:
        """Count the requests made to the provider so far."""
        raise NotApplicable("it makes no requests to a provider")

    def allowed_calls_per_hour(self, jobs: int) -> int:
        """Say how many requests an hour so many running jobs may cost."""
        raise NotApplicable("no bound on its requests is declared")
