"""
A kind of objects as tasks: what a plugin over Kubernetes has to say, and nothing of how it gets there.

The framework (``executor``) creates, watches, deletes and finds; a plugin makes the object and reads its phase.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from airscrew.engine.executor import TaskContext
from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase, TaskInfo
from airscrew.plugins.kubernetes.api.kinds import Kind
from airscrew.plugins.kubernetes.happenings import Happening
from airscrew.plugins.kubernetes.pod_view import Metadata
from airscrew.plugins.kubernetes.state import ObjectState

if TYPE_CHECKING:
    from airscrew.idl.template import TaskTemplate

Manifest = dict[str, object]
"""An object as JSON holds it, without the name, labels and finalizer that the framework gives it."""


class View(Protocol):
    """The fields of an object that are read: a msgspec Struct that has at least these."""

    @property
    def metadata(self) -> Metadata:
        """Who it is."""
        ...


ViewT = TypeVar("ViewT", bound=View)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPhase:
    """
    How an attempt stands, as its object shows.

    Attributes:
        phase: Queued, Initializing, Running, Success or one of the failures.
        reason: One line for people.
        code: A short stable word, with a failure.
        kind: Whose failure it is.
        cleanup: With a failure: the object is still at work and has to be killed.
        info: Log links and what else is to be shown.
        memory: What the next look at this object is to be given; plain JSON, small.
        look_again: Seconds until the phase may change by time alone; None when nothing runs out.
        has_outputs: With a success: whether outputs lie at the output prefix; else none are looked for.
    """

    phase: Phase
    reason: str = ""
    code: str = ""
    kind: ErrorKind = ErrorKind.USER
    cleanup: bool = False
    info: TaskInfo = field(default_factory=TaskInfo)
    memory: dict[str, object] = field(default_factory=dict[str, object])
    look_again: float | None = None
    has_outputs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    What a look at an object is given beside it.

    Attributes:
        now: The engine's time, Unix seconds: graces are measured by this clock alone.
        memory: What the look before this one gave.
        settings: What ``build`` wanted to be kept for the looks.
        happening: The last event about the object; None when none is known.
    """

    now: float
    memory: Mapping[str, object]
    settings: Mapping[str, object]
    happening: Happening | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """
    What is to be created.

    Attributes:
        manifest: The object; without ``metadata.name`` and ``metadata.namespace``.
        settings: What later looks need: plain JSON, small, no secrets; persisted with the state.
    """

    manifest: Manifest
    settings: dict[str, object] = field(default_factory=dict[str, object])


class KubernetesPlugin(ABC, Generic[ViewT]):
    """
    Tasks as objects of one kind.

    Attributes:
        id: The executor's name.
        task_types: What it takes.
        kind: The kind of its objects.
        view_type: The fields of them that are read.
        takes_containers: Whether it also takes unknown task types that have a container or Pod target.
        produces_outputs: Whether its tasks write outputs.
        grace_seconds: How long an object that is killed has to end; None for the cluster's own default.
        lasting_events: Reasons of events by whose duration something is decided: each repetition is a new look.
    """

    id: ClassVar[str]
    task_types: ClassVar[tuple[str, ...]]
    kind: ClassVar[Kind]
    view_type: ClassVar[type[object]]
    takes_containers: ClassVar[bool] = False
    produces_outputs: ClassVar[bool] = True
    grace_seconds: ClassVar[int | None] = None
    lasting_events: ClassVar[frozenset[str]] = frozenset()

    def configure(self, config: Mapping[str, object]) -> None:
        """
        Read the plugin's own part of the configuration: the keys that are not the framework's.

        Called once, before all else.

        Raises:
            UsageError: Names the key.
        """
        if config:
            from airscrew.idl.errors import UsageError

            raise UsageError(f"executors.{self.id} has no key {next(iter(config))!r}")

    @abstractmethod
    async def build(self, context: TaskContext[ObjectState], template: TaskTemplate, cluster: ClusterReader) -> Built:
        """
        Make the object of an attempt.

        Called once per start of an attempt, and again for the same attempt only when certainly nothing was created.
        May wait for storage. Must give the same object for the same attempt.

        Raises:
            PermanentError: The template can never run; names the field.
            RetryableError: It may later.
        """

    def demand(self, manifest: Mapping[str, object]) -> Mapping[str, Decimal]:
        """
        Say how much an object needs of what quotas count, by their names for it. Pure.

        An attempt that needs more than a quota has left waits for others to end, and is not sent to be refused.
        """
        del manifest
        return {f"count/{self.kind.plural}.{self.kind.group}".rstrip("."): Decimal(1)}

    @abstractmethod
    def read_phase(self, view: ViewT, look: Look) -> ObjectPhase:
        """
        Say how the attempt stands. Pure, called at each look.

        An object whose deletion somebody else has asked for is told by the plugin too: it knows whether its end counts.
        """

    def is_over(self, view: ViewT) -> bool:
        """Tell whether nothing of an object is at work any more, so that it may be kept for a while. Pure."""
        del view
        return False

    async def before_deletion(self, context: TaskContext[ObjectState], view: ViewT, cluster: ClusterReader) -> None:
        """
        Save what goes with the object, as its log.

        Called after the verdict is persisted, before the object of a finished attempt is deleted; perhaps more than
        once. May wait. An error is logged, and changes nothing.
        """
        del context, view, cluster


class ClusterReader(Protocol):
    """What a plugin may read of the cluster."""

    async def read_object(self, kind: Kind, namespace: str, name: str) -> bytes | None:
        """
        Read an object of any kind; None when it is not there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        ...

    async def read_part(self, namespace: str, name: str, part: str, query: Mapping[str, str]) -> bytes | None:
        """
        Read a part of an object, as its ``log``; None when it is not there.

        Raises:
            ApiError: The API server refuses.
            OSError: It could not be asked.
        """
        ...
