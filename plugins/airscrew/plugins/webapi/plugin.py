"""
A provider's jobs as tasks: what a plugin has to say of them, and nothing of how it gets there.

The framework (``jobs``, ``executor``) makes, reads, stops and finds them; a plugin makes single requests and reads
answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar, cast

import msgspec

from airscrew.engine.executor import (
    AtMostOnce,
    OutputsAt,
    ResourceRequirements,
    Setup,
    StartDeclaration,
    TaskContext,
    TaskStatus,
)
from airscrew.idl.errors import UsageError
from airscrew.idl.phase import LogLink
from airscrew.plugins.webapi.state import JobState
from airscrew.plugins.webapi.vault import SecretRef, Vault

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

    from airscrew.idl.template import TaskTemplate

StateT = TypeVar("StateT", bound=JobState)
ViewT = TypeVar("ViewT")
ViewT_contra = TypeVar("ViewT_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What may be asked of a provider, and how often its jobs are read.

    Attributes:
        period_seconds: How often each job is read.
        batch_size: How many jobs one request reads; 1 for a provider that reads them one by one.
        pushed_period_seconds: The same while ``Reports.is_listening``: the safety net behind what is pushed.
        reads_per_second: The most reads in the long run; None for no limit. Jobs are then read in turn.
        writes_per_second: The most creates and deletes in the long run; None for no limit.
        burst: How many of either may be made at once under their limit.
        concurrency: How many background reads may be on their way at once.
        timeout_seconds: How long one request may take.
        settle_seconds: A job may stay invisible for so long after it was made; later on, one that the provider does not
            know for longer is gone.
        size: How many jobs are kept in memory.
    """

    period_seconds: float = 10.0
    batch_size: int = 1
    pushed_period_seconds: float = 300.0
    reads_per_second: float | None = None
    writes_per_second: float | None = None
    burst: int = 5
    concurrency: int = 8
    timeout_seconds: float = 30.0
    settle_seconds: float = 10.0
    size: int = 100_000


@dataclass(frozen=True, slots=True)
class Prepared(Generic[StateT]):
    """
    A job that is about to be asked for.

    Attributes:
        state: What will be kept of it; ``id`` and ``created_at`` are filled in by the framework.
        body: What ``create`` sends; plain JSON.
    """

    state: StateT
    body: object = None


@dataclass(frozen=True, slots=True)
class Created(Generic[ViewT]):
    """
    A job that is there.

    Attributes:
        id: Its id at the provider.
        view: What the answer said of it; None when it said nothing.
    """

    id: str
    view: ViewT | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """
    A job that carries an attempt's key.

    Attributes:
        id: Its id at the provider.
        created_at: When it was made, Unix seconds; 0 when the provider does not say.
    """

    id: str
    created_at: float = 0.0


