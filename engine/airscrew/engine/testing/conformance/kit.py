"""
What the checks are made of: a check, its result, and the bench that it is made on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from airscrew.engine.clock import LoopClock
from airscrew.engine.executor import Executor
from airscrew.engine.testing.attempt import Attempt
from airscrew.engine.testing.conformance.scenarios import Job, Scenarios
from airscrew.engine.testing.environment import ExecutorEnvironment
from airscrew.engine.testing.errors import ConformanceError, NotApplicable

AnyExecutor = Executor[Any]
AnyAttempt = Attempt[Any]
MakeExecutor = Callable[[], AnyExecutor]


class Outcome(Enum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    The result of a check.

    Attributes:
        id: The check's id.
        outcome: What came of it.
        reason: Why it failed or was skipped; empty when it passed.
    """

    id: str
    outcome: Outcome
    reason: str = ""


@dataclass(slots=True)
class Bench:
    """
    What a check works with.

    Attributes:
        make_executor: Makes the executor under test.
        scenarios: What its author tells of it.
        name: The check's id; attempts are named after it.
    """

    make_executor: MakeExecutor
    scenarios: Scenarios
    name: str

    @asynccontextmanager
    async def environment(self, *jobs: Job) -> AsyncGenerator[ExecutorEnvironment[Any], None]:
        """Open an environment that is configured for some jobs."""
        config = dict(self.scenarios.config)
        for job in jobs:
            config.update(job.config)
        environment = ExecutorEnvironment[Any](
            self.make_executor,
            config=config,
            secrets=self.scenarios.secrets,
            clock=LoopClock(),
            root=self.scenarios.root,
        )
        async with environment:
            yield environment

    @asynccontextmanager
    async def attempt(self, job: Job) -> AsyncGenerator[tuple[ExecutorEnvironment[Any], AnyAttempt], None]:
        """Open an environment with one attempt to run a job."""
        async with self.environment(job) as environment:
            yield environment, self.make_attempt(environment, job)

    def make_attempt(self, environment: ExecutorEnvironment[Any], job: Job, suffix: str = "") -> AnyAttempt:
        """Make an attempt to run a job."""
        return environment.attempt(job.template, job.inputs, name=f"{self.name}{suffix}")


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check of the kit.

    Attributes:
        id: The letter of the list that it belongs to and what it holds, as ``a-start-again-makes-one-job``.
        body: The check itself: returns, or raises ``ConformanceError`` or ``NotApplicable``.
    """

    id: str
    body: Callable[[Bench], Awaitable[None]]

    async def run(self, make_executor: MakeExecutor, scenarios: Scenarios) -> CheckResult:
        """Make the check; what it raises becomes its result, defects of the scenarios excepted."""
        await scenarios.open()
        try:
            await self.body(Bench(make_executor, scenarios, self.id))
        except NotApplicable as error:
            return CheckResult(self.id, Outcome.SKIPPED, str(error))
        except ConformanceError as error:
            return CheckResult(self.id, Outcome.FAILED, str(error))
        except Exception as error:  # noqa: BLE001 - whatever comes out of a stranger's executor is its result
            return CheckResult(self.id, Outcome.FAILED, _told(error))
        finally:
            scenarios.heal()
            await scenarios.close()
        return CheckResult(self.id, Outcome.PASSED)


def _told(error: Exception) -> str:
    """Name an error, and the first one in a group rather than the group."""
    parts = cast("tuple[Exception, ...]", getattr(error, "exceptions", ()))
    return _told(parts[0]) if parts else f"{type(error).__name__}: {error}"
