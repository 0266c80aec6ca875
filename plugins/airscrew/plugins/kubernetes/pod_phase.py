"""
From how a Pod stands to the phase of its attempt. Pure.

    Pod                                                  phase
    deletion asked for by others, not over               RetryableFailure SYSTEM UnexpectedObjectDeletion, with cleanup
    Pending, not scheduled                               Queued, with the scheduler's words
    Pending, a container waits                           see ``_WAITING``: a grace, and what follows it
    Pending, otherwise                                   Initializing
    Running                                              Running, unless the primary container is over
    primary container over                               see ``_of_container``, whatever its sidecars do
    Succeeded                                            Success, unless a container ran out of memory
    Failed by the cluster (drain, preemption, node gone) RetryableFailure SYSTEM Interrupted
    Failed                                               see ``_of_container``, with what every container said

A grace runs from when its cause was first seen, not from when the Pod became unready: a long pull before the first
failure costs none of it. A pull that fails and one that is backed off are one cause, between which the kubelet goes to
and fro. What is not known here is the system's failure and may be retried: a newer Kubernetes has newer words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.pod_view import PodView, Terminated

KILLED_CODES = frozenset({137, 247})
"""Exit codes that say that a process was killed: 128 + 9 of a shell, 256 - 9 of ``pyflyte-fast-execute``."""

_OUT_OF_MEMORY = "OOMKilled"

_CLUSTER_REASONS = frozenset(
    {"Shutdown", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost", "Preempting", "UnexpectedAdmissionError"}
)
"""Reasons of a failed Pod that the cluster has, and not the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graces:
    """
    How long a cause may last before it counts, in seconds.

    Attributes:
        create_container_error: The runtime could not make the container.
        create_container_config_error: A Secret or a ConfigMap that it names is not there.
        image_pull: Its image cannot be pulled.
        mount: A Secret or a ConfigMap that one of its volumes needs is not there.
    """

    create_container_error: float = 180.0
    create_container_config_error: float = 0.0
    image_pull: float = 180.0
    mount: float = 30.0


@dataclass(frozen=True, slots=True)
class Cause:
    """
    Why a Pod does not run yet.

    Attributes:
        name: Which container, and what keeps it.
        since: When that was first seen, Unix seconds.
    """

    name: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPhase:
    """
    How an attempt stands.

    Attributes:
        phase: Queued, Initializing, Running, Success or one of the failures.
        reason: One line for people.
        code: A short stable word, with a failure.
        kind: Whose failure it is.
        cleanup: With a failure: the Pod is still there and goes on trying.
        occurred_at: When it ended, Unix seconds; 0 when nobody told.
        cause: To be given to the next look: why it does not run yet.
        look_again: Seconds until a grace is over; None when nothing runs out.
    """

    phase: Phase
    reason: str = ""
    code: str = ""
    kind: ErrorKind = ErrorKind.USER
    cleanup: bool = False
    occurred_at: float = 0.0
    cause: Cause | None = None
    look_again: float | None = None


@dataclass(frozen=True, slots=True)
class _Wait:
    """What is done about a reason to wait: after a grace of that name it is a failure."""

    cause: str
    grace: str
    phase: Phase


_WAITING = {
    "ErrImagePull": _Wait("image", "image_pull", Phase.RETRYABLE_FAILURE),
    "ImagePullBackOff": _Wait("image", "image_pull", Phase.RETRYABLE_FAILURE),
    "RegistryUnavailable": _Wait("image", "image_pull", Phase.RETRYABLE_FAILURE),
    "CreateContainerError": _Wait("create", "create_container_error", Phase.PERMANENT_FAILURE),
    "RunContainerError": _Wait("create", "create_container_error", Phase.PERMANENT_FAILURE),
    "CreateContainerConfigError": _Wait("config", "create_container_config_error", Phase.PERMANENT_FAILURE),
    "InvalidImageName": _Wait("name", "", Phase.PERMANENT_FAILURE),
    "ErrImageNeverPull": _Wait("never", "", Phase.PERMANENT_FAILURE),
}
_ON_ITS_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})


def read_phase(pod: PodView, *, primary: str, now: float, cause: Cause | None = None, graces: Graces) -> PodPhase:
    """
    Tell how an attempt stands.

    Args:
        pod: Its Pod.
        primary: The container that is the task; empty when all of them are.
        now: Unix seconds, of the engine: graces are measured by this clock alone.
        cause: What the look before this one gave.
        graces: How long causes may last.
    """
    own = pod.container(primary) if primary else None
    if own is not None and own.state.terminated is not None:
        return _of_primary(pod, own.name, own.state.terminated)
    match pod.status.phase:
        case "Succeeded":
            return _succeeded(pod, primary)
        case "Failed":
            return _failed(pod)
        case _:
            return _unfinished(pod, now, cause, graces)


def _unfinished(pod: PodView, now: float, cause: Cause | None, graces: Graces) -> PodPhase:
    if pod.metadata.deletion_timestamp is not None:
        return _deleted(pod)
    if pod.status.phase == "Running":
        return PodPhase(phase=Phase.RUNNING)
    if pod.status.phase in {"Pending", ""}:
        return _pending(pod, now, cause, graces)
    return PodPhase(phase=Phase.RUNNING, reason=f"Pod phase {pod.status.phase}: its node does not answer")


