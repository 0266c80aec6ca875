"""
From what a connector says of a job to the status of the attempt. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.idl.errors import ErrorKind, ExecutionError, shorten
from airscrew.idl.phase import ExternalResource, Phase, TaskInfo
from airscrew.plugins.connector.answers import JobView
from airscrew.plugins.connector.state import ConnectorState

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import LiteralMap

GIVE_UP_AFTER = 3
"""So many answers in a row that cannot be right end the attempt: one may be a proxy's or a rolling update's."""

_META_SHOWN = 200
_REASON_SHOWN = 1000


def is_over(view: JobView) -> bool:
    """Tell whether nothing more will be heard of a job."""
    return view.phase.is_terminal or view.complaints >= GIVE_UP_AFTER or view.is_gone


def missed(view: JobView, told: str, now: float, visibility: float) -> JobView:
    """
    Take note that the provider does not know the job; gone it is when that lasts, and was said more than once or twice.

    Args:
        view: What was heard before.
        told: The connector's words.
        now: Monotonic seconds.
        visibility: For how long a provider may be behind, seconds.
    """
    misses, since = view.misses + 1, view.missing_since if view.misses else now
    is_gone = misses >= GIVE_UP_AFTER and now - since >= visibility
    return replace(view, missing=told, misses=misses, missing_since=since, missing_seconds=now - since, is_gone=is_gone)


def complained(view: JobView, complaint: str) -> JobView:
    """Count an answer that cannot be right."""
    return replace(view, complaint=complaint, complaints=view.complaints + 1)


def decide(state: ConnectorState, view: JobView, trouble: str = "") -> TaskStatus[ConnectorState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the job last.
        view: What the connector said last; an empty one when it was not heard in this life.
        trouble: Why the connector is not heard at the moment, for people.
    """
    if view.complaints >= GIVE_UP_AFTER and not view.phase.is_terminal:
        message = f"{view.complaint} ({view.complaints} times in a row)"
        error = ExecutionError(code="BadConnectorAnswer", message=message, kind=ErrorKind.SYSTEM)
        return TaskStatus(phase=Phase.PERMANENT_FAILURE, state=state, reason=message, error=error, cleanup=True)
    if view.is_gone and not view.phase.is_terminal:
        return _gone(state, view)
    state = _remember(state, view)
    info = _info(state, view)
    if view.phase is Phase.SUCCESS:
        return TaskStatus.success(state, _outputs(state, view)).with_info(info)
    if view.phase.is_failure:
        return _failure(state, view).with_info(info)
    phase = Phase.QUEUED if state.phase is Phase.UNDEFINED else state.phase
    reason = state.message or f"job of connector {state.service}"
    problem = view.complaint or view.missing or trouble
    if problem:
        reason = f"{reason}; not heard of it since: {problem}"
    return TaskStatus(phase=phase, state=state, reason=shorten(reason, _REASON_SHOWN), info=info)


def _gone(state: ConnectorState, view: JobView) -> TaskStatus[ConnectorState]:
    job = state.meta[:_META_SHOWN] or state.task_type
    message = f"the provider has not known job {job} for {view.missing_seconds:.0f} s: {view.missing}"
    message = shorten(message, _REASON_SHOWN)
    return TaskStatus.retryable_failure(state, message, code="ResourceDeletedExternally", kind=ErrorKind.SYSTEM)


def _remember(state: ConnectorState, view: JobView) -> ConnectorState:
    if view.phase is Phase.UNDEFINED or view.phase.is_terminal:
        return state  # a terminal phase is recorded by the engine; here it would outlive a lost answer
    message = shorten(view.message, _REASON_SHOWN)
    return msgspec.structs.replace(state, phase=view.phase, message=message, logs=view.logs or state.logs)


def _info(state: ConnectorState, view: JobView) -> TaskInfo:
    logs = view.logs or state.logs
    shown = state.meta[:_META_SHOWN] or state.meta_base64[:_META_SHOWN]
    phase = state.phase if view.phase is Phase.UNDEFINED else view.phase
    job = ExternalResource(external_id=shown or state.task_type, phase=phase, logs=logs)
    return TaskInfo(logs=logs, external_resources=(job,), custom_info=dict(view.custom_info))


def _outputs(state: ConnectorState, view: JobView) -> LiteralMap | OutputsAt:
    if state.has_outputs and view.outputs is not None and view.outputs.literals:
        return view.outputs
    # Connectors of jobs that write error.pb may say that all is well: it is looked for even without outputs.
    return OutputsAt(state.output_prefix, missing_is_success=not state.has_outputs)


def _failure(state: ConnectorState, view: JobView) -> TaskStatus[ConnectorState]:
    message = view.message or f"connector {state.service} says that the job failed, and not why"
    error = ExecutionError(code=view.error_code or "JobFailed", message=message, kind=view.error_kind)
    return TaskStatus(
        phase=view.phase,
        state=state,
        reason=shorten(message, _REASON_SHOWN),
        error=error,
        outputs=OutputsAt(state.output_prefix),
    )
