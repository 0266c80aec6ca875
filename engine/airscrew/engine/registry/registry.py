"""
The registry: one instance of each executor per process, initialised once.

Guarantees: an executor that cannot be loaded, made or initialised is reported and left out, and nobody else notices; a
class that is registered for several task types has one instance; a registry outlives the engines that use it, so an
engine that is opened again in the same process finds the same instances and initialises nothing twice. What comes
while an engine works is resolved to once it is initialised, or not at all.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airscrew.engine.errors import ConflictingExecutorsError, plugin_wall
from airscrew.engine.executor import AnyExecutor, Findable, Setup
from airscrew.engine.executor.erased import overrides
from airscrew.engine.registry.resolution import Resolution, conflicts, nearest, resolve
from airscrew.idl.errors import UsageError
from airscrew.state.errors import StoreUnavailableError

if TYPE_CHECKING:
    from airscrew.engine.api.model import ExecutionView

REGISTERED = "registered"

INITIALISE_SECONDS = 60.0
"""How long an executor may take to prepare; all the others wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """
    An executor that is installed.

    Attributes:
        id: The name of its entry point, or its own id.
        origin: The entry point's value, or ``registered``.
        version: Of the distribution that it comes from.
        package: The name of that distribution; empty when it comes from none.
        make: Makes the instance.
        problem: Why it cannot be used, in one line; empty when it can.
        enabled: Whether the configuration wants it.
        needs_config: Whether it is enabled only by a part of the configuration of its own; see ``Executor``.
    """

    id: str
    origin: str
    version: str = ""
    package: str = ""
    make: Callable[[], AnyExecutor] | None = None
    problem: str = ""
    enabled: bool = True
    needs_config: bool = False


@dataclass(slots=True)
class _Held:
    candidate: Candidate
    executor: AnyExecutor | None = None
    initialised: bool = False
    problem: str = ""
    bell: Callable[[str], None] | None = None
    window: Callable[[str], AsyncGenerator[ExecutionView, None]] | None = None

    def wake(self, key: str) -> None:
        """Wake by the engine that runs now: the executor keeps this for as long as it lives, an engine does not."""
        if self.bell is not None:
            self.bell(key)

    def watch(self, name: str) -> AsyncGenerator[ExecutionView, None]:
        """Watch by the engine that runs now, for the same reason."""
        if self.window is None:
            raise StoreUnavailableError("no engine runs")
        return self.window(name)


