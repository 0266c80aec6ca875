"""
The executor: one object per process that runs all tasks of its task types.

The engine calls ``start_task`` once per attempt, ``check_task_status`` periodically until it returns a terminal phase,
and then ``finalize``, or ``kill_task`` until everything is gone. It never makes two calls at once for one execution;
calls for different executions overlap freely. Whatever a later call needs goes into the custom state that a call
returns: it is the only thing that survives a restart, and a restart can come at any time.

Every method may be ``async`` or a plain ``def``; a plain one runs in a bounded pool of threads. An ``async`` one
shares the engine's loop and must not block it: a watchdog measures, names the plugin and its stack, and moves an
offender to a thread and loop of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, Union

from airscrew.engine.clock import Clock
from airscrew.engine.executor.context import TaskContext
from airscrew.engine.executor.declarations import AtMostOnce, ClusterRight, ResourceRequirements, StartDeclaration
from airscrew.engine.executor.status import Found, Gone, NotStarted, Released, StillThere, TaskStatus

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView
    from airscrew.engine.cache import Measured
    from airscrew.idl.template import TaskTemplate

T = TypeVar("T")
StateT = TypeVar("StateT")

MaybeAwaitable = Union[T, Awaitable[T]]  # noqa: UP007 - a generic alias over a TypeVar needs Union on 3.11
"""A method may be ``async def`` or a plain ``def``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    What an executor is given once, when it is initialised.

    Attributes:
        installation: The UID of the store's installation; part of every key.
        config: The executor's own part of the configuration (``executors.<id>``), as plain JSON.
        state_directory: A folder on this machine for the executor's own files; not shared and not durable truth.
        clock: The time.
        random: A source of randomness for jitter.
        wake: Push an execution back into the queue by its attempt's key; thread-safe.
        watch: Show an execution of this store by its name, now and after each change, until it is over; whichever
            engine has it. Only on the engine's own loop. ``ApiError`` (``not_found``) when there is none,
            ``StoreUnavailableError`` while the store is away; ends early when it is pruned. None where there is no
            engine.
    """

    installation: str
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    state_directory: str = ""
    clock: Clock
    random: Random
    wake: Callable[[str], None]
    watch: Callable[[str], AsyncGenerator[ExecutionView, None]] | None = None


class Executor(ABC, Generic[StateT]):
    """
    Runs tasks of some task types in an outside system.

    Attributes:
        id: The executor's name, unique in the process; appears in configuration, records and metrics.
        task_types: The task types that it takes.
        state_type: The class of its custom state: a msgspec Struct or a dataclass, encoded as JSON.
        state_version: Grows when ``state_type`` changes; see ``migrate_state``.
        start_declaration: How an unknown start is resolved.
        check_interval: Seconds between checks when a status does not say otherwise.
        start_timeout: Seconds after which a ``start_task`` without an answer counts as unknown.
        call_timeout: The same for every other call, which then counts as failed.
        produces_outputs: Whether a success of it has outputs (a template with outputs needs it).
        disables_cache: Whether the engine's task cache leaves its tasks alone.
        takes_containers: Whether it also takes unknown task types that have a container or Pod target.
        name_max_length: How long a name derived for its objects may be, at least 8.
        custom_message: A protobuf message class, msgspec Struct or dataclass that ``template.custom`` is decoded into
            before ``start_task``; found in ``context.message``. None leaves ``template.custom`` as plain JSON.
        needs_config: Whether it is of no use without a part of the configuration of its own: it is then enabled only by
            one (``executors.<id>``), or by its name in ``enabled_executors``.
        concurrency: How many executions may be live in the outside system at once from this process; None for no
            limit.
        outside: Where its jobs run, for the account of where time goes: ``kubernetes`` or ``external``.
        cluster_rights: What it does in a Kubernetes cluster: operators' roles are written of this.
    """

    id: ClassVar[str]
    task_types: ClassVar[tuple[str, ...]]
    state_type: ClassVar[type[object]]
    state_version: ClassVar[int] = 1
    start_declaration: ClassVar[StartDeclaration] = AtMostOnce()
    check_interval: ClassVar[float] = 10.0
    start_timeout: ClassVar[float] = 60.0
    call_timeout: ClassVar[float] = 60.0
    produces_outputs: ClassVar[bool] = True
    disables_cache: ClassVar[bool] = False
    takes_containers: ClassVar[bool] = False
    name_max_length: ClassVar[int] = 50
    custom_message: ClassVar[type[object] | None] = None
    needs_config: ClassVar[bool] = False
    concurrency: int | None = None
    outside: ClassVar[str] = "external"
    cluster_rights: ClassVar[tuple[ClusterRight, ...]] = ()

    def initialize(self, setup: Setup) -> MaybeAwaitable[None]:
        """
        Prepare to work: read the configuration, open clients.

        Called once in a process, before any other method, and again only when the executor is moved to a loop of its
        own. May wait. An exception disables the executor alone: ``airscrew plugins`` shows why.
        """
        del setup
        return None

    @abstractmethod
    def start_task(
        self, context: TaskContext[StateT], template: TaskTemplate
    ) -> MaybeAwaitable[TaskStatus[StateT] | NotStarted]:
        """
        Start the task in the outside system and return without waiting for it to end.

        Called once per attempt. Called again with the same key only after ``NotStarted``, or when the outcome of the
        first call is unknown and the executor is declared ``Idempotent`` or ``NoEffect``. May wait for one request;
        for longer than ``start_timeout`` means an unknown outcome. Carry ``context.key`` into all that is created, and
        turn off retries inside HTTP libraries for creates. The template is given here and never again: what later
        calls need goes into the state.

        Args:
            context: The attempt to start.
            template: The task.

        Returns:
            The first status; its state is persisted before ``check_task_status`` is first called with it.
            ``NotStarted`` when certainly nothing was created.

        Raises:
            RetryableError: The attempt failed and certainly left nothing behind; a budget pays.
            PermanentError: The template can never run; nothing was left behind.
            Exception: Anything else makes the outcome unknown.
        """

    def resource_requirements(
        self, context: TaskContext[StateT], template: TaskTemplate
    ) -> MaybeAwaitable[ResourceRequirements | None]:
        """
        Say what an attempt takes of a quota; None for nothing.

        Called before ``start_task``, once for an execution in the life of an engine, and only where the operator has
        set quotas. Nothing has begun yet, and the attempt may wait long between this call and its start. Should be
        pure: the same answer each time, from the context and the template; it must not wait. What is taken is held
        until nothing of the attempt is left, after a crash too; there is nothing to give back.

        Raises:
            RetryableError: The attempt failed; a budget pays.
            PermanentError: The template can never run.
            Exception: The engine backs off and asks again; nothing is started.
        """
        del context, template
        return None

    @abstractmethod
    def check_task_status(self, context: TaskContext[StateT], state: StateT) -> MaybeAwaitable[TaskStatus[StateT]]:
        """
        Say how the task stands.

        Called no later than ``check_after`` (else ``check_interval``) after the last call, at once after
        ``context.wake()`` or a change in an AutoRefreshCache that was told to wake it, and after a restart. Should not
        wait: read an AutoRefreshCache. Must be idempotent. A state that differs from the one given is persisted,
        whether or not the phase moved.

        Raises:
            Exception: Whatever it is, the job is left alone; the engine backs off, shows the reason, and quarantines
            the
                execution after too many in a row.
        """

    def kill_task(
        self, context: TaskContext[StateT], state: StateT, reason: str
    ) -> MaybeAwaitable[Gone | StillThere[StateT]]:
        """
        Make the task and all that the attempt created go away.

        Called after the verdict is persisted (kill, timeout, failure with ``cleanup``), again and again until it
        returns ``Gone``; also after a restart, and for a job that has already ended or vanished: that is ``Gone``.
        Must be idempotent by ``context.key``. May wait for one request.

        Raises:
            Exception: The engine backs off and calls again; the ledger keeps the entry.
        """
        del context, state, reason
        return Gone()

    def finalize(self, context: TaskContext[StateT], state: StateT) -> MaybeAwaitable[None]:
        """
        Clean up after a task that ended by itself: drop cache entries, remove finalizers, release what is held.

        Called after the verdict is persisted; may be called more than once; must be idempotent by ``context.key``.

        Raises:
            Exception: The engine backs off and calls again.
        """
        del context, state
        return None

    def find(self, context: TaskContext[StateT]) -> MaybeAwaitable[Sequence[Found[StateT]]]:
        """
        List all that carries ``context.key`` in the outside system, what has finished included.

        Called only when the outcome of a start is unknown and the executor is declared ``Findable``. The first created
        is adopted, the others are killed; absence counts once ``settle`` seconds have passed since the request could
        last be sent.

        Raises:
            Exception: The engine backs off and calls again; the start stays unknown.
        """
        del context
        raise NotImplementedError(f"executor {self.id} is declared Findable and has no find")

    def is_same_job(self, one: StateT, other: StateT) -> bool:
        """
        Tell whether two states are of the same job. Pure.

        Called with what ``find`` listed and what is recorded, when a start came late from an engine that had lost
        the execution: what is not the recorded job is killed. Equal states by default; override it when a job's
        state changes while it runs: then what is listed beside it is killed at once. Of an executor that does not,
        the first that was created counts as the recorded job when none is equal to it, and nothing is killed while
        that may be gone already.

        Raises:
            Exception: The engine backs off and looks again.
        """
        return one == other

    def release(self, *, delete: bool) -> MaybeAwaitable[Released]:
        """
        Let go of all that this installation holds in the outside system: no engine of it comes back.

        Called by ``airscrew release`` after ``initialize``, while no engine works on the store; never by an engine.
        Perhaps more than once, so it must be idempotent. May wait. Whatever would keep somebody else from removing an
        object, as a finalizer does, has to come off.

        Args:
            delete: Whether jobs are ended and removed as well; else they run on.

        Raises:
            Exception: Something is still held; the command says so, and can be given again.
        """
        del delete
        return Released()

    def migrate_state(self, state: Mapping[str, object], version: int) -> Mapping[str, object]:
        """
        Turn the JSON of an older state version into that of ``state_version``. Pure.

        Called when a stored state's version is smaller. A larger one waits for a process that knows it.

        Raises:
            Exception: The execution alone is quarantined.
        """
        del version
        return state

    def caches(self) -> Sequence[Measured]:
        """
        Return its ``AutoRefreshCache`` objects, for metrics.

        Called when metrics are read, on the engine's loop; must not wait.
        """
        return ()

    def watches(self) -> Mapping[str, float]:
        """
        Return for how many seconds its watches have told nothing, by what they watch; the longest of each kind.

        Called when metrics are read, on the engine's loop; must not wait. The names must not grow with the work.
        """
        return {}

    def close(self) -> MaybeAwaitable[None]:
        """Close clients and loops. Called once, when the engine stops; no other call follows."""
        return None
