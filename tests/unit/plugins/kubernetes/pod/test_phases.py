"""How a task stands, clause by clause: what Pods tell, what is missing, and what the data loader has to say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from airscrew.idl.errors import ErrorKind
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.happenings import Happening
from airscrew.plugins.kubernetes.loader.job import Code
from airscrew.plugins.kubernetes.pod.missing import Missing, read_missing
from airscrew.plugins.kubernetes.pod.phases import task_phase
from airscrew.plugins.kubernetes.pod_phase import Cause, Graces
from airscrew.plugins.kubernetes.pod_view import decode_pod

NOW = 1_000_000.0
AT = "2026-11-01T10:00:00Z"
FAILS, FOR_GOOD, SUCCESS = Phase.RETRYABLE_FAILURE, Phase.PERMANENT_FAILURE, Phase.SUCCESS
SYSTEM, USER = ErrorKind.SYSTEM, ErrorKind.USER


def status(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def over(name: str, code: int = 0, reason: str = "", message: str = "") -> dict[str, Any]:
    end = {"exitCode": code, "reason": reason, "message": message, "finishedAt": AT}
    return status(name, terminated=end)


def waits(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return status(name, waiting={"reason": reason, "message": message})


def runs(name: str) -> dict[str, Any]:
    return status(name, running={"startedAt": AT})


SCHEDULED = {"type": "PodScheduled", "status": "True"}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}


@dataclass(frozen=True, kw_only=True)
class Row:
    name: str
    pod: str
    main: list[dict[str, Any]] = field(default_factory=list)
    init: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=lambda: [SCHEDULED])
    reason: str = ""
    uploads: bool = False
    since: float | None = None
    cause: str = ""
    happening: Happening | None = None

    phase: Phase
    code: str = ""
    kind: ErrorKind = USER
    cleanup: bool = False
    says: str = ""

    def told(self) -> bytes:
        told = {
            "phase": self.pod,
            "reason": self.reason,
            "conditions": self.conditions,
            "containerStatuses": self.main,
            "initContainerStatuses": self.init,
        }
        return json.dumps({"metadata": {"name": "p"}, "status": told}).encode()


DOWN, UP = "airscrew-download", "airscrew-upload"
CLAUSES = [
    Row(name="not scheduled is queued, with the scheduler's words", pod="Pending", conditions=[UNSCHEDULED],
        phase=Phase.QUEUED, says="Unschedulable: 0/2 nodes"),
    Row(name="an image that is pulled is initializing", pod="Pending", main=[waits("primary", "ContainerCreating")],
        phase=Phase.INITIALIZING),
    Row(name="init containers at work are initializing", pod="Pending", main=[waits("primary", "PodInitializing")],
        init=[runs(DOWN)], phase=Phase.INITIALIZING),
    Row(name="a first failure to pull is initializing", pod="Pending", main=[waits("primary", "ErrImagePull")],
        phase=Phase.INITIALIZING),
    Row(name="pulls that fail beyond their grace may be retried, and the Pod goes", pod="Pending",
        main=[waits("primary", "ImagePullBackOff")], cause="primary/image", since=NOW - 181,
        phase=FAILS, code="ImagePullBackOff", cleanup=True),
    Row(name="the grace is as long as the cause lasts, not the Pod", pod="Pending",
        main=[waits("primary", "ImagePullBackOff")], cause="primary/image", since=NOW - 179,
        phase=Phase.INITIALIZING),
    Row(name="a container that cannot be made is the user's, for good", pod="Pending",
        main=[waits("primary", "CreateContainerError")], cause="primary/create", since=NOW - 181,
        phase=FOR_GOOD, code="CreateContainerError", cleanup=True),
    Row(name="an image that has no name is the user's, at once", pod="Pending",
        main=[waits("primary", "InvalidImageName")], phase=FOR_GOOD, code="InvalidImageName", cleanup=True),
    Row(name="a word that is not known is the system's, and may be retried", pod="Pending",
        main=[waits("primary", "NewWord")], phase=FAILS, code="NewWord", kind=SYSTEM, cleanup=True),
    Row(name="init containers are looked at too", pod="Pending", init=[waits("own", "InvalidImageName")],
        main=[waits("primary", "PodInitializing")], phase=FOR_GOOD, code="InvalidImageName", cleanup=True),
    Row(name="a config error that names nothing keeps its word", pod="Pending",
        main=[waits("primary", "CreateContainerConfigError", "host IP unknown")], phase=FOR_GOOD,
        code="CreateContainerConfigError", cleanup=True),
    Row(name="a Secret that is missing is named, for good", pod="Pending",
        main=[waits("primary", "CreateContainerConfigError", 'secret "grp" not found')], phase=FOR_GOOD,
        code="SecretNotFound", cleanup=True, says="Secret 'grp', which is not in its namespace: create it"),
    Row(name="a key that its Secret does not have is named", pod="Pending",
        main=[waits("primary", "CreateContainerConfigError", "couldn't find key k1 in Secret team/grp")],
        phase=FOR_GOOD, code="SecretNotFound", cleanup=True, says="key 'k1' of Secret 'grp'"),
    Row(name="a ConfigMap that is missing is named", pod="Pending",
        main=[waits("primary", "CreateContainerConfigError", 'configmap "c" not found')], phase=FOR_GOOD,
        code="ConfigMapNotFound", cleanup=True, says="ConfigMap 'c'"),
    Row(name="a task at work runs", pod="Running", main=[runs("primary")], phase=Phase.RUNNING),
    Row(name="success is success", pod="Succeeded", main=[over("primary")], phase=SUCCESS),
    Row(name="a sidecar that ran out of memory is no failure of the task", pod="Succeeded",
        main=[over("primary"), over("side", 0, "OOMKilled")], phase=SUCCESS),
    Row(name="success out of memory is none", pod="Succeeded", main=[over("primary", 0, "OOMKilled")], phase=FAILS,
        code="OOMKilled"),
    Row(name="a Pod that succeeded without its primary container has failed for good", pod="Succeeded",
        main=[over("side")], phase=FOR_GOOD, code="PrimaryContainerNotFound"),
    Row(name="the task is over when its own container is, whatever its sidecars do", pod="Running",
        main=[over("primary"), runs("side")], phase=SUCCESS),
    Row(name="an exit code may be retried", pod="Failed", main=[over("primary", 1, "Error", "boom")], phase=FAILS,
        code="Error", says="boom"),
    Row(name="out of memory may be retried", pod="Failed", main=[over("primary", 137, "OOMKilled")], phase=FAILS,
        code="OOMKilled"),
    Row(name="killed from outside is the system's", pod="Failed", main=[over("primary", 137, "Error")], phase=FAILS,
        code="Interrupted", kind=SYSTEM),
    Row(name="killed under pyflyte-fast-execute is too", pod="Failed", main=[over("primary", 247, "Error")],
        phase=FAILS, code="Interrupted", kind=SYSTEM),
    *(Row(name=f"a Pod that failed by {reason} is the system's", pod="Failed", reason=reason, phase=FAILS,
          code="Interrupted", kind=SYSTEM) for reason in ("Shutdown", "Terminated", "NodeShutdown", "NodeAffinity")),
    Row(name="a Pod that failed without a word is the system's", pod="Failed", phase=FAILS, code="UnknownError",
        kind=SYSTEM),
]  # fmt: skip

NO_SECRET = 'MountVolume.SetUp failed for volume "v" : secret "grp" not found'
EVENTS = [
    Row(name="an event is the reason where nothing else is", pod="Pending",
        main=[waits("primary", "ContainerCreating")],
        happening=Happening("FailedMount", "timed out waiting for volume d", NOW - 9, NOW),
        phase=Phase.INITIALIZING, says="FailedMount: timed out waiting for volume d"),
    Row(name="the scheduler's words in the Pod come before its event", pod="Pending", conditions=[UNSCHEDULED],
        happening=Happening("FailedScheduling", "0/9 nodes", NOW, NOW), phase=Phase.QUEUED, says="0/2 nodes"),
    Row(name="an event of the scheduler is past once there is a node", pod="Pending",
        happening=Happening("FailedScheduling", "0/9 nodes", NOW, NOW), phase=Phase.INITIALIZING, says=""),
    Row(name="a Secret that a file needs is waited for while its grace lasts", pod="Pending",
        happening=Happening("FailedMount", NO_SECRET, NOW - 29, NOW), phase=Phase.INITIALIZING, says="not found"),
    Row(name="a Secret that a file needs and that is still missing after its grace is named, for good", pod="Pending",
        happening=Happening("FailedMount", NO_SECRET, NOW - 31, NOW), phase=FOR_GOOD, code="SecretNotFound",
        cleanup=True, says="Secret 'grp', which is not in its namespace"),
    Row(name="a key that a file needs is named too", pod="Pending",
        happening=Happening("FailedMount", "references non-existent secret key: token", NOW - 31, NOW),
        phase=FOR_GOOD, code="SecretNotFound", cleanup=True, says="key 'token' of one of its Secrets"),
    Row(name="the grace goes on over a restart", pod="Pending", cause="mount/Secret/grp/", since=NOW - 31,
        happening=Happening("FailedMount", NO_SECRET, NOW, NOW), phase=FOR_GOOD, code="SecretNotFound", cleanup=True),
    Row(name="nothing is decided by an event that was not seen again after the grace", pod="Pending",
        happening=Happening("FailedMount", NO_SECRET, NOW - 99, NOW - 80), phase=Phase.INITIALIZING),
    Row(name="an event of before is nothing to a task at work", pod="Running", main=[runs("primary")],
        happening=Happening("FailedMount", NO_SECRET, NOW - 99, NOW), phase=Phase.RUNNING),
]  # fmt: skip

LOADER = [
    Row(name="a task whose outputs are uploaded still runs", pod="Running", main=[over("primary")],
        init=[over(DOWN), runs(UP)], uploads=True, phase=Phase.RUNNING, says="its outputs are uploaded"),
    Row(name="a task whose outputs are uploaded has succeeded, before the Pod is over", pod="Running",
        main=[over("primary"), runs("side")], init=[over(DOWN), over(UP)], uploads=True, phase=SUCCESS),
    Row(name="a Pod that is over has uploaded what it could, whatever it tells", pod="Succeeded",
        main=[over("primary")], init=[over(DOWN), runs(UP)], uploads=True, phase=SUCCESS),
    Row(name="an uploader that tells nothing is waited for", pod="Running", main=[over("primary")], init=[],
        uploads=True, phase=Phase.RUNNING, says="tells nothing"),
    Row(name="what the task says of its failure is its error", pod="Succeeded", main=[over("primary")],
        init=[over(UP, Code.TASK_ERROR, "Error", "no such table")], uploads=True, phase=FAILS, code="TaskError",
        says="no such table"),
    Row(name="an output that is missing is the user's", pod="Succeeded", main=[over("primary")],
        init=[over(UP, Code.BAD_OUTPUTS, "Error", "output 'b' was not written")], uploads=True, phase=FAILS,
        code="OutputsNotFound", says="output 'b'"),
    Row(name="a storage that does not answer is the system's", pod="Running", main=[over("primary")],
        init=[over(UP, Code.STORAGE, "Error", "s3://b: no answer")], uploads=True, phase=FAILS,
        code="StorageUnavailable", kind=SYSTEM, says="the outputs could not be uploaded: s3://b: no answer"),
    Row(name="an uploader that was killed is the system's", pod="Running", main=[over("primary")],
        init=[over(UP, 137, "OOMKilled")], uploads=True, phase=FAILS, code="LoaderFailed", kind=SYSTEM,
        says="exit code 137 (OOMKilled)"),
    Row(name="a failure of the task is not hidden by its uploader", pod="Failed", main=[over("primary", 3, "Error")],
        init=[over(UP, Code.BAD_OUTPUTS)], uploads=True, phase=FAILS, code="Error"),
    Row(name="an input that can never be a file is the user's, for good", pod="Failed",
        init=[over(DOWN, Code.BAD_INPUTS, "Error", "input 'a' (schema) cannot be given as a file")], uploads=True,
        phase=FOR_GOOD, code="BadTaskSpecification", says="the inputs could not be brought: input 'a'"),
    Row(name="inputs that cannot be read now are the system's", pod="Failed",
        init=[over(DOWN, Code.STORAGE, "Error", "denied")], uploads=True, phase=FAILS, code="StorageUnavailable",
        kind=SYSTEM),
    Row(name="a drain that killed the downloader stays a drain", pod="Failed", reason="Shutdown",
        init=[over(DOWN, Code.STORAGE, "Error")], uploads=True, phase=FAILS, code="Interrupted", kind=SYSTEM),
]  # fmt: skip


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in (*CLAUSES, *EVENTS, *LOADER)])
def test_a_task_stands_as_its_pod_tells(row: Row) -> None:
    cause = Cause(row.cause, row.since) if row.since is not None else None

    found = task_phase(
        decode_pod(row.told()),
        primary="primary",
        uploads=row.uploads,
        now=NOW,
        cause=cause,
        graces=Graces(),
        happening=row.happening,
    )

    assert (found.phase, found.code, found.kind, found.cleanup) == (row.phase, row.code, row.kind, row.cleanup)
    assert row.says in found.reason


MISSING = [
    ('secret "grp" not found', Missing("Secret", "grp")),
    ("couldn't find key k1 in Secret team/grp", Missing("Secret", "grp", "k1")),
    ("couldn't find key a.b in ConfigMap team/settings", Missing("ConfigMap", "settings", "a.b")),
    ('MountVolume.SetUp failed for volume "airscrew-secrets" : secret "grp" not found', Missing("Secret", "grp")),
    ('MountVolume.SetUp failed for volume "v" : references non-existent secret key: k1', Missing("Secret", "", "k1")),
    ('secrets "grp" not found', Missing("Secret", "grp")),
    ('configmap "c" not found', Missing("ConfigMap", "c")),
    ("", None),
    ("host IP unknown; known addresses: []", None),
]


@pytest.mark.parametrize(("message", "missing"), MISSING)
def test_what_is_missing_is_read_from_the_kubelets_words(message: str, missing: Missing | None) -> None:
    assert read_missing(message) == missing