class Reports(Protocol[ViewT_contra]):
    """Where a plugin reports what it was told: by a webhook, a stream, a queue. Called on the executor's loop."""

    is_listening: bool
    """Set while the plugin hears of changes: jobs are then read at ``pushed_period_seconds`` only."""

    def changed(self, job_id: str, view: ViewT_contra) -> bool:
        """Report how a job stands now; its owner is woken. False when nobody waits for that job."""
        ...

    def look_at(self, job_id: str) -> bool:
        """Report that something happened to a job: it is read soon. False when nobody waits for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(Generic[ViewT]):
    """
    What a plugin is given once, to open its client.

    Attributes:
        setup: As the executor got it; ``setup.config`` is the plugin's own part of the configuration.
        vault: The values of its secrets, once a call has read them.
        reports: Where it reports changes.
        stack: What it opens, it pushes here to be closed.
    """

    setup: Setup
    vault: Vault
    reports: Reports[ViewT]
    stack: AsyncExitStack = field(repr=False)


class WebApiPlugin(ABC, Generic[StateT, ViewT]):
    """
    Tasks as jobs of one provider.

    Every method that makes a request makes one, never repeats it, and raises what ``errors`` tells of. What it raises
    is shown to people, and cleaned of secrets by the framework.

    Attributes:
        id: The executor's name, and the provider's.
        task_types: What it takes.
        state_type: The class of its custom state, a subclass of ``JobState``.
        start_declaration: How an unknown start is resolved.
        limits: What may be asked of the provider; an instance may have its own.
        secrets: What it needs, by names of its own, for ``vault.get``.
        can_stop: Whether ``delete`` does anything; if not, a kill waits for the job's own end.
        reads_single_jobs: Whether ``get`` is a request of its own: what a batch leaves out is then asked for alone.
        produces_outputs: Whether its tasks have outputs.
    """

    id: ClassVar[str]
    task_types: ClassVar[tuple[str, ...]]
    state_type: ClassVar[type[JobState]] = JobState
    start_declaration: StartDeclaration = AtMostOnce()
    limits: Limits = Limits()
    secrets: Mapping[str, SecretRef] = {}
    can_stop: bool = True
    reads_single_jobs: bool = False
    produces_outputs: ClassVar[bool] = True

    def configure(self, config: Mapping[str, object]) -> None:
        """
        Read the plugin's own part of the configuration; set ``limits``, ``secrets``, ``start_declaration`` by it.

        Called once, before all else.

        Raises:
            UsageError: Names the key.
        """
        if config:
            raise UsageError(f"executors.{self.id} has no key {next(iter(config))!r}")

    async def open(self, opening: Opening[ViewT]) -> None:
        """
        Open a client; begin to listen for changes. No request that needs a secret: none is read yet.

        Called once after ``configure``, and both again only after everything on ``opening.stack`` was closed.
        """
        del opening

    def resource_requirements(
        self, context: TaskContext[StateT], template: TaskTemplate
    ) -> ResourceRequirements | None:
        """
        Say what an attempt takes of a quota, before anything else is done for it; None for nothing. Pure.

        Raises:
            PermanentError: The task can never run.
        """
        del context, template
        return None

    @abstractmethod
    async def prepare(self, context: TaskContext[StateT], template: TaskTemplate) -> Prepared[StateT]:
        """
        Make ready what ``create`` sends: read inputs, check the task. No request to the provider.

        Called before each ``create``; must give the same for the same attempt. May wait for storage.

        Raises:
            PermanentError: The task can never run; names the field.
            StorageUnavailableError: Later perhaps.
        """

    @abstractmethod
    async def create(self, context: TaskContext[StateT], prepared: Prepared[StateT]) -> Created[ViewT]:
        """
        Ask for the job, by one request that carries ``context.key`` and is repeated by no library below.

        Called again with the same key only after an error that says that nothing was made, or for ``Idempotent``.
        """

    async def get(self, state: StateT) -> ViewT | None:
        """
        Read one job; None when the provider says that there is none.

        ``state`` may be older than what is stored: its id holds, what changes while a job runs may not. Without an
        override, the job is read as a batch of one.
        """
        return (await self.get_many([state])).get(state.id)

    async def get_many(self, states: Sequence[StateT]) -> Mapping[str, ViewT]:
        """
        Read up to ``limits.batch_size`` jobs by one request; by id, without those that the provider does not know.

        Called when ``limits.batch_size`` is above 1.
        """
        raise NotImplementedError(f"plugin {self.id} overrides neither get nor get_many")

    async def delete(self, state: StateT) -> ViewT | None:
        """
        Ask the provider to stop a job; None when it says that there is none, else how the job stands.

        Called until the job is over, with reads between the calls. Stopping what has ended is no error.
        """
        del state
        return None

    async def find(self, context: TaskContext[StateT]) -> Sequence[Listed]:
        """List the jobs that carry ``context.key``, finished ones too. For ``Findable``."""
        raise NotImplementedError(f"plugin {self.id} is declared Findable and has no find")

    @abstractmethod
    def is_over(self, view: ViewT) -> bool:
        """Tell whether a job has ended: it is read no more. Pure."""

    @abstractmethod
    def status(self, state: StateT, view: ViewT | None) -> TaskStatus[StateT]:
        """
        Say how the attempt stands. Pure.

        Args:
            state: The stored state.
            view: What the provider said last; None when it was not heard in this life of the engine: say where the
                job stood by the state.

        Raises:
            Exception: What the provider says makes no sense; the job is left alone and the text is shown.
        """

    def links(self, state: StateT, view: ViewT | None) -> Sequence[LogLink]:
        """Return the links that a person follows to the job. Pure; added to those of ``status``."""
        del state, view
        return ()

    async def outputs(
        self, context: TaskContext[StateT], state: StateT, view: ViewT | None
    ) -> LiteralMap | OutputsAt | None:
        """
        Fetch the outputs of a job that succeeded, when ``status`` did not give them.

        May be called again. May wait for one request; what it raises is shown, and it is asked again.
        """
        del context, state, view
        return None

    def draft(self) -> StateT:
        """Make a state with neither id nor time, for a job that was found and of which nothing was noted."""
        return cast("StateT", msgspec.convert({"id": "", "created_at": 0.0}, self.state_type))
