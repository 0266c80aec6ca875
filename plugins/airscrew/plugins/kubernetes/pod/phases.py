"""
How a task stands, of which the Pod's phase is one part. Pure.

    Pod phase says                         and                                     so
    a Secret or a ConfigMap is missing                                             permanent USER, named
    success of the task's container        the uploader has not ended              Running: outputs are uploaded
    success of the task's container        the uploader failed                     see ``_OF_LOADER``
    failure before the task's container    the downloader failed                   see ``_OF_LOADER``
    that it does not run yet               an event says that a volume has no      permanent USER, named, once that was
                                           Secret or ConfigMap                     still said after a grace
    that it does not run yet, nothing why  there was an event                      the event, as the reason
    anything else                                                                  what the Pod's phase says

An event may be out of date: nothing is decided by one that was not seen again after the grace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.happenings import Happening
from airscrew.plugins.kubernetes.loader.job import Code
from airscrew.plugins.kubernetes.pod.data_loader import DOWNLOADER, UPLOADER
from airscrew.plugins.kubernetes.pod.missing import read_missing
from airscrew.plugins.kubernetes.pod_phase import Cause, Graces, PodPhase, read_phase
from airscrew.plugins.kubernetes.pod_view import ContainerStatus, PodView, Terminated

MOUNT_EVENTS = frozenset({"FailedMount"})
"""Events that say what a volume waits for; the kubelet says it again as long as it lasts."""

_UNSCHEDULED = "FailedScheduling"
_NOT_YET = frozenset({Phase.QUEUED, Phase.INITIALIZING})

_FAILS, _FAILS_FOR_GOOD = Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE

_OF_LOADER: Mapping[int, tuple[Phase, str, ErrorKind]] = {
    Code.TASK_ERROR: (_FAILS, "TaskError", ErrorKind.USER),
    Code.BAD_OUTPUTS: (_FAILS, "OutputsNotFound", ErrorKind.USER),
    Code.BAD_INPUTS: (_FAILS_FOR_GOOD, "BadTaskSpecification", ErrorKind.USER),
    Code.STORAGE: (_FAILS, "StorageUnavailable", ErrorKind.SYSTEM),
    Code.BAD_JOB: (_FAILS_FOR_GOOD, "LoaderFailed", ErrorKind.SYSTEM),
}
"""What an exit code of the data loader means; any other one is the system's failure and may be retried."""


def task_phase(
    pod: PodView,
    *,
    primary: str,
    uploads: bool,
    now: float,
    cause: Cause | None = None,
    graces: Graces,
    happening: Happening | None = None,
) -> PodPhase:
    """
    Tell how a task stands.

    Args:
        pod: Its Pod.
        primary: Its own container.
        uploads: Whether a data loader uploads its outputs.
        now: Unix seconds, of the engine.
        cause: What the look before this one gave.
        graces: How long causes may last.
        happening: The last event about its Pod.
    """
    found = read_phase(pod, primary=primary, now=now, cause=cause, graces=graces)
    if found.phase is Phase.SUCCESS:
        return _uploaded(pod, found) if uploads else found
    if found.code == "CreateContainerConfigError":
        missing = read_missing(found.reason)
        if missing is not None:
            return replace(found, code=missing.code, reason=f"{missing.reason} ({found.reason})")
    if found.phase.is_terminal and found.code != "Interrupted":
        end = _end(pod, DOWNLOADER)
        if end is not None and end.exit_code:
            return _failed_loader(end, "the inputs could not be brought")
    if happening is not None and found.phase in _NOT_YET and found.cause is None:
        return _told_by(happening, found, cause, graces)
    return found


def _told_by(happening: Happening, found: PodPhase, before: Cause | None, graces: Graces) -> PodPhase:
    """Take in what an event says of a Pod that does not run yet."""
    missing = read_missing(happening.message) if happening.reason in MOUNT_EVENTS else None
    if missing is None:
        is_past = happening.reason == _UNSCHEDULED and found.phase is not Phase.QUEUED
        return found if found.reason or is_past else replace(found, reason=happening.text)
    name = f"mount/{missing.kind}/{missing.name}/{missing.key}"
    cause = before if before is not None and before.name == name else Cause(name, happening.since)
    if happening.seen - cause.since < graces.mount:
        return replace(found, reason=happening.text, cause=cause)
    return PodPhase(
        phase=Phase.PERMANENT_FAILURE,
        reason=f"{missing.reason} ({happening.text})",
        code=missing.code,
        cleanup=True,
        cause=cause,
    )


def _uploaded(pod: PodView, found: PodPhase) -> PodPhase:
    status = _status(pod, UPLOADER)
    end = _end(pod, UPLOADER)
    if end is not None and end.exit_code:
        return _failed_loader(end, "the outputs could not be uploaded")
    if end is not None:
        return found
    if pod.status.phase == "Succeeded" or status is None:
        # A Pod that is over has no container at work, whatever its status tells of it; the outputs are looked at next.
        return found if pod.status.phase == "Succeeded" else _uploading("its uploader tells nothing")
    return _uploading("its outputs are uploaded")


def _uploading(what: str) -> PodPhase:
    return PodPhase(phase=Phase.RUNNING, reason=f"the task is over, {what}")


def _failed_loader(end: Terminated, what: str) -> PodPhase:
    phase, code, kind = _OF_LOADER.get(end.exit_code, (_FAILS, "LoaderFailed", ErrorKind.SYSTEM))
    said = end.message.strip() or f"exit code {end.exit_code} ({end.reason or 'no reason given'})"
    reason = said if end.exit_code in {Code.TASK_ERROR, Code.BAD_OUTPUTS} else f"{what}: {said}"
    at = end.finished_at.timestamp() if end.finished_at is not None else 0.0
    return PodPhase(phase=phase, reason=reason, code=code, kind=kind, occurred_at=at)


def _status(pod: PodView, name: str) -> ContainerStatus | None:
    return next((one for one in pod.status.init_container_statuses if one.name == name), None)


def _end(pod: PodView, name: str) -> Terminated | None:
    status = _status(pod, name)
    return status.state.terminated if status is not None else None
