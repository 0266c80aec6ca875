"""
What the engine is told of an object. Pure.
"""

from __future__ import annotations

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase
from airscrew.plugins.kubernetes.api.kinds import Kind
from airscrew.plugins.kubernetes.plugin import ObjectPhase
from airscrew.plugins.kubernetes.state import ObjectState

Status = TaskStatus[ObjectState]


def status_of(told: ObjectPhase, state: ObjectState, output_prefix: str) -> Status:
    """Turn what a plugin tells into what the engine is told. Pure."""
    failed = told.phase.is_failure
    error = ExecutionError(code=told.code or "Unknown", message=told.reason, kind=told.kind) if failed else None
    looks = failed or (told.phase is Phase.SUCCESS and told.has_outputs)
    return TaskStatus(
        phase=told.phase,
        state=state,
        reason=told.reason,
        info=told.info,
        check_after=told.look_again,
        outputs=OutputsAt(output_prefix) if looks else None,
        error=error,
        cleanup=told.cleanup,
    )


def vanished(kind: Kind, state: ObjectState) -> Status:
    """Tell of an object that somebody else has deleted."""
    message = (
        f"{kind.kind} {state.namespace}/{state.name} is gone, and not by airscrew: "
        "somebody took its finalizer off, or its namespace went"
    )
    return TaskStatus.retryable_failure(state, message, code="ResourceDeletedExternally", kind=ErrorKind.SYSTEM)
