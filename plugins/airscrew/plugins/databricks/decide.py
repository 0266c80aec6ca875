"""
From what Databricks says of a run to the status of the attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from airscrew.engine.executor import OutputsAt, TaskStatus
from airscrew.idl.errors import ErrorKind, ExecutionError
from airscrew.idl.phase import Phase
from airscrew.plugins.databricks.state import RunState, RunView
from airscrew.plugins.webapi import UnclearError

OVER = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})

SYSTEM = frozenset(
    {
        "BREAKING_CHANGE",
        "CLOUD_FAILURE",
        "CLUSTER_ERROR",
        "CLUSTER_REQUEST_LIMIT_EXCEEDED",
        "CLUSTER_TERMINATED_BY_USER",
        "INTERNAL_ERROR",
        "MAXIMUM_CONCURRENT_RUNS_REACHED",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "MAX_JOB_QUEUE_SIZE_EXCEEDED",
        "MAX_SPARK_CONTEXTS_EXCEEDED",
        "REPOSITORY_CHECKOUT_FAILED",
        "WORKSPACE_RUN_LIMIT_EXCEEDED",
    }
)
"""Words for failures that the task is not to blame for: another attempt may do better, and the user does not pay."""

PERMANENT = frozenset(
    {
        "BUDGET_POLICY_LIMIT_EXCEEDED",
        "DISABLED",
        "EXCLUDED",
        "FEATURE_DISABLED",
        "INVALID_CLUSTER_REQUEST",
        "INVALID_RUN_CONFIGURATION",
        "RESOURCE_NOT_FOUND",
        "SKIPPED",
        "UNAUTHORIZED_ERROR",
    }
)
"""Words for failures of the user's that another attempt would only repeat."""

USER = frozenset(
    {"CANCELED", "FAILED", "LIBRARY_INSTALLATION_ERROR", "RUN_EXECUTION_ERROR", "TIMEDOUT", "USER_CANCELED"}
)
"""Words for failures of the user's that another attempt may not repeat."""

BLAME = {"INTERNAL_ERROR": ErrorKind.SYSTEM, "CLOUD_FAILURE": ErrorKind.SYSTEM, "CLIENT_ERROR": ErrorKind.USER}
"""Whose a failure is by its type, where the code is a new one."""

_SUCCESSES = frozenset({"SUCCESS", "SUCCESS_WITH_FAILURES"})


def view_of(run: Mapping[str, object]) -> RunView:
    """
    Read a ``Run``.

    Raises:
        UnclearError: It has no state.
    """
    state, status = _members(run.get("state")), _members(run.get("status"))
    life = state.get("life_cycle_state")
    if not isinstance(life, str) or not life:
        raise UnclearError(f"databricks: a run is told of without a state: {sorted(run)}")
    ended, queued = _members(status.get("termination_details")), _members(status.get("queue_details"))
    started = run.get("start_time")
    return RunView(
        status=life,
        result=_text(state, "result_state"),
        reason=_text(state, "state_message") or _text(ended, "message") or _text(queued, "message"),
        page=_text(run, "run_page_url"),
        started_ms=started if isinstance(started, int) else 0,
        code=_text(ended, "code"),
        blame=_text(ended, "type"),
    )


def decide(state: RunState, view: RunView) -> TaskStatus[RunState]:
    """
    Say how the attempt stands.

    Args:
        state: What was known of the run last.
        view: What Databricks said last; an empty one when it was not heard in this life.

    Raises:
        UnclearError: Databricks uses a word that is not known.
    """
    state = _remembered(state, view)
    told = state.reason or f"run {state.id} is {state.status or 'submitted'}"
    match state.status:
        case "" | "QUEUED":
            return TaskStatus.queued(state, told)
        case "PENDING":
            return TaskStatus.initializing(state, told)
        case "RUNNING" | "TERMINATING" | "BLOCKED" | "WAITING_FOR_RETRY":
            return TaskStatus.running(state, told)
        case "TERMINATED" if state.result in _SUCCESSES:
            return TaskStatus.success(state, OutputsAt(state.outputs, missing_is_success=state.may_write_nothing))
        case "TERMINATED" if not state.result:
            raise UnclearError(f"databricks says that run {state.id} has ended, and not how")
        case "TERMINATED" | "SKIPPED" | "INTERNAL_ERROR":
            return _failed(state, view, told)
        case _:
            raise UnclearError(f"databricks says {state.status!r} of run {state.id}, which is not known")


def _remembered(state: RunState, view: RunView) -> RunState:
    if not view.status:
        return state
    return msgspec.structs.replace(
        state,
        status=view.status,
        result=view.code if view.status in OVER and view.code and view.result not in _SUCCESSES else view.result,
        reason=view.reason,
        page=view.page or state.page,
        started_ms=view.started_ms or state.started_ms,
    )


def _failed(state: RunState, view: RunView, told: str) -> TaskStatus[RunState]:
    """The most exact word decides; what the task itself wrote in ``error.pb`` wins over all of this."""
    words = [word for word in (view.code, state.result, view.result, state.status) if word]
    known = next((word for word in words if word in SYSTEM | PERMANENT | USER), "")
    kind = BLAME.get(view.blame, ErrorKind.USER)
    if known:
        kind = ErrorKind.SYSTEM if known in SYSTEM else ErrorKind.USER
    phase = Phase.PERMANENT_FAILURE if known in PERMANENT else Phase.RETRYABLE_FAILURE
    error = ExecutionError(code=words[0], message=told, kind=kind)
    return TaskStatus(phase=phase, state=state, reason=told, error=error, outputs=OutputsAt(state.outputs))


def _text(members: Mapping[str, object], name: str) -> str:
    found = members.get(name)
    return found if isinstance(found, str) else ""


def _members(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