def _pending(pod: PodView, now: float, before: Cause | None, graces: Graces) -> PodPhase:
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "True":
        reason = "" if scheduled is None else _line(scheduled.reason, scheduled.message)
        return PodPhase(phase=Phase.QUEUED, reason=reason)
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = container.state.waiting
        if waiting is None or waiting.reason in _ON_ITS_WAY:
            continue
        reason = f"container {container.name}: {_line(waiting.reason, waiting.message)}"
        wait = _WAITING.get(waiting.reason)
        if wait is None:
            code, kind = waiting.reason, ErrorKind.SYSTEM
            return PodPhase(phase=Phase.RETRYABLE_FAILURE, reason=reason, code=code, kind=kind, cleanup=True)
        return _wait(f"{container.name}/{wait.cause}", waiting.reason, reason, wait, now, before, graces)
    return PodPhase(phase=Phase.INITIALIZING)


def _wait(name: str, code: str, reason: str, wait: _Wait, now: float, before: Cause | None, graces: Graces) -> PodPhase:
    """Wait for a cause to pass, as long as its grace lasts."""
    cause = before if before is not None and before.name == name else Cause(name, now)
    left = (getattr(graces, wait.grace) if wait.grace else 0.0) - (now - cause.since)
    if left > 0:
        return PodPhase(phase=Phase.INITIALIZING, reason=reason, cause=cause, look_again=left)
    return PodPhase(phase=wait.phase, reason=reason, code=code, cleanup=True, cause=cause)


def _deleted(pod: PodView) -> PodPhase:
    disrupted = _disruption(pod)
    return PodPhase(
        phase=Phase.RETRYABLE_FAILURE,
        reason=disrupted or "the Pod is being deleted, and not by airscrew",
        code="Interrupted" if disrupted else "UnexpectedObjectDeletion",
        kind=ErrorKind.SYSTEM,
        cleanup=True,
    )


def _succeeded(pod: PodView, primary: str) -> PodPhase:
    if primary and pod.container(primary) is None:
        reason = f"the Pod has no container {primary!r}, which is the task's"
        return PodPhase(phase=Phase.PERMANENT_FAILURE, reason=reason, code="PrimaryContainerNotFound")
    ends = list(_ends(pod))
    for name, end in ends:
        if end.reason == _OUT_OF_MEMORY:
            return _of_container(name, end)
    return PodPhase(phase=Phase.SUCCESS, occurred_at=_last(ends))


def _failed(pod: PodView) -> PodPhase:
    ends = [(name, end) for name, end in _ends(pod) if end.exit_code]
    told = [_line(pod.status.reason, pod.status.message), *(_said(name, end) for name, end in ends)]
    reason = "; ".join(filter(None, told)) or "the Pod failed and does not say why"
    at = _last(ends)
    disrupted = _disruption(pod)
    if disrupted or pod.status.reason in _CLUSTER_REASONS:
        reason = "; ".join(filter(None, (disrupted, reason)))
        return _failure(reason, "Interrupted", at, ErrorKind.SYSTEM)
    if any(end.reason == _OUT_OF_MEMORY for _, end in ends):
        return _failure(reason, _OUT_OF_MEMORY, at)
    if pod.status.reason in {"Evicted", "DeadlineExceeded"}:
        return _failure(reason, pod.status.reason, at)
    if not ends:
        return _failure(reason, pod.status.reason or "UnknownError", at, ErrorKind.SYSTEM)
    if any(end.exit_code in KILLED_CODES for _, end in ends):
        return _failure(reason, "Interrupted", at, ErrorKind.SYSTEM)
    return _failure(reason, ends[0][1].reason or "Error", at)


def _of_primary(pod: PodView, name: str, end: Terminated) -> PodPhase:
    """Judge by the task's own container; a drain that killed it is the cluster's doing."""
    disrupted = _disruption(pod)
    if disrupted and end.exit_code:
        return _failure(f"{disrupted}; {_said(name, end)}", "Interrupted", _last([(name, end)]), ErrorKind.SYSTEM)
    return _of_container(name, end)


def _of_container(name: str, end: Terminated) -> PodPhase:
    at = _last([(name, end)])
    if end.reason == _OUT_OF_MEMORY:
        return _failure(_said(name, end), _OUT_OF_MEMORY, at)
    if end.exit_code in KILLED_CODES:
        return _failure(_said(name, end), "Interrupted", at, ErrorKind.SYSTEM)
    if end.exit_code:
        return _failure(_said(name, end), end.reason or "Error", at)
    return PodPhase(phase=Phase.SUCCESS, occurred_at=at)


def _failure(reason: str, code: str, at: float, kind: ErrorKind = ErrorKind.USER) -> PodPhase:
    return PodPhase(phase=Phase.RETRYABLE_FAILURE, reason=reason, code=code, kind=kind, occurred_at=at)


def _disruption(pod: PodView) -> str:
    """Say how the cluster has disrupted a Pod, by preemption, drain, taint or loss of its node; empty if it has not."""
    condition = pod.condition("DisruptionTarget")
    return _line(condition.reason, condition.message) if condition is not None and condition.status == "True" else ""


def _ends(pod: PodView) -> Iterable[tuple[str, Terminated]]:
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if container.state.terminated is not None:
            yield container.name, container.state.terminated


def _said(name: str, end: Terminated) -> str:
    message = f": {end.message.strip()}" if end.message.strip() else ""
    return f"container {name} ended with exit code {end.exit_code} ({end.reason or 'no reason given'}){message}"


def _line(reason: str, message: str) -> str:
    return f"{reason}: {message.strip()}" if reason and message.strip() else reason or message.strip()


def _last(ends: Iterable[tuple[str, Terminated]]) -> float:
    return max((end.finished_at.timestamp() for _, end in ends if end.finished_at is not None), default=0.0)
