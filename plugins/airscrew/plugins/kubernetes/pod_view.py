"""
The few fields of a Pod that an engine reads, decoded straight from the JSON of the API server.

A Pod has hundreds of fields and a watch tells of thousands of Pods; only what is named here is ever built, which costs
a hundredth of the full model in time and in memory. A field that is missing has its default; one of another type than
Kubernetes says makes :class:`MalformedPodError`, which concerns that Pod alone.

Source: Kubernetes API v1, ``Pod``.
"""

from __future__ import annotations

import datetime

import msgspec

from airscrew.idl.errors import AirscrewError
from airscrew.idl.json_tree import BAD_JSON


class MalformedPodError(AirscrewError):
    """What came is no Pod: it is left out, and the others go on."""


class _Slim(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Named as Kubernetes names it; all other fields are passed over."""


class Waiting(_Slim, frozen=True, kw_only=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Running(_Slim, frozen=True, kw_only=True):
    """Since when a container runs."""

    started_at: datetime.datetime | None = None


class Terminated(_Slim, frozen=True, kw_only=True):
    """
    How a container ended.

    Attributes:
        exit_code: 128 and more for a signal.
        reason: ``Completed``, ``Error``, ``OOMKilled``, ``ContainerCannotRun``…
        message: The termination message, else the tail of the log.
        signal: The signal, where the runtime tells it.
        finished_at: When.
    """

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    signal: int = 0
    finished_at: datetime.datetime | None = None


class ContainerState(_Slim, frozen=True, kw_only=True):
    """One of the three, or none: waiting for a reason that nobody told."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Slim, frozen=True, kw_only=True):
    """How a container stands."""

    name: str = ""
    container_id: str = msgspec.field(name="containerID", default="")
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class Condition(_Slim, frozen=True, kw_only=True):
    """One of a Pod's conditions: ``PodScheduled``, ``Ready``, ``DisruptionTarget`` and others."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime.datetime | None = None


class PodStatus(_Slim, frozen=True, kw_only=True):
    """How a Pod stands."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Metadata(_Slim, frozen=True, kw_only=True):
    """
    Who a Pod is.

    Attributes:
        uid: Another one for each object, whatever its name.
        resource_version: Of this state of it.
        labels: Ours among them.
        annotations: Ours among them.
        finalizers: What keeps it from going.
        creation_timestamp: When it was made.
        deletion_timestamp: Set as soon as somebody has asked for its deletion.
    """

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime.datetime | None = None
    deletion_timestamp: datetime.datetime | None = None


class PodSpec(_Slim, frozen=True, kw_only=True):
    """Where a Pod is to run."""

    node_name: str = ""
    hostname: str = ""


class PodView(_Slim, frozen=True, kw_only=True):
    """A Pod as far as the engine looks at it."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, kind: str) -> Condition | None:
        """Return a condition by its type, if it was told."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    def container(self, name: str) -> ContainerStatus | None:
        """Return the status of a main container by its name, if it was told."""
        return next((one for one in self.status.container_statuses if one.name == name), None)


_decoder = msgspec.json.Decoder(PodView)


def decode_pod(data: bytes | msgspec.Raw) -> PodView:
    """
    Decode a Pod.

    Raises:
        MalformedPodError: Names the field.
    """
    try:
        return _decoder.decode(data)
    except BAD_JSON as error:
        raise MalformedPodError(f"this is no Pod: {error}") from error
