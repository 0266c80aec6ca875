"""
From what Batch says of a job to the status of the attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase
from airscrew.plugins.aws_batch.state import BatchState, BatchView
from airscrew.plugins.webapi import UnclearError

OVER = frozenset({"SUCCEEDED", "FAILED"})

_MACHINE = ("Host EC2", "Spot")
_OUT_OF_MEMORY = "OutOfMemory"
_NO_IMAGE = "CannotPull"


def view_of(job: Mapping[str, object]) -> BatchView:
    """
    Read a ``JobDetail``.

    Raises:
        UnclearError: It has no status.
    """
    status = job.get("status")
    if not isinstance(status, str) or not status:
        raise UnclearError(f"aws-batch: a job is told of without a status: {sorted(job)}")
    found = job.get("container")
    container: Mapping[str, object] = cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}
    code = container.get("exitCode")
    return BatchView(
        status=status,
        reason=str(job.get("statusReason") or ""),
        container_reason=str(container.get("reason") or ""),
        exit_code=code if isinstance(code, int) else None,
        log_stream=str(container.get("logStreamName") or ""),
    )


def decide(state: BatchState, view: BatchView) -> TaskStatus[BatchState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the job last.
        view: What Batch said last; an empty one when it was not heard in this life.

    Raises:
        UnclearError: Batch uses a word that is not known.
    """
    if view.status:
        reason = "; ".join(text for text in (view.reason, view.container_reason) if text)
        log = view.log_stream or state.log_stream
        state = msgspec.structs.replace(state, status=view.status, reason=reason, log_stream=log)
    told = state.reason or f"job {state.id} is {state.status or 'submitted'}"
    match state.status:
        case "" | "SUBMITTED" | "PENDING" | "RUNNABLE":
            return TaskStatus.queued(state, told)
        case "STARTING":
            return TaskStatus.initializing(state, told)
        case "RUNNING":
            return TaskStatus.running(state, told)
        case "SUCCEEDED":
            return TaskStatus.success(state, _outputs(state))
        case "FAILED":
            return _failed(state, view, told)
        case _:
            raise UnclearError(f"aws-batch says {state.status!r} of job {state.id}, which is not known")


def _outputs(state: BatchState) -> OutputsAt:
    return OutputsAt(state.outputs, missing_is_success=state.may_write_nothing)


def _failed(state: BatchState, view: BatchView, told: str) -> TaskStatus[BatchState]:
    """A machine that was lost is nobody's fault; what the task itself wrote in ``error.pb`` wins over all of this."""
    kind, code = ErrorKind.USER, "JobFailed"
    if view.exit_code is not None:
        told = f"{told} (exit code {view.exit_code})"
    if any(sign in view.reason for sign in _MACHINE):
        kind, code = ErrorKind.SYSTEM, "MachineLost"
    elif _OUT_OF_MEMORY in view.container_reason:
        code = "OOMKilled"
    elif _NO_IMAGE in view.container_reason:
        code = "ImagePullFailed"
    error = ExecutionError(code=code, message=told, kind=kind)
    return TaskStatus(
        phase=Phase.RETRYABLE_FAILURE, state=state, reason=told, error=error, outputs=OutputsAt(state.outputs)
    )
