"""
From what Slurm says of a job to the status of the attempt. Pure.
"""

from __future__ import annotations

import msgspec

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.idl.errors import AirscrewError, ErrorKind, ExecutionError
from airscrew.idl.phase import Phase
from airscrew.plugins.slurm.state import JobView, SlurmState

QUEUED = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
PREPARED = frozenset({"CONFIGURING", "POWER_UP_NODE"})
AT_WORK = frozenset(
    {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "EXPEDITING", "UPDATE_DB"}
)

FAILURES: dict[str, tuple[Phase, str, ErrorKind, str]] = {
    "FAILED": (Phase.RETRYABLE_FAILURE, "JobFailed", ErrorKind.USER, "failed"),
    "TIMEOUT": (Phase.RETRYABLE_FAILURE, "TimeLimit", ErrorKind.USER, "ran into its time limit"),
    "OUT_OF_MEMORY": (Phase.RETRYABLE_FAILURE, "OOMKilled", ErrorKind.USER, "used more memory than it asked for"),
    "DEADLINE": (Phase.PERMANENT_FAILURE, "DeadlineExceeded", ErrorKind.USER, "ran into its deadline"),
    "NODE_FAIL": (Phase.RETRYABLE_FAILURE, "NodeFailed", ErrorKind.SYSTEM, "lost its node"),
    "BOOT_FAIL": (Phase.RETRYABLE_FAILURE, "NodeFailed", ErrorKind.SYSTEM, "got no node that starts"),
    "LAUNCH_FAILED": (Phase.RETRYABLE_FAILURE, "LaunchFailed", ErrorKind.SYSTEM, "could not be launched"),
    "RECONFIG_FAIL": (Phase.RETRYABLE_FAILURE, "NodeFailed", ErrorKind.SYSTEM, "got no node that could be set up"),
    "PREEMPTED": (Phase.RETRYABLE_FAILURE, "Preempted", ErrorKind.SYSTEM, "was pushed out by another job"),
    "REVOKED": (Phase.RETRYABLE_FAILURE, "Revoked", ErrorKind.SYSTEM, "was taken back by the federation"),
    "CANCELLED": (
        Phase.RETRYABLE_FAILURE,
        "ResourceDeletedExternally",
        ErrorKind.SYSTEM,
        "was cancelled, and not by this engine",
    ),
}
"""How each end that is no success counts: a phase, a code, whose failure it is, and what is said of the job."""

_NODE_TROUBLE = frozenset({"NodeDown", "SystemFailure", "ReqNodeNotAvail"})


class UnknownStatusError(AirscrewError):
    """Slurm uses a word that is not known here; the job is left alone."""


def is_over(view: JobView) -> bool:
    """Tell whether a job has ended."""
    return view.status == "COMPLETED" or view.status in FAILURES


def decide(state: SlurmState, view: JobView | None) -> TaskStatus[SlurmState]:
    """
    Say how the attempt stands.

    Args:
        state: The stored state: what was known of the job last.
        view: What was told of it last; None when it was not heard of in this life.

    Raises:
        UnknownStatusError: Slurm uses a word that is not known here.
    """
    state = state if view is None else remember(state, view)
    status, job = state.view.status, f"job {state.id} of {state.cluster}"
    reason = f" ({state.view.reason})" if state.view.reason else ""
    if not status or status in QUEUED:
        return TaskStatus.queued(state, f"{job} is queued{reason}")
    if status in PREPARED:
        return TaskStatus.initializing(state, f"{job} waits for its nodes")
    if status in AT_WORK:
        return TaskStatus.running(state, f"{job} is {status.lower()}{reason}")
    if status == "COMPLETED":
        return TaskStatus.success(state, _outputs(state))
    if status in FAILURES:
        return _failure(state, job)
    raise UnknownStatusError(f"{job} is {status!r}, says Slurm, and what that means is not known here")


def remember(state: SlurmState, view: JobView) -> SlurmState:
    """Take into the state what is new; the accounting does not name the file of what a job prints."""
    if not view.output and state.view.output:
        view = msgspec.structs.replace(view, output=state.view.output)
    return state if view == state.view else msgspec.structs.replace(state, view=view)


def _outputs(state: SlurmState) -> OutputsAt | None:
    # What pyflyte-execute runs ends well although the task failed: error.pb is looked for even without outputs.
    return OutputsAt(state.output_prefix, missing_is_success=not state.has_outputs) if state.output_prefix else None


def _failure(state: SlurmState, job: str) -> TaskStatus[SlurmState]:
    view = state.view
    phase, code, kind, told = FAILURES[view.status]
    if view.status == "FAILED" and view.reason in _NODE_TROUBLE:
        code, kind, told = "NodeFailed", ErrorKind.SYSTEM, "lost its node"
    message = f"{job} {told}{_ended(view)}"
    if view.reason and view.reason != "NonZeroExitCode":
        message += f" ({view.reason})"
    if view.output:
        message += f"; what it printed is in {view.output}"
    return TaskStatus(
        phase=phase,
        state=state,
        reason=message,
        error=ExecutionError(code=code, message=message, kind=kind),
        outputs=OutputsAt(state.output_prefix) if state.output_prefix else None,
    )


def _ended(view: JobView) -> str:
    if view.status != "FAILED":
        return ""
    if view.signal:
        return f" by signal {view.signal}"
    return f" with exit code {view.exit_code}" if view.exit_code else ""
