"""How Pods stand, row by row: what the API server tells, and what that means."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.pod_phase import Cause, Graces, read_phase
from airscrew.plugins.kubernetes.pod_view import decode_pod

NOW = 1_000_000.0
SYSTEM, USER = ErrorKind.SYSTEM, ErrorKind.USER
AT = "2026-11-01T10:00:00Z"


def waiting(reason: str, message: str = "", name: str = "main") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def running(name: str = "main") -> dict[str, Any]:
    return {"name": name, "ready": True, "state": {"running": {"startedAt": AT}}}


def ended(code: int = 0, reason: str = "", message: str = "", name: str = "main") -> dict[str, Any]:
    end = {"exitCode": code, "reason": reason, "message": message, "finishedAt": AT}
    return {"name": name, "state": {"terminated": end}}


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


SCHEDULED = condition("PodScheduled")
DRAINED = condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="Eviction API: evicting")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a Pod tells, and what it means."""

    name: str
    pod_phase: str
    containers: list[dict[str, Any]] = field(default_factory=list)
    init: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=lambda: [SCHEDULED])
    reason: str = ""
    message: str = ""
    deleted: bool = False
    primary: str = ""
    cause: Cause | None = None

    phase: Phase
    code: str = ""
    kind: ErrorKind = USER
    cleanup: bool = False
    says: str = ""

    def pod(self) -> bytes:
        metadata = {"name": "p", "uid": "u", "labels": {"a": "b"}, "managedFields": [{"manager": "kubelet"}]}
        if self.deleted:
            metadata["deletionTimestamp"] = AT
        status = {
            "phase": self.pod_phase,
            "reason": self.reason,
            "message": self.message,
            "conditions": self.conditions,
            "containerStatuses": self.containers,
            "initContainerStatuses": self.init,
            "podIP": "10.88.0.7",
        }
        return json.dumps({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n"}, "status": status}).encode()


FAILS, FAILS_FOR_GOOD = Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE
UNSCHEDULABLE = condition("PodScheduled", "False", "Unschedulable", "0/2 nodes are available: 2 Insufficient cpu.")

ROWS = [
    Row(name="just made", pod_phase="Pending", conditions=[], phase=Phase.QUEUED),
    Row(
        name="no node has room",
        pod_phase="Pending",
        conditions=[UNSCHEDULABLE],
        phase=Phase.QUEUED,
        says="Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.",
    ),
    Row(name="scheduled", pod_phase="Pending", phase=Phase.INITIALIZING),
    *(
        Row(name=f"on its way: {reason}", pod_phase="Pending", containers=[waiting(reason)], phase=Phase.INITIALIZING)
        for reason in ("ContainerCreating", "PodInitializing")
    ),
    *(
        Row(
            name=f"the image cannot be pulled: {reason}",
            pod_phase="Pending",
            containers=[waiting(reason, "no such image")],
            phase=Phase.INITIALIZING,
            says=f"container main: {reason}: no such image",
        )
        for reason in ("ErrImagePull", "ImagePullBackOff")
    ),
    Row(
        name="the image cannot be pulled for long",
        pod_phase="Pending",
        containers=[waiting("ImagePullBackOff", "no such image")],
        cause=Cause("main/image", NOW - 180.0),
        phase=FAILS,
        code="ImagePullBackOff",
        cleanup=True,
        says="container main: ImagePullBackOff: no such image",
    ),
    Row(
        name="the image of another container could not be pulled for long",
        pod_phase="Pending",
        containers=[waiting("ImagePullBackOff")],
        cause=Cause("other/image", NOW - 1000.0),
        phase=Phase.INITIALIZING,
        says="container main: ImagePullBackOff",
    ),
    Row(
        name="the image of an init container cannot be pulled for long",
        pod_phase="Pending",
        init=[waiting("ErrImagePull", name="init")],
        containers=[waiting("PodInitializing")],
        cause=Cause("init/image", NOW - 181.0),
        phase=FAILS,
        code="ErrImagePull",
        cleanup=True,
        says="container init: ErrImagePull",
    ),
    Row(
        name="a container cannot be made",
        pod_phase="Pending",
        containers=[waiting("CreateContainerError")],
        phase=Phase.INITIALIZING,
        says="container main: CreateContainerError",
    ),
    Row(
        name="a container cannot be made for long",
        pod_phase="Pending",
        containers=[waiting("CreateContainerError", "no command")],
        cause=Cause("main/create", NOW - 180.0),
        phase=FAILS_FOR_GOOD,
        code="CreateContainerError",
        cleanup=True,
        says="container main: CreateContainerError: no command",
    ),
    Row(
        name="a Secret is not there",
        pod_phase="Pending",
        containers=[waiting("CreateContainerConfigError", 'secret "s" not found')],
        phase=FAILS_FOR_GOOD,
        code="CreateContainerConfigError",
        cleanup=True,
        says='container main: CreateContainerConfigError: secret "s" not found',
    ),
    Row(
        name="no image is called so",
        pod_phase="Pending",
        containers=[waiting("InvalidImageName")],
        phase=FAILS_FOR_GOOD,
        code="InvalidImageName",
        cleanup=True,
        says="container main: InvalidImageName",
    ),
    Row(
        name="a reason that nobody knows",
        pod_phase="Pending",
        containers=[waiting("NewInKubernetes9")],
        phase=FAILS,
        code="NewInKubernetes9",
        kind=SYSTEM,
        cleanup=True,
        says="container main: NewInKubernetes9",
    ),
    Row(name="at work", pod_phase="Running", containers=[running()], phase=Phase.RUNNING),
    Row(
        name="its node does not answer",
        pod_phase="Unknown",
        phase=Phase.RUNNING,
        says="Pod phase Unknown: its node does not answer",
    ),
    Row(name="done", pod_phase="Succeeded", containers=[ended()], phase=Phase.SUCCESS),
    Row(
        name="done, and one container ran out of memory",
        pod_phase="Succeeded",
        containers=[ended(), ended(0, "OOMKilled", name="other")],
        phase=FAILS,
        code="OOMKilled",
        says="container other ended with exit code 0 (OOMKilled)",
    ),
    Row(
        name="the primary container is not there",
        pod_phase="Succeeded",
        containers=[ended(name="other")],
        primary="main",
        phase=FAILS_FOR_GOOD,
        code="PrimaryContainerNotFound",
        says="the Pod has no container 'main', which is the task's",
    ),
    Row(
        name="the primary container is done and its sidecar goes on",
        pod_phase="Running",
        containers=[ended(), running("sidecar")],
        primary="main",
        phase=Phase.SUCCESS,
    ),
    Row(
        name="the sidecar is over and the primary container goes on",
        pod_phase="Running",
        containers=[running(), ended(1, "Error", name="sidecar")],
        primary="main",
        phase=Phase.RUNNING,
    ),
    Row(
        name="the sidecar failed and the primary container did not",
        pod_phase="Failed",
        containers=[ended(), ended(1, "Error", name="sidecar")],
        primary="main",
        phase=Phase.SUCCESS,
    ),
    Row(
        name="the primary container failed",
        pod_phase="Running",
        containers=[ended(3, "Error", "Traceback\n"), running("sidecar")],
        primary="main",
        phase=FAILS,
        code="Error",
        says="container main ended with exit code 3 (Error): Traceback",
    ),
    *(
        Row(
            name=f"the primary container was killed: {code}",
            pod_phase="Failed",
            containers=[ended(code, "Error")],
            primary="main",
            phase=FAILS,
            code="Interrupted",
            kind=SYSTEM,
            says=f"container main ended with exit code {code} (Error)",
        )
        for code in (137, 247)
    ),
    Row(
        name="the primary container ran out of memory",
        pod_phase="Failed",
        containers=[ended(137, "OOMKilled")],
        primary="main",
        phase=FAILS,
        code="OOMKilled",
        says="container main ended with exit code 137 (OOMKilled)",
    ),
    Row(
        name="the primary container was stopped by a drain",
        pod_phase="Failed",
        conditions=[SCHEDULED, DRAINED],
        containers=[ended(143, "Error")],
        primary="main",
        phase=FAILS,
        code="Interrupted",
        kind=SYSTEM,
        says="EvictionByEvictionAPI: Eviction API: evicting; container main ended with exit code 143 (Error)",
    ),
    Row(
        name="failed",
        pod_phase="Failed",
        containers=[ended(), ended(2, "Error", name="b"), ended(5, "Error", name="c")],
        phase=FAILS,
        code="Error",
        says="container b ended with exit code 2 (Error); container c ended with exit code 5 (Error)",
    ),
    Row(
        name="an init container failed",
        pod_phase="Failed",
        init=[ended(1, "Error", "no data", name="init")],
        containers=[waiting("PodInitializing")],
        phase=FAILS,
        code="Error",
        says="container init ended with exit code 1 (Error): no data",
    ),
    Row(
        name="failed for want of memory",
        pod_phase="Failed",
        containers=[ended(1, "Error"), ended(137, "OOMKilled", name="b")],
        phase=FAILS,
        code="OOMKilled",
        says="container main ended with exit code 1 (Error); container b ended with exit code 137 (OOMKilled)",
    ),
    Row(
        name="failed by SIGKILL",
        pod_phase="Failed",
        containers=[ended(137, "Error")],
        phase=FAILS,
        code="Interrupted",
        kind=SYSTEM,
        says="container main ended with exit code 137 (Error)",
    ),
    *(
        Row(
            name=f"failed by the cluster: {reason}",
            pod_phase="Failed",
            reason=reason,
            containers=[ended(1, "Error")],
            phase=FAILS,
            code="Interrupted",
            kind=SYSTEM,
            says=f"{reason}; container main ended with exit code 1 (Error)",
        )
        for reason in ("Shutdown", "Terminated", "NodeShutdown", "NodeAffinity", "Preempting", "NodeLost")
    ),
    Row(
        name="evicted for want of memory on the node",
        pod_phase="Failed",
        reason="Evicted",
        message="The node was low on resource: memory.",
        conditions=[condition("DisruptionTarget", reason="TerminationByKubelet", message="low on memory")],
        phase=FAILS,
        code="Interrupted",
        kind=SYSTEM,
        says="TerminationByKubelet: low on memory; Evicted: The node was low on resource: memory.",
    ),
    Row(
        name="evicted for using more than it may",
        pod_phase="Failed",
        reason="Evicted",
        message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
        phase=FAILS,
        code="Evicted",
        says="Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
    ),
    Row(
        name="longer than it may",
        pod_phase="Failed",
        reason="DeadlineExceeded",
        message="Pod was active on the node longer than the specified deadline",
        phase=FAILS,
        code="DeadlineExceeded",
        says="DeadlineExceeded: Pod was active on the node longer than the specified deadline",
    ),
    Row(
        name="failed without a word",
        pod_phase="Failed",
        phase=FAILS,
        code="UnknownError",
        kind=SYSTEM,
        says="the Pod failed and does not say why",
    ),
    *(
        Row(
            name=f"somebody deletes it while {pod_phase}",
            pod_phase=pod_phase,
            deleted=True,
            phase=FAILS,
            code="UnexpectedObjectDeletion",
            kind=SYSTEM,
            cleanup=True,
            says="the Pod is being deleted, and not by airscrew",
        )
        for pod_phase in ("Pending", "Running", "Unknown")
    ),
    Row(
        name="a drain deletes it",
        pod_phase="Running",
        deleted=True,
        conditions=[DRAINED],
        phase=FAILS,
        code="Interrupted",
        kind=SYSTEM,
        cleanup=True,
        says="EvictionByEvictionAPI: Eviction API: evicting",
    ),
    Row(
        name="somebody deletes it after its end",
        pod_phase="Succeeded",
        deleted=True,
        containers=[ended()],
        phase=Phase.SUCCESS,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_pod_means(row: Row) -> None:
    read = read_phase(decode_pod(row.pod()), primary=row.primary, now=NOW, cause=row.cause, graces=Graces())

    told = (read.phase, read.code, read.kind, read.cleanup, read.reason)
    assert told == (row.phase, row.code, row.kind, row.cleanup, row.says)


def test_every_failure_has_a_code() -> None:
    assert [row.name for row in ROWS if row.phase in {FAILS, FAILS_FOR_GOOD} and not row.code] == []


def test_a_grace_runs_from_when_its_cause_began_and_over_a_change_of_words() -> None:
    pulls = Row(name="", pod_phase="Pending", containers=[waiting("ErrImagePull")], phase=Phase.INITIALIZING)
    backs_off = Row(name="", pod_phase="Pending", containers=[waiting("ImagePullBackOff")], phase=Phase.INITIALIZING)

    first = read_phase(decode_pod(pulls.pod()), primary="", now=NOW, graces=Graces(image_pull=60))
    second = read_phase(
        decode_pod(backs_off.pod()), primary="", now=NOW + 59, cause=first.cause, graces=Graces(image_pull=60)
    )
    third = read_phase(
        decode_pod(pulls.pod()), primary="", now=NOW + 60, cause=second.cause, graces=Graces(image_pull=60)
    )

    assert (first.look_again, second.look_again) == (60, 1)
    assert [one.phase for one in (first, second, third)] == [Phase.INITIALIZING, Phase.INITIALIZING, FAILS]


def test_a_cause_that_has_passed_is_forgotten() -> None:
    row = Row(name="", pod_phase="Pending", containers=[waiting("ContainerCreating")], phase=Phase.INITIALIZING)

    read = read_phase(decode_pod(row.pod()), primary="", now=NOW, cause=Cause("main/image", 0.0), graces=Graces())

    assert read.cause is None


def test_the_end_is_when_the_container_ended() -> None:
    row = Row(name="", pod_phase="Succeeded", containers=[ended()], phase=Phase.SUCCESS)

    assert read_phase(decode_pod(row.pod()), primary="", now=NOW, graces=Graces()).occurred_at == 1793527200.0