@dataclass(slots=True)
class Registry:
    """
    The executors of a process.

    Attributes:
        defaults: For each task type, the executor that the configuration names.
    """

    defaults: dict[str, str] = field(default_factory=dict[str, str])
    _held: dict[str, _Held] = field(default_factory=dict[str, _Held])
    _resolution: Resolution | None = None
    _reduced_of: list[AnyExecutor] = field(default_factory=list[AnyExecutor])
    _declared: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def register(self, executor: AnyExecutor) -> None:
        """
        Add an executor of the embedding program.

        Raises:
            ConflictingExecutorsError: Its id is taken by another object.
        """
        held = self._held.get(executor.id)
        if held is not None and held.executor is not executor:
            raise ConflictingExecutorsError(f"executor id {executor.id!r} is taken; give one of them another id")
        if held is not None:
            return
        self._resolution = None
        problem = problem_of(executor)
        self._held[executor.id] = _Held(Candidate(id=executor.id, origin=REGISTERED), executor, problem=problem)

    def add(self, candidates: Iterable[Candidate], *, disabled: frozenset[str] = frozenset()) -> None:
        """Make the instances of installed executors that are enabled; those that are there already stay."""
        self._resolution = None
        for candidate in candidates:
            held = self._held.get(candidate.id)
            if held is not None and held.executor is not None:
                if held.candidate.origin not in {candidate.origin, REGISTERED}:
                    held.problem = f"{held.candidate.origin} and {candidate.origin} both call themselves {candidate.id}"
                continue
            if candidate.id in disabled:
                self._held[candidate.id] = _Held(replace(candidate, enabled=False))
            else:
                self._held[candidate.id] = _make(candidate)

    async def initialise(self, setup_for: Callable[[str], Setup]) -> None:
        """Initialise each executor that is not yet; the problem of one is its own."""
        self._resolution = None
        for held in self._held.values():
            if held.executor is None or held.problem:
                continue
            setup = setup_for(held.candidate.id)
            held.bell, held.window = setup.wake, setup.watch
            if held.initialised:
                continue
            try:
                with plugin_wall("initialize"):
                    async with asyncio.timeout(INITIALISE_SECONDS):
                        made = held.executor.initialize(replace(setup, wake=held.wake, watch=held.watch))
                        if inspect.isawaitable(made):
                            await made
            except Exception as error:  # noqa: BLE001 - the wall around an executor's code
                held.problem = f"{type(error).__name__}: {error}".splitlines()[0]
            else:
                held.initialised = True
        self._resolution = None

    async def take_in(
        self, candidates: Iterable[Candidate], setup_for: Callable[[str], Setup], *, disabled: frozenset[str]
    ) -> None:
        """
        Add executors while an engine works: made and initialised apart from those at work, then among them.

        One that has a problem is reported, as at the start. What was out of order under the same id is replaced.

        Raises:
            ConflictingExecutorsError: They take what others take, with no default to decide; none was added.
        """
        apart = Registry(defaults=self.defaults)
        apart.add(candidates, disabled=disabled)
        known = set(conflicts(self.resolution()))
        try:
            self._refuse_clashes(apart, known)
            await apart.initialise(setup_for)
            self._refuse_clashes(apart, known)  # some learn their task types only now
        except BaseException:
            await apart.close()
            raise
        self._held.update(apart._held)
        self._resolution = None

    def _refuse_clashes(self, apart: Registry, known: set[str]) -> None:
        """Refuse what would be a start-up error, unless it is one already."""
        both = Registry(defaults=self.defaults, _held={**self._held, **apart._held})
        found = [text for text in conflicts(both.resolution()) if text not in known]
        if found:
            raise ConflictingExecutorsError("; ".join(found))

    async def close(self) -> dict[str, str]:
        """Close every executor that was initialised; returns the problems by id. The registry can be used again."""
        problems: dict[str, str] = {}
        for held in self._held.values():
            if held.executor is None or not held.initialised:
                continue
            held.initialised = False
            try:
                with plugin_wall("close"):
                    closed = held.executor.close()
                    if inspect.isawaitable(closed):
                        await closed
            except Exception as error:  # noqa: BLE001 - the wall around an executor's code
                problems[held.candidate.id] = str(error)
        return problems

    def check_conflicts(self) -> None:
        """
        Refuse to start with task types that several executors take.

        Raises:
            ConflictingExecutorsError: Names each type and the key to set.
        """
        known = self.resolution()
        found = conflicts(known)
        unknown = [
            f"default_for_task_types.{task_type} names {name!r}, which is not installed or not enabled"
            f"{nearest(name, known.ids)}"
            for task_type, name in self.defaults.items()
            if name not in self._held
        ]
        if found or unknown:
            raise ConflictingExecutorsError("; ".join([*found, *unknown]))

    def resolution(self) -> Resolution:
        """
        Reduce the registry to what resolving needs; kept until something changes, the executors' types included.

        Asked for several times for every task.
        """
        known = self._resolution
        if known is None or [executor.task_types for executor in self._reduced_of] != self._declared:
            self._reduced_of = [executor for _, executor in self._usable()]
            self._declared = [executor.task_types for executor in self._reduced_of]
            known = self._resolution = self._reduced()
        return known

    def _reduced(self) -> Resolution:
        by_type: dict[str, list[str]] = {}
        takers: list[str] = []
        for name, executor in self._usable():
            for task_type in dict.fromkeys(executor.task_types):
                by_type.setdefault(task_type, []).append(name)
            if executor.takes_containers:
                takers.append(name)
        default = self.defaults.get("container")
        takers.sort(key=lambda name: (name != default, name))
        sorted_types: Mapping[str, list[str]] = {key: sorted(names) for key, names in by_type.items()}
        disabled = [name for name, held in sorted(self._held.items()) if not held.candidate.enabled]
        return Resolution(sorted_types, self.defaults, takers, frozenset(name for name, _ in self._usable()), disabled)

    def resolve(self, task_type: str, *, has_container: bool, wanted: str = "") -> AnyExecutor:
        """
        Find the executor for a task.

        Raises:
            UsageError: There is none; see ``resolution.resolve``.
        """
        name = resolve(self.resolution(), task_type, has_container=has_container, wanted=wanted)
        executor = self.get(name)
        if executor is None:
            raise UsageError(
                f"task type {task_type!r} goes to {name!r} by default_for_task_types: {self.why_absent(name)}"
            )
        return executor

    def get(self, executor_id: str) -> AnyExecutor | None:
        """Return the executor of that id; None when it is not there or not usable."""
        held = self._held.get(executor_id)
        return None if held is None or held.problem else held.executor

    def why_absent(self, executor_id: str) -> str:
        """Say in one line why ``get`` returns None."""
        held = self._held.get(executor_id)
        if held is None:
            return f"executor {executor_id!r} is not installed"
        if not held.candidate.enabled:
            return f"executor {executor_id!r} is not enabled"
        return f"executor {executor_id!r} is out of order: {held.problem}"

    def all(self) -> list[tuple[Candidate, AnyExecutor | None, str]]:
        """List every candidate with its instance and its problem."""
        return [(held.candidate, held.executor, held.problem) for _, held in sorted(self._held.items())]

    def state_versions(self) -> dict[str, int]:
        """Return the version of the state of each executor that is there."""
        return {executor.id: executor.state_version for _, executor, _ in self.all() if executor is not None}

    def _usable(self) -> Iterator[tuple[str, AnyExecutor]]:
        for name, held in sorted(self._held.items()):
            if held.executor is not None and not held.problem:
                yield name, held.executor


def _make(candidate: Candidate) -> _Held:
    if candidate.make is None:
        return _Held(candidate, problem=candidate.problem or "it does not load")
    try:
        executor = candidate.make()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the wall around an executor's code
        return _Held(candidate, problem=f"{type(error).__name__}: {error}".splitlines()[0])
    problem = problem_of(executor)
    if not problem and executor.id != candidate.id:
        problem = f"its entry point is called {candidate.id!r} and its id is {executor.id!r}: give them one name"
    return _Held(candidate, executor, problem=problem)


def problem_of(executor: AnyExecutor) -> str:
    """Say in one line what is wrong with what an executor declares; empty when nothing is."""
    for name in ("id", "task_types", "state_type"):
        if not getattr(executor, name, None):
            return f"it declares no {name}"
    if executor.name_max_length < 8:  # noqa: PLR2004 - a shorter name would not be unique
        return f"name_max_length is {executor.name_max_length}; at least 8 is needed"
    finds = overrides(executor, "find")
    if isinstance(executor.start_declaration, Findable) and not finds:
        return "it is declared Findable and has no find"
    return ""
